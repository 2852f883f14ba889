-- What gateways do about files: who fetches which, where its bytes stand, when they go.

-- Files to fetch, the longest due first. They are due again when the claim ends, should the gateway die.
CREATE OR REPLACE FUNCTION gateway.claim_media_v1(me uuid, most int, hold interval) RETURNS SETOF gateway.media
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE gateway.media AS f
    SET holder = me, due_at = now() + hold, tries = f.tries + 1
    WHERE f.id IN (
        SELECT due.id FROM gateway.media AS due
        WHERE due.state = 'pending' AND due.due_at <= now()
        ORDER BY due.due_at
        LIMIT most
        FOR UPDATE SKIP LOCKED)
    RETURNING f.*;
$$;
COMMENT ON FUNCTION gateway.claim_media_v1(uuid, int, interval) IS 'Files that this gateway has to fetch now.';

-- Before a file is put into the media store. Says whether it stands there already, or (`going`) is just being removed.
CREATE OR REPLACE FUNCTION gateway.reserve_blob_v1(item uuid, digest text, size bigint, type text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    blob gateway.blobs;
BEGIN
    INSERT INTO gateway.blobs (sha256, bytes, mime) VALUES (digest, size, type) ON CONFLICT DO NOTHING;
    SELECT * INTO blob FROM gateway.blobs AS b WHERE b.sha256 = digest FOR UPDATE;
    IF blob.is_going IS NOT FALSE THEN
        RETURN 'going';
    END IF;
    UPDATE gateway.media AS f SET sha256 = digest WHERE f.id = item;
    RETURN CASE WHEN blob.is_stored THEN 'stored' ELSE 'new' END;
END;
$$;
COMMENT ON FUNCTION gateway.reserve_blob_v1(uuid, text, bigint, text) IS
    'Keeps a place for the bytes of a file, so that no gateway removes them meanwhile.';

-- The end of the work for one file, with what its message says of it from then on. False if another gateway has taken it.
CREATE OR REPLACE FUNCTION gateway.settle_media_v1(
    patience text, me uuid, item uuid, outcome text, why text, news jsonb
) RETURNS boolean
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    digest text;
BEGIN
    UPDATE gateway.media AS f
    SET state = outcome, reason = why, settled_at = now(), due_at = NULL, error = NULL,
        source = CASE WHEN outcome = 'stored' THEN NULL ELSE f.source END,
        sha256 = CASE WHEN outcome = 'stored' THEN f.sha256 END
    WHERE f.id = item AND f.holder = me AND f.state = 'pending'
    RETURNING f.sha256 INTO digest;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE gateway.blobs AS b SET is_stored = true WHERE b.sha256 = digest AND NOT b.is_stored;
    PERFORM gateway.tell_media_v1(patience, item,
        jsonb_build_object('state', outcome) || news
        || CASE WHEN why IS NULL THEN '{}' ELSE jsonb_build_object('reason', why) END);
    RETURN true;
END;
$$;
COMMENT ON FUNCTION gateway.settle_media_v1(text, uuid, uuid, text, text, jsonb) IS
    'Ends the work for a file: stored, or lost for a reason.';

-- Gives an upload to the message that sends it. NULL where it is not that person's, or another message's already;
-- otherwise what the message says of it.
CREATE OR REPLACE FUNCTION gateway.bind_media_v1(item uuid, maker text, box bigint, row_ref text) RETURNS jsonb
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE gateway.media AS f
    SET session = box, tbl = 'whatsapp_outgoing_messages', ref = row_ref
    FROM gateway.blobs AS b
    WHERE f.id = item AND f.ref IS NULL AND f.made_by = maker AND f.state = 'stored' AND b.sha256 = f.sha256
    RETURNING jsonb_build_object('id', f.id, 'state', f.state, 'kind', f.kind, 'mime', f.mime, 'name', f.name,
        'bytes', b.bytes);
$$;
COMMENT ON FUNCTION gateway.bind_media_v1(uuid, text, bigint, text) IS 'Gives an upload to the message that sends it.';

-- Another upload with the same file: for a template, which is sent many times.
CREATE OR REPLACE FUNCTION gateway.copy_media_v1(item uuid, maker text) RETURNS uuid
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO gateway.media AS f (state, kind, mime, name, sha256, made_by, settled_at)
    SELECT 'stored', m.kind, m.mime, m.name, m.sha256, maker, now()
    FROM gateway.media AS m
    WHERE m.id = item AND m.state = 'stored'
    RETURNING f.id;
$$;
COMMENT ON FUNCTION gateway.copy_media_v1(uuid, text) IS 'Makes a new upload of the file of another.';

-- Marks files that no message has, so that they can be removed from the media store. Of `among`, or, if that is NULL, of
-- all that were met long enough ago.
CREATE OR REPLACE FUNCTION gateway.take_unused_blobs_v1(among text[], most int) RETURNS SETOF text
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE gateway.blobs AS b
    SET is_going = true
    WHERE b.sha256 IN (
        SELECT unused.sha256 FROM gateway.blobs AS unused
        WHERE (unused.sha256 = ANY (among) OR (among IS NULL AND unused.made_at < now() - interval '1 hour'))
            AND NOT EXISTS (SELECT FROM gateway.media AS f WHERE f.sha256 = unused.sha256)
        ORDER BY unused.sha256
        LIMIT most
        FOR UPDATE SKIP LOCKED)
        AND NOT EXISTS (SELECT FROM gateway.media AS f WHERE f.sha256 = b.sha256)
    RETURNING b.sha256;
$$;
COMMENT ON FUNCTION gateway.take_unused_blobs_v1(text[], int) IS 'Files that no message has, marked for removal.';

-- Files older than the shop keeps them. Their messages say so; the bytes go when no message has them.
CREATE OR REPLACE FUNCTION gateway.expire_media_v1(patience text, keep interval, why text, most int) RETURNS int
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    item uuid;
    gone int := 0;
BEGIN
    FOR item IN
        SELECT f.id FROM gateway.media AS f
        WHERE f.state = 'stored' AND f.settled_at < now() - keep
        ORDER BY f.settled_at LIMIT most FOR UPDATE SKIP LOCKED
    LOOP
        UPDATE gateway.media AS f SET state = 'lost', reason = why, sha256 = NULL, settled_at = now() WHERE f.id = item;
        PERFORM gateway.tell_media_v1(patience, item, jsonb_build_object('state', 'lost', 'reason', why));
        gone := gone + 1;
    END LOOP;
    RETURN gone;
END;
$$;
COMMENT ON FUNCTION gateway.expire_media_v1(text, interval, text, int) IS
    'Ends files that are older than the shop keeps them; their messages say why.';

-- A call of the background that one gateway makes for a session, at most one in the cluster.
CREATE OR REPLACE FUNCTION gateway.take_upstream_turn_v1(box bigint, me uuid, hold interval) RETURNS boolean
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO gateway.upstream_turns AS t (session, holder, ends_at) VALUES (box, me, now() + hold)
    ON CONFLICT (session) DO UPDATE SET holder = excluded.holder, ends_at = excluded.ends_at WHERE t.ends_at < now()
    RETURNING true;
$$;
COMMENT ON FUNCTION gateway.take_upstream_turn_v1(bigint, uuid, interval) IS
    'Whether this gateway may make a call for that session now; NULL if another one does.';

-- What becomes of files that no message has any more, and of those that are asked for once more.

ALTER TABLE gateway.blobs ADD COLUMN IF NOT EXISTS going_at timestamptz;
COMMENT ON COLUMN gateway.blobs.going_at IS 'When a gateway began to remove it; another one does so a minute later, should that one have died.';

CREATE OR REPLACE FUNCTION gateway.take_unused_blobs_v2(among text[], most int) RETURNS SETOF text
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE gateway.blobs AS b
    SET is_going = true, going_at = now()
    WHERE b.sha256 IN (
        SELECT unused.sha256 FROM gateway.blobs AS unused
        WHERE CASE
                WHEN unused.is_going THEN unused.going_at < now() - interval '1 minute'
                WHEN among IS NOT NULL THEN unused.sha256 = ANY (among)
                ELSE unused.made_at < now() - interval '1 hour'
            END
            AND NOT EXISTS (SELECT FROM gateway.media AS f WHERE f.sha256 = unused.sha256)
        ORDER BY unused.sha256
        LIMIT most
        FOR UPDATE SKIP LOCKED)
        AND NOT EXISTS (SELECT FROM gateway.media AS f WHERE f.sha256 = b.sha256)
    RETURNING b.sha256;
$$;
COMMENT ON FUNCTION gateway.take_unused_blobs_v2(text[], int) IS
    'Files that no message has, marked for removal: those among the given, or all; and what a dead gateway has left.';

-- Uploads that no message took within a day.
CREATE OR REPLACE FUNCTION gateway.drop_unused_media_v1(most int) RETURNS int
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (
        DELETE FROM gateway.media AS f
        WHERE f.id IN (
            SELECT old.id FROM gateway.media AS old
            WHERE old.ref IS NULL AND old.made_at < now() - interval '24 hours'
            ORDER BY old.made_at LIMIT most FOR UPDATE SKIP LOCKED)
        RETURNING 1
    )
    SELECT count(*)::int FROM gone;
$$;
COMMENT ON FUNCTION gateway.drop_unused_media_v1(int) IS 'Removes uploads that no message took.';

-- Of the files behind `after`, in the order of their ids, those whose message is gone. Returns the last id that was
-- looked at; NULL at the end.
CREATE OR REPLACE FUNCTION gateway.drop_orphaned_media_v1(after uuid, most int, OUT last uuid, OUT gone int)
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    page uuid[];
BEGIN
    SELECT array_agg(f.id ORDER BY f.id) INTO page
    FROM (SELECT m.id FROM gateway.media AS m WHERE m.id > after ORDER BY m.id LIMIT most) AS f;
    last := page[cardinality(page)];
    DELETE FROM gateway.media AS f
    WHERE f.id = ANY (page) AND f.ref IS NOT NULL AND f.made_at < now() - interval '1 hour'
        AND NOT EXISTS (
            SELECT FROM public.whatsapp_incoming_messages AS i
            WHERE f.tbl = 'whatsapp_incoming_messages' AND i.message_id = f.ref)
        AND NOT EXISTS (
            SELECT FROM public.whatsapp_outgoing_messages AS o
            WHERE f.tbl = 'whatsapp_outgoing_messages' AND o.client_id = f.ref);
    GET DIAGNOSTICS gone = ROW_COUNT;
END;
$$;
COMMENT ON FUNCTION gateway.drop_orphaned_media_v1(uuid, int) IS 'Removes files whose message is gone, page by page.';

-- Erases files: their rows at once; returned are the hashes of the bytes, which go when no other message has them.
CREATE OR REPLACE FUNCTION gateway.erase_media_v1(items uuid[]) RETURNS text[]
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (DELETE FROM gateway.media AS f WHERE f.id = ANY (items) RETURNING f.sha256)
    SELECT coalesce(array_agg(DISTINCT gone.sha256) FILTER (WHERE gone.sha256 IS NOT NULL), '{}') FROM gone;
$$;
COMMENT ON FUNCTION gateway.erase_media_v1(uuid[]) IS 'Erases files of messages.';

-- Lost files are asked for once more: those of `items`, or all whose source is known.
CREATE OR REPLACE FUNCTION gateway.retry_media_v1(patience text, items uuid[]) RETURNS int
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    item uuid;
    asked int := 0;
BEGIN
    FOR item IN
        UPDATE gateway.media AS f
        SET state = 'pending', reason = NULL, due_at = now(), tries = 0, made_at = now(), settled_at = NULL, holder = NULL
        WHERE f.state = 'lost' AND f.source IS NOT NULL AND f.ref IS NOT NULL
            AND (items IS NULL OR f.id = ANY (items))
        RETURNING f.id
    LOOP
        PERFORM gateway.tell_media_v1(patience, item, '{"state": "pending"}');
        asked := asked + 1;
    END LOOP;
    RETURN asked;
END;
$$;
COMMENT ON FUNCTION gateway.retry_media_v1(text, uuid[]) IS 'Asks for lost files once more.';

COMMENT ON COLUMN gateway.media.made_at IS
    'When the message or the upload came, or the file was asked for once more: it is tried for 7 days from then on.';

-- Files of messages: who has which file, where its bytes are, and what is still to be fetched.
--
-- A row of gateway.media belongs to one message, found by `ref`: `message_id` of an incoming one, `client_id` of an
-- outgoing one. Until it is bound to a message, an upload has none. The bytes stand in the media store under their hash;
-- messages with the same bytes share them.

SELECT gateway.adopt_v1('public.whatsapp_incoming_messages', 'Messages from customers, one row per message and session.', ARRAY[
    ['media', 'jsonb', 'The file of this message: {id, state, kind, mime, name, bytes, …}; NULL for none.']
]);
SELECT gateway.adopt_v1('public.whatsapp_outgoing_messages', 'Messages sent by the shop, queued or gone out.', ARRAY[
    ['media', 'jsonb', 'The file of this message: {id, state, kind, mime, name, bytes, …}; NULL for none.']
]);

CREATE TABLE IF NOT EXISTS gateway.blobs (
    sha256 text PRIMARY KEY,
    bytes bigint NOT NULL,
    mime text NOT NULL,
    is_stored boolean NOT NULL DEFAULT false,
    is_going boolean NOT NULL DEFAULT false,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS blobs_unsettled ON gateway.blobs (made_at) WHERE is_going OR NOT is_stored;
COMMENT ON TABLE gateway.blobs IS 'Files in the media store, each once, whatever number of messages has it.';
COMMENT ON COLUMN gateway.blobs.sha256 IS 'SHA-256 of the file, in hexadecimal: its name in the media store.';
COMMENT ON COLUMN gateway.blobs.bytes IS 'Its size.';
COMMENT ON COLUMN gateway.blobs.mime IS 'What its bytes say that it is.';
COMMENT ON COLUMN gateway.blobs.is_stored IS 'Whether it stands in the media store, whole.';
COMMENT ON COLUMN gateway.blobs.is_going IS 'It is being removed: a message that brings it again waits until that is done.';
COMMENT ON COLUMN gateway.blobs.made_at IS 'When it was first met.';

CREATE TABLE IF NOT EXISTS gateway.media (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session bigint,
    tbl text,
    ref text,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'stored', 'lost')),
    reason text,
    kind text NOT NULL,
    mime text,
    name text,
    sha256 text REFERENCES gateway.blobs,
    source jsonb,
    made_by text,
    made_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    due_at timestamptz,
    tries int NOT NULL DEFAULT 0,
    holder uuid,
    error text
);
CREATE INDEX IF NOT EXISTS media_due ON gateway.media (due_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS media_ref ON gateway.media (ref);
CREATE INDEX IF NOT EXISTS media_sha256 ON gateway.media (sha256);
CREATE INDEX IF NOT EXISTS media_unused ON gateway.media (made_at) WHERE ref IS NULL;
CREATE INDEX IF NOT EXISTS media_settled ON gateway.media (settled_at) WHERE state = 'stored';
COMMENT ON TABLE gateway.media IS 'One row per file of a message: its state, and the work that is left to do for it.';
COMMENT ON COLUMN gateway.media.id IS 'What the message''s data call it.';
COMMENT ON COLUMN gateway.media.session IS 'Session of the message; NULL for an upload that no message has yet.';
COMMENT ON COLUMN gateway.media.tbl IS 'Table of the message.';
COMMENT ON COLUMN gateway.media.ref IS 'message_id of an incoming message, client_id of an outgoing one; NULL until there is one.';
COMMENT ON COLUMN gateway.media.state IS 'pending: it is being fetched. stored. lost: it cannot be had any more.';
COMMENT ON COLUMN gateway.media.reason IS 'Why it is lost, in words.';
COMMENT ON COLUMN gateway.media.kind IS 'image, video, audio, document or sticker.';
COMMENT ON COLUMN gateway.media.mime IS 'The type that the message names; of an upload, the type of its bytes.';
COMMENT ON COLUMN gateway.media.name IS 'File name, as the message has it.';
COMMENT ON COLUMN gateway.media.sha256 IS 'The file itself.';
COMMENT ON COLUMN gateway.media.source IS
    'Where it lies encrypted, with its key and hashes. Gone once it is stored; never told to a client.';
COMMENT ON COLUMN gateway.media.made_by IS 'Of an upload: `sub` of its maker.';
COMMENT ON COLUMN gateway.media.made_at IS 'When the message came, or the upload.';
COMMENT ON COLUMN gateway.media.settled_at IS 'When it was stored or given up.';
COMMENT ON COLUMN gateway.media.due_at IS
    'Not to be fetched before. A gateway that fetches it puts it off, and again as long as it is at work.';
COMMENT ON COLUMN gateway.media.tries IS 'How often it was tried.';
COMMENT ON COLUMN gateway.media.holder IS 'The gateway that tries, or tried last.';
COMMENT ON COLUMN gateway.media.error IS 'What kept the last try from its end.';

CREATE TABLE IF NOT EXISTS gateway.upstream_turns (
    session bigint PRIMARY KEY,
    holder uuid NOT NULL,
    ends_at timestamptz NOT NULL
);
COMMENT ON TABLE gateway.upstream_turns IS
    'Sessions with a call of the background under way: one at a time in the cluster, beside the sender.';
COMMENT ON COLUMN gateway.upstream_turns.session IS 'The session.';
COMMENT ON COLUMN gateway.upstream_turns.holder IS 'The gateway that calls.';
COMMENT ON COLUMN gateway.upstream_turns.ends_at IS 'When the turn ends by itself, should the gateway have died.';

-- What the column of a message says changes: a client hears of it as of every other change.
CREATE OR REPLACE FUNCTION gateway.tell_incoming_media_v1(box bigint, row_ref text, item text, news jsonb) RETURNS void
LANGUAGE sql
AS $$
    UPDATE public.whatsapp_incoming_messages AS m
    SET media = (m.media - 'reason') || news
    WHERE m.message_id = row_ref AND m.wasender_session_id = box AND m.media ->> 'id' = item;
$$;
COMMENT ON FUNCTION gateway.tell_incoming_media_v1(bigint, text, text, jsonb) IS
    'Writes what has become of a file into its incoming message.';

CREATE OR REPLACE FUNCTION gateway.tell_outgoing_media_v1(box bigint, row_ref text, item text, news jsonb) RETURNS void
LANGUAGE sql
AS $$
    UPDATE public.whatsapp_outgoing_messages AS m
    SET media = (m.media - 'reason') || news
    WHERE m.client_id = row_ref AND m.wasender_session_id = box AND m.media ->> 'id' = item;
$$;
COMMENT ON FUNCTION gateway.tell_outgoing_media_v1(bigint, text, text, jsonb) IS
    'Writes what has become of a file into its outgoing message.';

CREATE OR REPLACE FUNCTION gateway.tell_media_v1(patience text, item uuid, news jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    one gateway.media;
BEGIN
    SELECT * INTO one FROM gateway.media AS f WHERE f.id = item;
    PERFORM set_config('lock_timeout', patience, true);
    IF one.tbl = 'whatsapp_incoming_messages' THEN
        PERFORM gateway.tell_incoming_media_v1(one.session, one.ref, item::text, news);
    ELSIF one.tbl = 'whatsapp_outgoing_messages' THEN
        PERFORM gateway.tell_outgoing_media_v1(one.session, one.ref, item::text, news);
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.tell_media_v1(text, uuid, jsonb) IS 'Writes what has become of a file into its message.';

-- A shop's table may have a column `media` of its own. One of another type than jsonb cannot hold ours: then ours is
-- called `gateway_media`, and the functions that name it are made anew with that name.
CREATE OR REPLACE FUNCTION gateway.fit_media_column_v1(tbl regclass, fn regprocedure) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_attribute AS a
        WHERE a.attrelid = tbl AND a.attname = 'media' AND a.attnum > 0 AND NOT a.attisdropped
            AND a.atttypid = 'jsonb'::regtype
    ) THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS gateway_media jsonb', tbl);
    EXECUTE regexp_replace(pg_get_functiondef(fn), '(?<!gateway\.)\mmedia\M', 'gateway_media', 'g');
END;
$$;
COMMENT ON FUNCTION gateway.fit_media_column_v1(regclass, regprocedure) IS
    'Makes a function that names the column `media` of a table fit a table where that column is another''s.';

SELECT gateway.fit_media_column_v1(
    'public.whatsapp_incoming_messages', 'gateway.tell_incoming_media_v1(bigint, text, text, jsonb)');
SELECT gateway.fit_media_column_v1(
    'public.whatsapp_outgoing_messages', 'gateway.tell_outgoing_media_v1(bigint, text, text, jsonb)');

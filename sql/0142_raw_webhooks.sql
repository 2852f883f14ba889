-- Webhooks as WasenderAPI sent them, for targets in raw mode. They are kept while there is such a target.

CREATE TABLE IF NOT EXISTS gateway.raw_webhooks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    off bigint UNIQUE,
    uid uuid NOT NULL DEFAULT gen_random_uuid(),
    session bigint NOT NULL,
    event text NOT NULL,
    chat text NOT NULL,
    body bytea NOT NULL,
    key_at int[] NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS raw_webhooks_at ON gateway.raw_webhooks (at);
COMMENT ON TABLE gateway.raw_webhooks IS 'Webhooks as they came, without the session''s key, for targets in raw mode.';
COMMENT ON COLUMN gateway.raw_webhooks.id IS 'Number of the row.';
COMMENT ON COLUMN gateway.raw_webhooks.off IS 'Its place, given as its transaction commits.';
COMMENT ON COLUMN gateway.raw_webhooks.uid IS 'What names it to receivers.';
COMMENT ON COLUMN gateway.raw_webhooks.session IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.raw_webhooks.event IS 'Name of the event, in lower case.';
COMMENT ON COLUMN gateway.raw_webhooks.chat IS 'The chat that it is about; empty where it is about none.';
COMMENT ON COLUMN gateway.raw_webhooks.body IS 'The bytes of the body, with the session''s key cut out.';
COMMENT ON COLUMN gateway.raw_webhooks.key_at IS 'Where the key stood in them.';
COMMENT ON COLUMN gateway.raw_webhooks.at IS 'When it was kept.';

CREATE SEQUENCE IF NOT EXISTS gateway.raw_offsets AS bigint;
COMMENT ON SEQUENCE gateway.raw_offsets IS 'Gives webhooks in raw_webhooks their places.';

-- Under one lock from here to the end of the commit: who reads past an offset misses none that is committed later. A
-- webhook's messages were written before it, so that every transaction takes the locks of its inboxes first.
CREATE OR REPLACE FUNCTION gateway.number_raw_v1() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(98363172159029248);
    UPDATE gateway.raw_webhooks SET off = nextval('gateway.raw_offsets') WHERE id = NEW.id;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.number_raw_v1() IS 'Gives a kept webhook its place, as its transaction commits.';

DROP TRIGGER IF EXISTS number_raw ON gateway.raw_webhooks;
CREATE CONSTRAINT TRIGGER number_raw AFTER INSERT ON gateway.raw_webhooks
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gateway.number_raw_v1();

CREATE OR REPLACE FUNCTION gateway.keep_raw_v1(
    sessions bigint[], events text[], chats text[], bodies bytea[], keys_at text[]
) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH kept AS (
        INSERT INTO gateway.raw_webhooks (session, event, chat, body, key_at)
        SELECT w.session, w.event, w.chat, w.body, string_to_array(w.key_at, ',')::int[]
        FROM unnest(sessions, events, chats, bodies, keys_at) WITH ORDINALITY AS w (session, event, chat, body, key_at, place)
        WHERE EXISTS (SELECT FROM gateway.webhook_targets AS t WHERE t.mode = 'raw')
        ORDER BY w.place
        RETURNING 1
    )
    SELECT count(*) FROM kept;
$$;
COMMENT ON FUNCTION gateway.keep_raw_v1(bigint[], text[], text[], bytea[], text[]) IS
    'Keeps webhooks as they came, if there is a target in raw mode.';

ALTER TABLE gateway.webhook_deliveries ADD COLUMN IF NOT EXISTS is_raw boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN gateway.webhook_deliveries.is_raw IS 'Whether it is a webhook of raw_webhooks: off is its place there, epoch its uid.';

-- Gateways hear of targets at once, not of how far each is.
CREATE OR REPLACE FUNCTION gateway.tell_targets_v1() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('whatsapp_gateway_targets', '');
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.tell_targets_v1() IS 'Notifies gateways that targets have changed.';

DROP TRIGGER IF EXISTS tell_targets ON gateway.webhook_targets;
CREATE TRIGGER tell_targets AFTER INSERT OR DELETE OR UPDATE OF changed_at ON gateway.webhook_targets
FOR EACH STATEMENT EXECUTE FUNCTION gateway.tell_targets_v1();

CREATE OR REPLACE FUNCTION gateway.tops_v1() RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((
            SELECT jsonb_object_agg(i.inbox, jsonb_build_object('off', i.off, 'epoch', i.epoch))
            FROM gateway.inboxes AS i), '{}')
        || jsonb_build_object('raw', jsonb_build_object('off', coalesce((SELECT max(r.off) FROM gateway.raw_webhooks AS r), 0)));
$$;
COMMENT ON FUNCTION gateway.tops_v1() IS 'The cursor of a target that is sent what happens from now on.';

CREATE OR REPLACE FUNCTION gateway.add_deliveries_v2(
    to_target bigint, seen jsonb, moved jsonb, of_raw boolean,
    inboxes bigint[], offs bigint[], epochs text[], sessions bigint[], chats text[], events text[]
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE gateway.webhook_targets AS t SET cursor = moved WHERE t.id = to_target AND t.cursor = seen;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO gateway.webhook_deliveries (target, is_raw, inbox, off, epoch, session, chat, event)
    SELECT to_target, of_raw, e.inbox, e.off, e.epoch::uuid, e.session, e.chat, e.event
    FROM unnest(inboxes, offs, epochs, sessions, chats, events) WITH ORDINALITY
        AS e (inbox, off, epoch, session, chat, event, place)
    ORDER BY e.place;
    RETURN true;
END;
$$;
COMMENT ON FUNCTION gateway.add_deliveries_v2(bigint, jsonb, jsonb, boolean, bigint[], bigint[], text[], bigint[], text[], text[]) IS
    'Adds deliveries and moves the cursor past their events; false where the cursor is not the one that was read.';

CREATE OR REPLACE FUNCTION gateway.due_deliveries_v2(of_target bigint, now_at timestamptz, busy bigint[], most int)
RETURNS TABLE (
    id bigint, inbox bigint, off bigint, epoch text, session bigint, event text, failures int,
    first_failed_at timestamptz, is_there boolean, made_at timestamptz,
    event_at text, tbl text, op text, record jsonb, old jsonb, is_raw boolean, body bytea, key_at int[]
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH heads AS (
        SELECT DISTINCT ON (d.session, d.chat) d.*
        FROM gateway.webhook_deliveries AS d
        WHERE d.target = of_target AND d.state = 'pending'
        ORDER BY d.session, d.chat, d.id
    )
    SELECT h.id, h.inbox, h.off, h.epoch::text, h.session, h.event, h.failures, h.first_failed_at, s.off IS NOT NULL,
        h.made_at, to_char(s.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), s.tbl, s.op, s.record, s.old,
        h.is_raw, r.body, r.key_at
    FROM heads AS h
    LEFT JOIN gateway.inboxes AS i ON NOT h.is_raw AND i.inbox = h.inbox
    LEFT JOIN gateway.stream AS s ON s.inbox = i.inbox AND s.off = h.off AND s.off > i.floor
    LEFT JOIN gateway.raw_webhooks AS r ON h.is_raw AND r.off = h.off
    WHERE (h.due_at IS NULL OR h.due_at <= now_at) AND h.id <> ALL (busy)
    ORDER BY h.due_at NULLS FIRST, h.id
    LIMIT most;
$$;
COMMENT ON FUNCTION gateway.due_deliveries_v2(bigint, timestamptz, bigint[], int) IS
    'Deliveries that may begin now: the first of each chat, with its event or its webhook.';

-- The target before its deliveries, as when it is deleted: two transactions never wait for each other crosswise.
CREATE OR REPLACE FUNCTION gateway.end_deliveries_v1(
    of_target bigint, ids bigint[], states text[], counts int[], firsts timestamptz[], dues timestamptz[],
    answers text[], now_at timestamptz
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM gateway.webhook_targets AS t WHERE t.id = of_target FOR NO KEY UPDATE;
    UPDATE gateway.webhook_deliveries AS d SET
        state = e.state, failures = e.failures, first_failed_at = e.first_failed_at, due_at = e.due_at,
        answer = e.answer, ended_at = CASE WHEN e.state <> 'pending' THEN now_at END
    FROM unnest(ids, states, counts, firsts, dues, answers) AS e (id, state, failures, first_failed_at, due_at, answer)
    WHERE d.target = of_target AND d.id = e.id AND d.state = 'pending';
    IF 'delivered' = ANY (states) THEN
        UPDATE gateway.webhook_targets AS t SET delivered_at = now_at WHERE t.id = of_target;
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.end_deliveries_v1(
    bigint, bigint[], text[], int[], timestamptz[], timestamptz[], text[], timestamptz
) IS 'Writes what has become of deliveries.';

-- As in 0141, and the kept webhooks that name the person.
CREATE OR REPLACE FUNCTION gateway.erase_webhooks_out_v1(box bigint, addresses text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    WITH gone AS (
        DELETE FROM gateway.raw_webhooks AS r
        WHERE r.session = box AND (r.chat = ANY (addresses) OR convert_from(r.body, 'UTF8') LIKE ANY (ARRAY(
            SELECT '%' || split_part(a, '@', 1) || '%' FROM unnest(addresses) AS a)))
        RETURNING r.off
    )
    DELETE FROM gateway.webhook_deliveries AS d USING gone WHERE d.is_raw AND d.off = gone.off;
    DELETE FROM gateway.webhook_deliveries AS d
    WHERE d.session = box AND d.chat = ANY (addresses)
        AND (d.is_raw OR d.event <> 'message.deleted' OR d.state = 'delivered');
    UPDATE gateway.webhook_deliveries AS d
    SET chat = CASE WHEN d.chat = ANY (addresses) THEN '' ELSE d.chat END, answer = NULL
    WHERE d.session = box
        AND (d.chat = ANY (addresses) OR d.answer LIKE ANY (gateway.patterns_of_v1(addresses)));
END;
$$;

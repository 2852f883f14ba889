-- Numbering: the changes a transaction has collected get their offsets while it commits, and the bells ring.
--
-- Offsets given earlier would hold the counter's lock until the transaction ends: everybody else who writes to that
-- inbox would wait for a stranger, and two who go through the inboxes in different order would deadlock.
--
-- A transaction under REPEATABLE READ or SERIALIZABLE whose inbox got other events since its snapshot ends with a
-- serialization failure (40001), which those levels ask every writer to expect and to retry.

-- Ends a statement's collecting: notes floods, drops what would be too much to tell, and marks the transaction.
-- `changed` is the number of changes just staged, `flooded` the inboxes of which nothing was staged because the
-- statement alone changed more than 5,000 rows of them. To be called after the staging: under
-- SET CONSTRAINTS ALL IMMEDIATE the numbering happens within the insert of the mark.
CREATE OR REPLACE FUNCTION gateway.mark_v1(changed bigint, flooded bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me xid8 := pg_current_xact_id();
    -- A setting of the transaction costs no row, and a savepoint's rollback takes it back.
    before bigint := coalesce(nullif(current_setting('gateway.staged', true), ''), '0')::bigint;
    total bigint := before + changed;
BEGIN
    IF changed > 0 THEN
        PERFORM set_config('gateway.staged', total::text, true);
    END IF;
    IF cardinality(flooded) > 0 THEN
        INSERT INTO gateway.staged (xid, inbox, op)
        SELECT me, inbox, 'FLOOD' FROM unnest(flooded) AS inbox;
    END IF;
    -- Many small statements can make a flood too. Counting is not free, so look once per thousand changes.
    IF total > 5000 AND total / 1000 <> before / 1000 THEN
        WITH flood AS (
            SELECT inbox
            FROM gateway.staged
            WHERE xid = me
            GROUP BY inbox
            HAVING count(*) > 5000 OR (bool_or(op = 'FLOOD') AND count(*) > 1)
        ), dropped AS (
            DELETE FROM gateway.staged AS s
            USING flood
            WHERE s.xid = me AND s.inbox = flood.inbox
        )
        INSERT INTO gateway.staged (xid, inbox, op)
        SELECT me, inbox, 'FLOOD' FROM flood;
    END IF;
    INSERT INTO gateway.marked (xid) VALUES (me) ON CONFLICT DO NOTHING;
END;
$$;
COMMENT ON FUNCTION gateway.mark_v1(bigint, bigint[]) IS
    'Marks the transaction as having changes to number when it commits.';

-- Rings `channel` with a list of numbers; `*` when the list is long (a payload ends at 7,999 bytes).
CREATE OR REPLACE FUNCTION gateway.ring_v1(channel text, numbers bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    list text := array_to_string(numbers, ',');
BEGIN
    IF list <> '' THEN
        PERFORM pg_notify(channel, CASE WHEN octet_length(list) > 1000 THEN '*' ELSE list END);
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.ring_v1(text, bigint[]) IS 'One NOTIFY that names what moved; none for nothing.';

-- Sessions first, then inboxes, each in ascending order, in every transaction: so two of them can wait for one
-- another, but never in a circle.
CREATE OR REPLACE FUNCTION gateway.number_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    sessions bigint[];
    boxes bigint[];
    floods bigint[];
BEGIN
    DELETE FROM gateway.marked WHERE xid = NEW.xid;
    PERFORM set_config('gateway.staged', '0', true);

    SELECT array_agg(wasender_session_id ORDER BY wasender_session_id) INTO sessions
    FROM gateway.touched
    WHERE xid = NEW.xid;
    IF sessions IS NOT NULL THEN
        DELETE FROM gateway.touched WHERE xid = NEW.xid;
        INSERT INTO gateway.session_state AS s (wasender_session_id, version)
        SELECT session, 1 FROM unnest(sessions) AS session
        ON CONFLICT (wasender_session_id) DO UPDATE SET version = s.version + 1;
    END IF;

    SELECT array_agg(inbox ORDER BY inbox), array_agg(inbox) FILTER (WHERE flood) INTO boxes, floods
    FROM (
        SELECT inbox, count(*) > 5000 OR bool_or(op = 'FLOOD') AS flood
        FROM gateway.staged
        WHERE xid = NEW.xid
        GROUP BY inbox
    ) AS counted;
    IF boxes IS NOT NULL OR sessions IS NOT NULL THEN
        INSERT INTO gateway.inboxes (inbox)
        SELECT inbox
        FROM (SELECT unnest(boxes) AS inbox UNION SELECT unnest(sessions)) AS needed
        WHERE inbox = ANY (boxes) OR inbox > 0
        ORDER BY inbox
        ON CONFLICT DO NOTHING;
    END IF;
    IF boxes IS NOT NULL THEN
        PERFORM FROM gateway.inboxes WHERE inbox = ANY (boxes) ORDER BY inbox FOR NO KEY UPDATE;
        IF floods IS NOT NULL THEN
            UPDATE gateway.inboxes
            SET off = off + 1, floor = off + 1, epoch = gen_random_uuid()
            WHERE inbox = ANY (floods);
            DELETE FROM gateway.staged WHERE xid = NEW.xid AND inbox = ANY (floods);
        END IF;
        PERFORM gateway.write_stream_v1(NEW.xid);
    END IF;

    PERFORM gateway.ring_v1('whatsapp_sessions', sessions);
    PERFORM gateway.ring_v1('whatsapp_incoming_messages', boxes);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.number_changes() IS 'Gives a committing transaction''s changes their offsets and rings.';

-- The counters' rows are locked by the caller.
CREATE OR REPLACE FUNCTION gateway.write_stream_v1(me xid8) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    WITH moved AS (
        UPDATE gateway.inboxes AS i
        SET off = i.off + c.n
        FROM (SELECT inbox, count(*) AS n FROM gateway.staged WHERE xid = me GROUP BY inbox) AS c
        WHERE i.inbox = c.inbox
        RETURNING i.inbox, i.off - c.n AS base
    ), taken AS (
        DELETE FROM gateway.staged WHERE xid = me
        RETURNING inbox, seq, tbl, op, record, old
    )
    INSERT INTO gateway.stream (inbox, off, at, tbl, op, record, old)
    SELECT t.inbox, m.base + row_number() OVER (PARTITION BY t.inbox ORDER BY t.seq),
        clock_timestamp(), t.tbl, t.op, t.record, t.old
    FROM taken AS t
    JOIN moved AS m ON m.inbox = t.inbox
    ORDER BY t.inbox, t.seq;
END;
$$;
COMMENT ON FUNCTION gateway.write_stream_v1(xid8) IS 'Moves staged changes of a transaction into the stream.';

DROP TRIGGER IF EXISTS gateway_number_changes ON gateway.marked;
CREATE CONSTRAINT TRIGGER gateway_number_changes
    AFTER INSERT ON gateway.marked
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION gateway.number_changes();

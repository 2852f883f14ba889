-- Most transactions write one row, or rows of one inbox. For them the commit asked seven questions: which sessions are
-- touched, which inboxes and how many changes, whether the counters exist, the lock, the count, the stream. A setting of
-- the transaction knows the answer as the changes are collected, so the counter is locked and counted in one UPDATE.
-- A setting costs no row, and a savepoint's rollback takes it back. Whatever it says, the changes themselves decide:
-- what is not found under that inbox is numbered as before.

-- As in 0047: all waits together are shorter than deadlock_timeout, and no writer is inside a trigger meanwhile.
SET LOCAL lock_timeout = '200ms';
LOCK TABLE public.whatsapp_sessions, public.whatsapp_incoming_messages, public.whatsapp_outgoing_messages,
    gateway.whatsapp_link_attempts IN SHARE ROW EXCLUSIVE MODE;

-- The first change of a transaction is its marker: one row and one index entry less to write and to delete.
ALTER TABLE gateway.pending_changes ADD COLUMN IF NOT EXISTS is_first boolean;
COMMENT ON COLUMN gateway.pending_changes.is_first IS 'Whether the commit is to number the changes because of this row.';
DROP TRIGGER IF EXISTS gateway_number_changes ON gateway.pending_changes;
CREATE CONSTRAINT TRIGGER gateway_number_changes
    AFTER INSERT ON gateway.pending_changes
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.is_first) EXECUTE FUNCTION gateway.number_changes();
SELECT gateway.note_triggers_v1();

-- What a statement within a trigger changed comes after what the statement outside changed; and many small statements
-- can make a flood, too.
CREATE OR REPLACE FUNCTION gateway.arrange_changes_v1(before bigint, changed bigint) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    me xid8 := pg_current_xact_id();
    nested bigint := nullif(current_setting('gateway.nested_from', true), '')::bigint;
    own bigint[];
BEGIN
    IF pg_trigger_depth() > 1 AND nested IS NULL THEN
        own := gateway.own_changes_v1(me, changed);
        PERFORM set_config('gateway.nested_from', own[cardinality(own)]::text, true);
    ELSIF pg_trigger_depth() = 1 AND nested IS NOT NULL THEN
        PERFORM gateway.order_nested_changes_v1(me, nested, gateway.own_changes_v1(me, changed));
        PERFORM set_config('gateway.nested_from', '', true);
    END IF;
    -- Counting is not free, so look once per thousand changes.
    IF before + changed > 5000 THEN
        PERFORM set_config('gateway.pending_inbox', '*', true);
        IF (before + changed) / 1000 <> before / 1000 THEN
            PERFORM gateway.drop_floods_v1(ARRAY[me]);
        END IF;
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.arrange_changes_v1(bigint, bigint) IS
    'Puts what this transaction collected last into its order, and drops what is more than a stream tells.';

CREATE OR REPLACE FUNCTION gateway.mark_commit_v1(changed bigint, flooded bigint[]) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    me xid8 := pg_current_xact_id();
    known text := coalesce(current_setting('gateway.pending_inbox', true), '');
    before bigint;
BEGIN
    IF cardinality(flooded) > 0 THEN
        INSERT INTO gateway.pending_changes (xid, inbox, op)
        SELECT me, item.inbox, 'FLOOD' FROM unnest(flooded) AS item(inbox);
    END IF;
    IF changed > 0 AND gateway.is_read_committed_v1() THEN
        before := coalesce(nullif(current_setting('gateway.pending_changes', true), ''), '0')::bigint;
        PERFORM set_config('gateway.pending_changes', (before + changed)::text, true);
        PERFORM gateway.arrange_changes_v1(before, changed);
    END IF;
    IF known <> '*' THEN
        PERFORM set_config('gateway.pending_inbox', '*', true);
    END IF;
    IF known = '' THEN
        INSERT INTO gateway.commit_markers (xid) VALUES (me) ON CONFLICT DO NOTHING;
    END IF;
END;
$$;

-- The settings come before the rows: where constraints are immediate, the row that is first is numbered with them.
-- An assignment is cheaper than PERFORM, which is a query.
CREATE OR REPLACE FUNCTION gateway.collect_inserts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
DECLARE
    changed bigint;
    lowest bigint;
    highest bigint;
    known text := coalesce(current_setting('gateway.pending_inbox', true), '');
    before bigint := coalesce(nullif(current_setting('gateway.pending_changes', true), ''), '0')::bigint;
    flooded bigint[];
    ignored text;
BEGIN
    SELECT count(*), min(gateway.inbox_of(f.wasender_session_id)), max(gateway.inbox_of(f.wasender_session_id))
    INTO changed, lowest, highest
    FROM fresh AS f;
    IF changed = 0 THEN
        RETURN NULL;
    END IF;
    IF changed > 5000 THEN
        flooded := ARRAY(
            SELECT gateway.inbox_of(f.wasender_session_id) FROM fresh AS f GROUP BY 1 HAVING count(*) > 5000
        );
        INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
        SELECT pg_current_xact_id(), gateway.inbox_of(f.wasender_session_id), TG_TABLE_NAME, 'INSERT',
            gateway.record_of_v1(f.*, TG_RELID), jsonb_build_object('id', f.id)
        FROM fresh AS f
        WHERE gateway.inbox_of(f.wasender_session_id) <> ALL (flooded);
        GET DIAGNOSTICS changed = ROW_COUNT;
        PERFORM gateway.mark_commit_v1(changed, flooded);
        RETURN NULL;
    END IF;
    IF gateway.is_read_committed_v1() THEN
        ignored := set_config('gateway.pending_changes', (before + changed)::text, true);
    END IF;
    IF lowest <> highest OR known NOT IN ('', lowest::text) THEN
        ignored := set_config('gateway.pending_inbox', '*', true);
    ELSIF known = '' THEN
        ignored := set_config('gateway.pending_inbox', lowest::text, true);
    END IF;
    IF changed = 1 THEN
        INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old, is_first)
        SELECT pg_current_xact_id(), lowest, TG_TABLE_NAME, 'INSERT',
            gateway.record_of_v1(f.*, TG_RELID), jsonb_build_object('id', f.id), known = ''
        FROM fresh AS f;
    ELSE
        INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old, is_first)
        SELECT pg_current_xact_id(), gateway.inbox_of(f.wasender_session_id), TG_TABLE_NAME, 'INSERT',
            gateway.record_of_v1(f.*, TG_RELID), jsonb_build_object('id', f.id),
            known = '' AND row_number() OVER () = 1
        FROM fresh AS f;
    END IF;
    IF pg_trigger_depth() > 1 OR before + changed > 5000 OR current_setting('gateway.nested_from', true) <> '' THEN
        IF gateway.is_read_committed_v1() THEN
            PERFORM gateway.arrange_changes_v1(before, changed);
        END IF;
    END IF;
    RETURN NULL;
END;
$$;

-- `expected` changes, all of one inbox. False if anything is left to number.
CREATE OR REPLACE FUNCTION gateway.number_one_inbox_v1(me xid8, box bigint, expected bigint) RETURNS boolean
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    base bigint;
    written bigint;
    ignored text;
BEGIN
    UPDATE gateway.inboxes AS i SET off = i.off + expected WHERE i.inbox = box RETURNING i.off - expected INTO base;
    IF base IS NULL THEN
        RETURN false;
    END IF;
    IF expected = 1 THEN
        WITH taken AS (
            DELETE FROM gateway.pending_changes AS p WHERE p.xid = me AND p.inbox = box
            RETURNING p.tbl, p.op, p.record, p.old
        )
        INSERT INTO gateway.stream (inbox, off, at, tbl, op, record, old)
        SELECT box, base + 1, clock_timestamp(), t.tbl, t.op, t.record, t.old FROM taken AS t;
    ELSE
        WITH taken AS (
            DELETE FROM gateway.pending_changes AS p WHERE p.xid = me AND p.inbox = box
            RETURNING p.seq, p.tbl, p.op, p.record, p.old
        )
        INSERT INTO gateway.stream (inbox, off, at, tbl, op, record, old)
        SELECT box, base + row_number() OVER (ORDER BY t.seq), clock_timestamp(), t.tbl, t.op, t.record, t.old
        FROM taken AS t
        ORDER BY t.seq;
    END IF;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written = expected THEN
        ignored := pg_notify('whatsapp_incoming_messages', box::text);
    ELSE
        UPDATE gateway.inboxes AS i SET off = base + written WHERE i.inbox = box;
    END IF;
    RETURN written = expected;
END;
$$;

CREATE OR REPLACE FUNCTION gateway.number_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    box text := coalesce(current_setting('gateway.pending_inbox', true), '*');
    expected bigint;
    ignored text;
BEGIN
    IF gateway.may_be_prepared_v1() THEN
        INSERT INTO gateway.unnumbered_transactions (xid) VALUES (NEW.xid) ON CONFLICT DO NOTHING;
    ELSIF NOT gateway.is_read_committed_v1() THEN
        INSERT INTO gateway.unnumbered_transactions (xid) VALUES (NEW.xid) ON CONFLICT DO NOTHING;
        PERFORM pg_notify('whatsapp_incoming_messages', 'unnumbered');
    ELSE
        IF TG_RELID = 'gateway.commit_markers'::regclass OR box !~ '^[0-9]{1,18}$' THEN
            DELETE FROM gateway.commit_markers AS c WHERE c.xid = NEW.xid;
        END IF;
        expected := coalesce(nullif(current_setting('gateway.pending_changes', true), ''), '0')::bigint;
        ignored := set_config('gateway.pending_changes', '0', true);
        ignored := set_config('gateway.pending_inbox', '', true);
        IF box ~ '^[0-9]{1,18}$' AND expected BETWEEN 1 AND 5000 THEN
            IF gateway.number_one_inbox_v1(NEW.xid, box::bigint, expected) THEN
                RETURN NULL;
            END IF;
        END IF;
        PERFORM gateway.number_v1(NEW.xid);
    END IF;
    RETURN NULL;
END;
$$;

-- A trigger of the shop that changes the very row it was called for (AFTER INSERT … FOR EACH ROW, a customer is looked
-- up and written into it) ends before the statement that called it, so its change was collected first: browsers heard of
-- the new values and then of the old ones, and kept those. Here it is put in its turn.

-- `own` are the changes that the outer statement has just collected. One of a row that looks otherwise by now was not the
-- last: what has been collected of that row from `nested` on came after it.
CREATE OR REPLACE FUNCTION gateway.put_in_turn_v1(me xid8, nested bigint, own bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    source text := (SELECT tbl FROM gateway.staged WHERE xid = me AND seq = own[1]);
    key_type text := (
        SELECT format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = format('public.%I', source)::regclass AND attname = 'id'
    );
BEGIN
    EXECUTE format(
        $sql$
        WITH stale AS (
            SELECT s.old ->> 'id' AS id
            FROM gateway.staged AS s
            LEFT JOIN public.%1$I AS m ON m.id = (s.old ->> 'id')::%2$s
            WHERE s.xid = $1 AND s.seq = ANY ($3) AND s.op <> 'DELETE'
                AND s.record IS DISTINCT FROM to_jsonb(m) - 'raw_data'
        ), early AS (
            DELETE FROM gateway.staged AS s
            USING stale
            WHERE s.xid = $1 AND s.seq >= $2 AND s.seq <> ALL ($3) AND s.tbl = %1$L AND s.old ->> 'id' = stale.id
            RETURNING s.seq, s.xid, s.inbox, s.tbl, s.op, s.record, s.old
        )
        INSERT INTO gateway.staged (xid, inbox, tbl, op, record, old)
        SELECT xid, inbox, tbl, op, record, old FROM early ORDER BY seq
        $sql$,
        source, key_type
    ) USING me, nested, own;
END;
$$;
COMMENT ON FUNCTION gateway.put_in_turn_v1(xid8, bigint, bigint[]) IS
    'Puts what triggers of the shop have changed within a statement behind the statement''s own changes.';

-- As before, and it notes where changes made within triggers begin.
CREATE OR REPLACE FUNCTION gateway.mark_v1(changed bigint, flooded bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    me xid8 := pg_current_xact_id();
    -- A setting of the transaction costs no row, and a savepoint's rollback takes it back.
    before bigint := coalesce(nullif(current_setting('gateway.staged', true), ''), '0')::bigint;
    nested bigint := nullif(current_setting('gateway.nested', true), '')::bigint;
    total bigint := before + changed;
    own bigint[];
BEGIN
    IF changed > 0 THEN
        PERFORM set_config('gateway.staged', total::text, true);
        IF pg_trigger_depth() > 1 OR nested IS NOT NULL THEN
            own := ARRAY(SELECT seq FROM gateway.staged WHERE xid = me ORDER BY seq DESC LIMIT changed);
        END IF;
        IF pg_trigger_depth() > 1 AND nested IS NULL THEN
            PERFORM set_config('gateway.nested', own[cardinality(own)]::text, true);
        ELSIF pg_trigger_depth() = 1 AND nested IS NOT NULL THEN
            PERFORM gateway.put_in_turn_v1(me, nested, own);
            PERFORM set_config('gateway.nested', '', true);
        END IF;
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

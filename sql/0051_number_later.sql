-- Where numbering at commit cannot be done, a gateway numbers the changes right after the commit.
--
-- A transaction under REPEATABLE READ or SERIALIZABLE would fail at a counter that moved since its snapshot, and under
-- SERIALIZABLE whatever it reads here can become a conflict. PREPARE TRANSACTION forbids NOTIFY, and a prepared
-- transaction would hold the counters until its owner ends it. Such a transaction leaves what it collected where it is,
-- and one row in `unnumbered_transactions`. That table is logged, unlike those that hold the changes: after a crash it
-- still says that changes were lost, and then the streams get new epochs.

CREATE TABLE IF NOT EXISTS gateway.unnumbered_transactions (
    xid xid8 PRIMARY KEY
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE gateway.unnumbered_transactions IS
    'Transactions that could not number their changes as they committed. A gateway does it and deletes the row.';
COMMENT ON COLUMN gateway.unnumbered_transactions.xid IS 'The transaction, as in gateway.pending_changes.';

COMMENT ON COLUMN gateway.pending_changes.op IS
    'INSERT, UPDATE or DELETE. FLOOD stands for more changes than a stream tells: the inbox gets a new epoch. '
    'KEYS names a session whose key or webhook secret changed.';

CREATE OR REPLACE FUNCTION gateway.is_read_committed_v1() RETURNS boolean
LANGUAGE sql STABLE
RETURN pg_catalog.current_setting('transaction_isolation') IN ('read committed', 'read uncommitted');
COMMENT ON FUNCTION gateway.is_read_committed_v1() IS
    'Whether each statement of this transaction sees what others have committed before it.';

-- While a transaction is prepared, Postgres shows the command. It is matched generously: a text that only quotes it
-- costs a moment, one that is missed would make PREPARE fail. Constraints that were made immediate number within the
-- transaction, which may be prepared later.
CREATE OR REPLACE FUNCTION gateway.may_be_prepared_v1() RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN current_setting('max_prepared_transactions')::int > 0 AND (
        pg_trigger_depth() > 1
        OR current_query() ~* '\m(prepare|set)([[:space:]]|--[^\n]*\n|/\*.*\*/)+(transaction|constraints)\M'
    );
END;
$$;
COMMENT ON FUNCTION gateway.may_be_prepared_v1() IS
    'Whether this transaction may be on its way into a PREPARE TRANSACTION; false where the server allows none.';

CREATE OR REPLACE FUNCTION gateway.order_nested_changes_v1(me xid8, nested bigint, own bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
#variable_conflict use_variable
DECLARE
    source text := (SELECT p.tbl FROM gateway.pending_changes AS p WHERE p.xid = me AND p.seq = own[1]);
    key_type text := (
        SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
        WHERE a.attrelid = format('public.%I', source)::regclass AND a.attname = 'id'
    );
BEGIN
    EXECUTE format(
        $sql$
        WITH stale AS (
            SELECT s.old ->> 'id' AS id
            FROM gateway.pending_changes AS s
            LEFT JOIN public.%1$I AS m ON m.id = (s.old ->> 'id')::%2$s
            WHERE s.xid = $1 AND s.seq = ANY ($3) AND s.op <> 'DELETE'
                AND s.record IS DISTINCT FROM gateway.told_of_v1(gateway.record_of_v1(m.*, %3$s), s.inbox)
        ), early AS (
            DELETE FROM gateway.pending_changes AS s
            USING stale
            WHERE s.xid = $1 AND s.seq >= $2 AND s.seq <> ALL ($3) AND s.tbl = %1$L AND s.old ->> 'id' = stale.id
            RETURNING s.seq, s.xid, s.inbox, s.tbl, s.op, s.record, s.old
        )
        INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
        SELECT e.xid, e.inbox, e.tbl, e.op, e.record, e.old FROM early AS e ORDER BY e.seq
        $sql$,
        source, key_type, format('public.%I', source)::regclass::oid
    ) USING me, nested, own;
END;
$$;

-- Sessions are told without their secrets.
CREATE OR REPLACE FUNCTION gateway.told_of_v1(record jsonb, inbox bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN inbox = -1 THEN gateway.session_record_v1(record) ELSE record END;
COMMENT ON FUNCTION gateway.told_of_v1(jsonb, bigint) IS 'What a stream tells of a row.';

-- What is read in the next two is only for a transaction that numbers as it commits: one that is numbered later is
-- told as its rows are then.
CREATE OR REPLACE FUNCTION gateway.drop_floods_v1(xids xid8[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
#variable_conflict use_variable
BEGIN
    WITH flood AS (
        SELECT p.inbox
        FROM gateway.pending_changes AS p
        WHERE p.xid = ANY (xids) AND p.op <> 'KEYS'
        GROUP BY p.inbox
        HAVING count(*) > 5000 OR (bool_or(p.op = 'FLOOD') AND count(*) > 1)
    ), dropped AS (
        DELETE FROM gateway.pending_changes AS p
        USING flood
        WHERE p.xid = ANY (xids) AND p.inbox = flood.inbox AND p.op <> 'KEYS'
    )
    INSERT INTO gateway.pending_changes (xid, inbox, op)
    SELECT xids[1], flood.inbox, 'FLOOD' FROM flood;
END;
$$;
COMMENT ON FUNCTION gateway.drop_floods_v1(xid8[]) IS
    'Replaces the changes of inboxes of which these transactions change more than a stream tells.';

CREATE OR REPLACE FUNCTION gateway.own_changes_v1(me xid8, changed bigint) RETURNS bigint[]
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT ARRAY(
        SELECT p.seq FROM gateway.pending_changes AS p
        WHERE p.xid = $1 AND p.op IN ('INSERT', 'UPDATE', 'DELETE') ORDER BY p.seq DESC LIMIT $2
    );
$$;
COMMENT ON FUNCTION gateway.own_changes_v1(xid8, bigint) IS 'The changes that a transaction collected last.';

-- The functions from here to `number_v1` run within those that set search_path and enable_seqscan: setting them again
-- is not free, and every statement of the shop pays for it.
CREATE OR REPLACE FUNCTION gateway.mark_commit_v1(changed bigint, flooded bigint[]) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    me xid8 := pg_current_xact_id();
    before bigint;
    nested bigint;
    own bigint[];
BEGIN
    IF cardinality(flooded) > 0 THEN
        INSERT INTO gateway.pending_changes (xid, inbox, op)
        SELECT me, box.inbox, 'FLOOD' FROM unnest(flooded) AS box(inbox);
    END IF;
    IF changed > 0 AND gateway.is_read_committed_v1() THEN
        -- A setting of the transaction costs no row, and a savepoint's rollback takes it back.
        before := coalesce(nullif(current_setting('gateway.pending_changes', true), ''), '0')::bigint;
        nested := nullif(current_setting('gateway.nested_from', true), '')::bigint;
        PERFORM set_config('gateway.pending_changes', (before + changed)::text, true);
        IF pg_trigger_depth() > 1 AND nested IS NULL THEN
            own := gateway.own_changes_v1(me, changed);
            PERFORM set_config('gateway.nested_from', own[cardinality(own)]::text, true);
        ELSIF pg_trigger_depth() = 1 AND nested IS NOT NULL THEN
            PERFORM gateway.order_nested_changes_v1(me, nested, gateway.own_changes_v1(me, changed));
            PERFORM set_config('gateway.nested_from', '', true);
        END IF;
        -- Many small statements can make a flood too. Counting is not free, so look once per thousand changes.
        IF before + changed > 5000 AND (before + changed) / 1000 <> before / 1000 THEN
            PERFORM gateway.drop_floods_v1(ARRAY[me]);
        END IF;
    END IF;
    INSERT INTO gateway.commit_markers (xid) VALUES (me) ON CONFLICT DO NOTHING;
END;
$$;

CREATE OR REPLACE FUNCTION gateway.notify_v1(channel text, numbers bigint[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    list text := pg_catalog.array_to_string(numbers, ',');
BEGIN
    IF list <> '' THEN
        PERFORM pg_catalog.pg_notify(channel, CASE WHEN pg_catalog.octet_length(list) > 1000 THEN '*' ELSE list END);
    END IF;
END;
$$;

CREATE OR REPLACE FUNCTION gateway.write_stream_v1(me xid8) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
BEGIN
    WITH moved AS (
        UPDATE gateway.inboxes AS i
        SET off = i.off + c.n
        FROM (
            SELECT p.inbox, count(*) AS n FROM gateway.pending_changes AS p WHERE p.xid = me GROUP BY p.inbox
        ) AS c
        WHERE i.inbox = c.inbox
        RETURNING i.inbox, i.off - c.n AS base
    ), taken AS (
        DELETE FROM gateway.pending_changes AS p WHERE p.xid = me
        RETURNING p.inbox, p.seq, p.tbl, p.op, p.record, p.old
    )
    INSERT INTO gateway.stream (inbox, off, at, tbl, op, record, old)
    SELECT t.inbox, m.base + row_number() OVER (PARTITION BY t.inbox ORDER BY t.seq),
        clock_timestamp(), t.tbl, t.op, t.record, t.old
    FROM taken AS t
    JOIN moved AS m ON m.inbox = t.inbox
    ORDER BY t.inbox, t.seq;
END;
$$;

-- Sessions first, then inboxes, each in ascending order, in every transaction: so two transactions can wait for one
-- another, but never in a circle.
CREATE OR REPLACE FUNCTION gateway.number_v1(me xid8) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    sessions bigint[];
    boxes bigint[];
    floods bigint[];
    keys bigint[];
BEGIN
    SELECT array_agg(t.wasender_session_id ORDER BY t.wasender_session_id) INTO sessions
    FROM gateway.touched_sessions AS t
    WHERE t.xid = me;
    IF sessions IS NOT NULL THEN
        DELETE FROM gateway.touched_sessions AS t WHERE t.xid = me;
        INSERT INTO gateway.session_state AS s (wasender_session_id, version)
        SELECT item.session, 1 FROM unnest(sessions) AS item(session)
        ON CONFLICT (wasender_session_id) DO UPDATE SET version = s.version + 1;
    END IF;

    SELECT array_agg(c.inbox ORDER BY c.inbox) FILTER (WHERE c.changes > 0),
        array_agg(c.inbox) FILTER (WHERE c.flood), array_agg(c.inbox) FILTER (WHERE c.keys > 0)
    INTO boxes, floods, keys
    FROM (
        SELECT p.inbox, count(*) FILTER (WHERE p.op <> 'KEYS') AS changes,
            count(*) FILTER (WHERE p.op = 'KEYS') AS keys,
            count(*) FILTER (WHERE p.op <> 'KEYS') > 5000 OR bool_or(p.op = 'FLOOD') AS flood
        FROM gateway.pending_changes AS p
        WHERE p.xid = me
        GROUP BY p.inbox
    ) AS c;
    IF keys IS NOT NULL THEN
        DELETE FROM gateway.pending_changes AS p WHERE p.xid = me AND p.op = 'KEYS';
        IF -1 = ANY (keys) THEN
            PERFORM pg_notify('whatsapp_session_keys', '*');
        ELSE
            PERFORM gateway.notify_v1('whatsapp_session_keys', keys);
        END IF;
    END IF;
    IF sessions IS NOT NULL OR cardinality(boxes) > (
        SELECT count(*) FROM gateway.inboxes AS i WHERE i.inbox = ANY (boxes)
    ) THEN
        INSERT INTO gateway.inboxes (inbox)
        SELECT needed.inbox
        FROM (SELECT unnest(boxes) AS inbox UNION SELECT unnest(sessions)) AS needed
        WHERE needed.inbox = ANY (boxes) OR needed.inbox > 0
        ORDER BY needed.inbox
        ON CONFLICT DO NOTHING;
    END IF;
    IF boxes IS NOT NULL THEN
        PERFORM FROM gateway.inboxes AS i WHERE i.inbox = ANY (boxes) ORDER BY i.inbox FOR NO KEY UPDATE;
        IF floods IS NOT NULL THEN
            UPDATE gateway.inboxes AS i
            SET off = i.off + 1, floor = i.off + 1, epoch = gen_random_uuid()
            WHERE i.inbox = ANY (floods);
            DELETE FROM gateway.pending_changes AS p WHERE p.xid = me AND p.inbox = ANY (floods);
        END IF;
        PERFORM gateway.write_stream_v1(me);
    END IF;

    PERFORM gateway.notify_v1('whatsapp_sessions', sessions);
    PERFORM gateway.notify_v1('whatsapp_incoming_messages', boxes);
END;
$$;
COMMENT ON FUNCTION gateway.number_v1(xid8) IS
    'Gives the pending changes of a transaction their offsets, and notifies the gateways.';

-- `unnumbered` asks the gateways to number what this transaction leaves.
CREATE OR REPLACE FUNCTION gateway.number_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
BEGIN
    IF gateway.may_be_prepared_v1() THEN
        INSERT INTO gateway.unnumbered_transactions (xid) VALUES (NEW.xid) ON CONFLICT DO NOTHING;
    ELSIF NOT gateway.is_read_committed_v1() THEN
        INSERT INTO gateway.unnumbered_transactions (xid) VALUES (NEW.xid) ON CONFLICT DO NOTHING;
        PERFORM pg_notify('whatsapp_incoming_messages', 'unnumbered');
    ELSE
        DELETE FROM gateway.commit_markers AS c WHERE c.xid = NEW.xid;
        PERFORM set_config('gateway.pending_changes', '0', true);
        PERFORM gateway.number_v1(NEW.xid);
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.number_changes() IS
    'Numbers the changes of a committing transaction, or leaves them to a gateway.';

-- Meanwhile other transactions may have changed the same rows, and their changes have their numbers already. So each
-- row is told as it is now: read after the counters are locked, behind which no change of it can be numbered before.
CREATE OR REPLACE FUNCTION gateway.retell_v1(me xid8, xids xid8[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET enable_seqscan = off
AS $$
#variable_conflict use_variable
DECLARE
    source text;
    key_type text;
BEGIN
    FOR source IN
        SELECT DISTINCT p.tbl FROM gateway.pending_changes AS p WHERE p.xid = ANY (xids) AND p.tbl IS NOT NULL
    LOOP
        SELECT format_type(a.atttypid, a.atttypmod) INTO key_type
        FROM pg_attribute AS a
        WHERE a.attrelid = to_regclass(format('public.%I', source)) AND a.attname = 'id' AND NOT a.attisdropped;
        CONTINUE WHEN key_type IS NULL;
        EXECUTE format(
            $sql$
            INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
            SELECT $1, p.inbox, p.tbl,
                CASE WHEN now_told.record IS NULL THEN 'DELETE' WHEN p.op = 'DELETE' THEN 'UPDATE' ELSE p.op END,
                now_told.record,
                CASE
                    WHEN now_told.record IS NOT NULL AND p.op = 'DELETE' THEN jsonb_build_object('id', p.old -> 'id')
                    WHEN now_told.record IS NOT NULL OR p.op = 'DELETE' THEN p.old
                    WHEN p.inbox = -1 THEN jsonb_build_object(
                        'id', p.old -> 'id', 'wasender_session_id', p.record -> 'wasender_session_id')
                    ELSE gateway.old_of_deleted_v1(p.record, %4$L, %5$L)
                END
            FROM gateway.pending_changes AS p
            LEFT JOIN public.%1$I AS m ON m.id = (p.old ->> 'id')::%2$s
                AND (p.inbox = -1 OR gateway.inbox_of(m.wasender_session_id) = p.inbox)
            CROSS JOIN LATERAL (
                SELECT gateway.told_of_v1(gateway.record_of_v1(m.*, %3$s), p.inbox) AS record
            ) AS now_told
            WHERE p.xid = ANY ($2) AND p.tbl = %1$L
            ORDER BY p.seq
            $sql$,
            source, key_type, format('public.%I', source)::regclass::oid,
            CASE source WHEN 'whatsapp_outgoing_messages' THEN 'client_id' ELSE 'message_id' END,
            CASE source WHEN 'whatsapp_outgoing_messages' THEN 'to_phone' ELSE 'from_phone' END
        ) USING me, xids;
    END LOOP;
    INSERT INTO gateway.pending_changes (xid, inbox, op)
    SELECT DISTINCT me, p.inbox, p.op
    FROM gateway.pending_changes AS p
    WHERE p.xid = ANY (xids) AND p.op IN ('FLOOD', 'KEYS');
    DELETE FROM gateway.pending_changes AS p WHERE p.xid = ANY (xids);
END;
$$;
COMMENT ON FUNCTION gateway.retell_v1(xid8, xid8[]) IS
    'Takes over the pending changes of committed transactions, each row as it is now.';

CREATE OR REPLACE FUNCTION gateway.number_unnumbered_v1() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET enable_seqscan = off
AS $$
#variable_conflict use_variable
DECLARE
    me xid8;
    xids xid8[] := ARRAY(
        SELECT u.xid FROM gateway.unnumbered_transactions AS u LIMIT 100 FOR UPDATE SKIP LOCKED
    );
    boxes bigint[];
BEGIN
    IF cardinality(xids) = 0 THEN
        RETURN 0;
    END IF;
    IF NOT gateway.is_read_committed_v1() THEN
        RAISE EXCEPTION 'changes are numbered under READ COMMITTED' USING ERRCODE = 'active_sql_transaction';
    END IF;
    me := pg_current_xact_id();
    DELETE FROM gateway.unnumbered_transactions AS u WHERE u.xid = ANY (xids);
    DELETE FROM gateway.commit_markers AS c WHERE c.xid = ANY (xids);
    IF EXISTS (
        SELECT FROM unnest(xids) AS lost(xid)
        WHERE NOT EXISTS (SELECT FROM gateway.pending_changes AS p WHERE p.xid = lost.xid)
            AND NOT EXISTS (SELECT FROM gateway.touched_sessions AS t WHERE t.xid = lost.xid)
    ) THEN
        PERFORM gateway.renew_epochs_v1();
    END IF;
    PERFORM gateway.drop_floods_v1(xids);
    INSERT INTO gateway.touched_sessions (xid, wasender_session_id)
    SELECT DISTINCT me, t.wasender_session_id FROM gateway.touched_sessions AS t WHERE t.xid = ANY (xids);
    DELETE FROM gateway.touched_sessions AS t WHERE t.xid = ANY (xids);
    PERFORM FROM gateway.session_state AS s
    WHERE s.wasender_session_id IN (SELECT t.wasender_session_id FROM gateway.touched_sessions AS t WHERE t.xid = me)
    ORDER BY s.wasender_session_id
    FOR NO KEY UPDATE;
    boxes := ARRAY(
        SELECT DISTINCT p.inbox FROM gateway.pending_changes AS p
        WHERE p.xid = ANY (xids) AND p.op <> 'KEYS' ORDER BY p.inbox
    );
    INSERT INTO gateway.inboxes (inbox) SELECT item.box FROM unnest(boxes) AS item(box) ON CONFLICT DO NOTHING;
    PERFORM FROM gateway.inboxes AS i WHERE i.inbox = ANY (boxes) ORDER BY i.inbox FOR NO KEY UPDATE;
    PERFORM gateway.retell_v1(me, xids);
    PERFORM gateway.number_v1(me);
    RETURN cardinality(xids);
END;
$$;
COMMENT ON FUNCTION gateway.number_unnumbered_v1() IS
    'Numbers the changes of transactions that could not do it as they committed; returns how many transactions.';

CREATE OR REPLACE FUNCTION gateway.notify_keys() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    sessions bigint[];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        sessions := '{-1}';
    ELSIF TG_OP = 'INSERT' THEN
        SELECT array_agg(DISTINCT f.wasender_session_id) INTO sessions FROM fresh AS f;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(DISTINCT o.wasender_session_id) INTO sessions FROM former AS o;
    ELSE
        SELECT array_agg(DISTINCT changed.session) INTO sessions
        FROM (
            SELECT unnest(ARRAY[f.wasender_session_id, o.wasender_session_id]) AS session
            FROM fresh AS f
            FULL JOIN former AS o ON o.id = f.id
            WHERE (f.wasender_session_id, f.api_key, f.webhook_secret)
                IS DISTINCT FROM (o.wasender_session_id, o.api_key, o.webhook_secret)
        ) AS changed;
    END IF;
    sessions := array_remove(sessions, NULL);
    IF cardinality(sessions) > 0 THEN
        INSERT INTO gateway.pending_changes (xid, inbox, op)
        SELECT pg_current_xact_id(), item.session, 'KEYS' FROM unnest(sessions) AS item(session);
        PERFORM gateway.mark_commit_v1(0, '{}');
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.notify_keys() IS
    'Lets the gateways know, as the transaction commits, whose key or webhook secret a statement changed.';

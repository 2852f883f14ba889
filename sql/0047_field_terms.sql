-- The objects of the gateway get the names that the field uses. Nothing behaves differently: the functions that name
-- them are written out as they last were.
--
-- A writer that is inside a trigger of ours while a table is renamed would meet a name that is gone. So the tables
-- that have these triggers are locked against writers first: no transaction of a writer is open behind that lock. All
-- waits together are shorter than Postgres' deadlock_timeout, so that a deadlock ends this migration, which tries again,
-- and never a transaction of a writer.

SET LOCAL lock_timeout = '200ms';
LOCK TABLE public.whatsapp_sessions, public.whatsapp_incoming_messages, public.whatsapp_outgoing_messages,
    gateway.whatsapp_link_attempts IN SHARE ROW EXCLUSIVE MODE;

ALTER TABLE gateway.staged RENAME TO pending_changes;
ALTER INDEX gateway.staged_xid RENAME TO pending_changes_xid;
ALTER SEQUENCE gateway.staged_seq_seq RENAME TO pending_changes_seq_seq;
COMMENT ON TABLE gateway.pending_changes IS
    'Changes of messages and sessions whose transaction has not committed yet. No other transaction sees them.';
COMMENT ON COLUMN gateway.pending_changes.xid IS 'The transaction that made the change.';
COMMENT ON COLUMN gateway.pending_changes.seq IS 'Order of the change within its transaction.';
COMMENT ON COLUMN gateway.pending_changes.op IS
    'INSERT, UPDATE or DELETE. FLOOD stands for more changes than a stream tells: the inbox gets a new epoch.';

ALTER TABLE gateway.touched RENAME TO touched_sessions;
ALTER INDEX gateway.touched_pkey RENAME TO touched_sessions_pkey;
COMMENT ON TABLE gateway.touched_sessions IS
    'Sessions whose version grows when the transaction that changed them commits.';
COMMENT ON COLUMN gateway.touched_sessions.xid IS 'The transaction that changed the session.';

ALTER TABLE gateway.marked RENAME TO commit_markers;
ALTER INDEX gateway.marked_pkey RENAME TO commit_markers_pkey;
COMMENT ON TABLE gateway.commit_markers IS
    'One row per transaction with changes. The deferred trigger on it numbers the changes as the transaction commits.';
COMMENT ON COLUMN gateway.commit_markers.xid IS 'The transaction that has changes.';

COMMENT ON TABLE gateway.owned_objects IS
    'What the migrations made in schema public. Everything else there is the shop''s, and no command removes it.';
COMMENT ON COLUMN gateway.owned_objects.kind IS 'table, column, index or constraint.';
COMMENT ON COLUMN gateway.owned_objects.tbl IS 'The table that the object is, or belongs to.';
COMMENT ON COLUMN gateway.owned_objects.name IS 'Name of the object; empty for a table.';

-- PostgreSQL 18 names NOT NULL constraints after the table.
DO $$
DECLARE
    renamed record;
BEGIN
    FOR renamed IN
        SELECT c.conrelid::regclass AS tbl, c.conname AS old_name,
            n.new_prefix || substr(c.conname, length(n.old_prefix) + 1) AS new_name
        FROM pg_constraint AS c
        JOIN (VALUES
            ('gateway.pending_changes'::regclass, 'staged_', 'pending_changes_'),
            ('gateway.touched_sessions'::regclass, 'touched_', 'touched_sessions_'),
            ('gateway.commit_markers'::regclass, 'marked_', 'commit_markers_'),
            ('gateway.owned_objects'::regclass, 'ours_', 'owned_objects_')
        ) AS n (tbl, old_prefix, new_prefix) ON n.tbl = c.conrelid AND starts_with(c.conname, n.old_prefix)
    LOOP
        EXECUTE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', renamed.tbl, renamed.old_name, renamed.new_name);
    END LOOP;
END;
$$;

ALTER INDEX gateway.journal_trouble RENAME TO journal_failed_or_unknown;
ALTER INDEX IF EXISTS public.gateway_session_logs_ours RENAME TO gateway_session_logs_by_gateway;
UPDATE gateway.owned_objects SET name = 'gateway_session_logs_by_gateway'
WHERE kind = 'index' AND name = 'gateway_session_logs_ours';

COMMENT ON TABLE gateway.session_state IS
    'One row per session: the version of its state, and when its status was confirmed. A write here notifies no gateway.';
COMMENT ON TABLE gateway.whatsapp_link_attempts IS
    'One row per attempt to link a phone; at most one of a session runs. Every change notifies whatsapp_sessions.';
COMMENT ON COLUMN gateway.conversations.unread IS
    'Number of incoming messages that no agent has read. Deleted messages do not count.';

-- A payload ends at 7,999 bytes, so a long list is sent as `*`.
CREATE OR REPLACE FUNCTION gateway.notify_v1(channel text, numbers bigint[]) RETURNS void
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
COMMENT ON FUNCTION gateway.notify_v1(text, bigint[]) IS
    'Sends one NOTIFY that names the inboxes or sessions that moved; none for an empty list.';

-- `own` are the changes that the outer statement has just collected. Where a row looks otherwise by now, its change was
-- not the last: what has been collected of that row from `nested` on came after it.
CREATE OR REPLACE FUNCTION gateway.order_nested_changes_v1(me xid8, nested bigint, own bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    source text := (SELECT tbl FROM gateway.pending_changes WHERE xid = me AND seq = own[1]);
    key_type text := (
        SELECT format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = format('public.%I', source)::regclass AND attname = 'id'
    );
BEGIN
    EXECUTE format(
        $sql$
        WITH stale AS (
            SELECT s.old ->> 'id' AS id
            FROM gateway.pending_changes AS s
            LEFT JOIN public.%1$I AS m ON m.id = (s.old ->> 'id')::%2$s
            WHERE s.xid = $1 AND s.seq = ANY ($3) AND s.op <> 'DELETE'
                AND s.record IS DISTINCT FROM to_jsonb(m) - 'raw_data'
        ), early AS (
            DELETE FROM gateway.pending_changes AS s
            USING stale
            WHERE s.xid = $1 AND s.seq >= $2 AND s.seq <> ALL ($3) AND s.tbl = %1$L AND s.old ->> 'id' = stale.id
            RETURNING s.seq, s.xid, s.inbox, s.tbl, s.op, s.record, s.old
        )
        INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
        SELECT xid, inbox, tbl, op, record, old FROM early ORDER BY seq
        $sql$,
        source, key_type
    ) USING me, nested, own;
END;
$$;
COMMENT ON FUNCTION gateway.order_nested_changes_v1(xid8, bigint, bigint[]) IS
    'Puts what triggers of the shop have changed within a statement behind the statement''s own changes.';

-- `changed` is the number of changes that the statement has just collected. `flooded` are the inboxes of which it
-- collected none, because it changed more than 5,000 rows of them. To be called after the collecting: under
-- SET CONSTRAINTS ALL IMMEDIATE the numbering happens within the insert of the marker.
CREATE OR REPLACE FUNCTION gateway.mark_commit_v1(changed bigint, flooded bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    me xid8 := pg_current_xact_id();
    -- A setting of the transaction costs no row, and a savepoint's rollback takes it back.
    before bigint := coalesce(nullif(current_setting('gateway.pending_changes', true), ''), '0')::bigint;
    nested bigint := nullif(current_setting('gateway.nested_from', true), '')::bigint;
    total bigint := before + changed;
    own bigint[];
BEGIN
    IF changed > 0 THEN
        PERFORM set_config('gateway.pending_changes', total::text, true);
        IF pg_trigger_depth() > 1 OR nested IS NOT NULL THEN
            own := ARRAY(SELECT seq FROM gateway.pending_changes WHERE xid = me ORDER BY seq DESC LIMIT changed);
        END IF;
        IF pg_trigger_depth() > 1 AND nested IS NULL THEN
            PERFORM set_config('gateway.nested_from', own[cardinality(own)]::text, true);
        ELSIF pg_trigger_depth() = 1 AND nested IS NOT NULL THEN
            PERFORM gateway.order_nested_changes_v1(me, nested, own);
            PERFORM set_config('gateway.nested_from', '', true);
        END IF;
    END IF;
    IF cardinality(flooded) > 0 THEN
        INSERT INTO gateway.pending_changes (xid, inbox, op)
        SELECT me, inbox, 'FLOOD' FROM unnest(flooded) AS inbox;
    END IF;
    -- Many small statements can make a flood too. Counting is not free, so look once per thousand changes.
    IF total > 5000 AND total / 1000 <> before / 1000 THEN
        WITH flood AS (
            SELECT inbox
            FROM gateway.pending_changes
            WHERE xid = me
            GROUP BY inbox
            HAVING count(*) > 5000 OR (bool_or(op = 'FLOOD') AND count(*) > 1)
        ), dropped AS (
            DELETE FROM gateway.pending_changes AS s
            USING flood
            WHERE s.xid = me AND s.inbox = flood.inbox
        )
        INSERT INTO gateway.pending_changes (xid, inbox, op)
        SELECT me, inbox, 'FLOOD' FROM flood;
    END IF;
    INSERT INTO gateway.commit_markers (xid) VALUES (me) ON CONFLICT DO NOTHING;
END;
$$;
COMMENT ON FUNCTION gateway.mark_commit_v1(bigint, bigint[]) IS
    'Ends the collecting of a statement: the transaction''s changes are numbered when it commits.';

-- The caller has locked the counters' rows.
CREATE OR REPLACE FUNCTION gateway.write_stream_v1(me xid8) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
BEGIN
    WITH moved AS (
        UPDATE gateway.inboxes AS i
        SET off = i.off + c.n
        FROM (SELECT inbox, count(*) AS n FROM gateway.pending_changes WHERE xid = me GROUP BY inbox) AS c
        WHERE i.inbox = c.inbox
        RETURNING i.inbox, i.off - c.n AS base
    ), taken AS (
        DELETE FROM gateway.pending_changes WHERE xid = me
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
COMMENT ON FUNCTION gateway.write_stream_v1(xid8) IS
    'Moves the pending changes of a transaction into the stream.';

-- Sessions first, then inboxes, each in ascending order, in every transaction: so two transactions can wait for one
-- another, but never in a circle.
CREATE OR REPLACE FUNCTION gateway.number_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET enable_seqscan = off
AS $$
DECLARE
    sessions bigint[];
    boxes bigint[];
    floods bigint[];
BEGIN
    DELETE FROM gateway.commit_markers WHERE xid = NEW.xid;
    PERFORM set_config('gateway.pending_changes', '0', true);

    SELECT array_agg(wasender_session_id ORDER BY wasender_session_id) INTO sessions
    FROM gateway.touched_sessions
    WHERE xid = NEW.xid;
    IF sessions IS NOT NULL THEN
        DELETE FROM gateway.touched_sessions WHERE xid = NEW.xid;
        INSERT INTO gateway.session_state AS s (wasender_session_id, version)
        SELECT session, 1 FROM unnest(sessions) AS session
        ON CONFLICT (wasender_session_id) DO UPDATE SET version = s.version + 1;
    END IF;

    SELECT array_agg(inbox ORDER BY inbox), array_agg(inbox) FILTER (WHERE flood) INTO boxes, floods
    FROM (
        SELECT inbox, count(*) > 5000 OR bool_or(op = 'FLOOD') AS flood
        FROM gateway.pending_changes
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
            DELETE FROM gateway.pending_changes WHERE xid = NEW.xid AND inbox = ANY (floods);
        END IF;
        PERFORM gateway.write_stream_v1(NEW.xid);
    END IF;

    PERFORM gateway.notify_v1('whatsapp_sessions', sessions);
    PERFORM gateway.notify_v1('whatsapp_incoming_messages', boxes);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.number_changes() IS
    'Gives the changes of a committing transaction their offsets, and notifies the gateways.';

CREATE OR REPLACE FUNCTION gateway.collect_inserts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    changed bigint := (SELECT count(*) FROM fresh);
    flooded bigint[] := '{}';
BEGIN
    IF changed = 0 THEN
        RETURN NULL;
    END IF;
    IF changed > 5000 THEN
        flooded := ARRAY(
            SELECT gateway.inbox_of(wasender_session_id) AS inbox FROM fresh GROUP BY 1 HAVING count(*) > 5000
        );
    END IF;
    INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
    SELECT pg_current_xact_id(), gateway.inbox_of(wasender_session_id), TG_TABLE_NAME, 'INSERT',
        to_jsonb(fresh) - 'raw_data', jsonb_build_object('id', id)
    FROM fresh
    WHERE gateway.inbox_of(wasender_session_id) <> ALL (flooded);
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM gateway.mark_commit_v1(changed, flooded);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_inserts() IS 'Collects inserted messages for the stream.';

-- An UPDATE that changes no visible column collects nothing. A large one is looked at inbox by inbox before it is
-- collected, and the count of visible changes stops at 5,001: an UPDATE of a million rows pays for the first few
-- thousand.
CREATE OR REPLACE FUNCTION gateway.collect_updates() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    changed bigint := (SELECT count(*) FROM fresh);
    flooded bigint[] := '{}';
    box bigint;
BEGIN
    IF changed = 0 THEN
        RETURN NULL;
    END IF;
    IF changed > 5000 THEN
        FOR box IN
            SELECT inbox
            FROM (
                SELECT gateway.inbox_of(wasender_session_id) AS inbox, 1 AS gone, 0 AS come FROM former
                UNION ALL
                SELECT gateway.inbox_of(wasender_session_id), 0, 1 FROM fresh
            ) AS both_sides
            GROUP BY inbox
            HAVING greatest(sum(gone), sum(come)) > 5000
        LOOP
            IF 5000 < (
                SELECT count(*)
                FROM (
                    SELECT FROM fresh AS f FULL JOIN former AS o ON o.id = f.id
                    WHERE box IN (gateway.inbox_of(f.wasender_session_id), gateway.inbox_of(o.wasender_session_id))
                        AND to_jsonb(f) - 'raw_data' IS DISTINCT FROM to_jsonb(o) - 'raw_data'
                    LIMIT 5001
                ) AS visible
            ) THEN
                flooded := flooded || box;
            END IF;
        END LOOP;
    END IF;
    -- FULL JOIN: a row whose id changed has no partner on the other side. It also rules out a nested loop, which
    -- a plan cached for one row would use for five thousand.
    WITH paired AS (
        SELECT f.id IS NOT NULL AS lives, gateway.inbox_of(f.wasender_session_id) AS inbox,
            to_jsonb(f) - 'raw_data' AS record,
            o.id IS NOT NULL AS lived, gateway.inbox_of(o.wasender_session_id) AS old_inbox,
            to_jsonb(o) - 'raw_data' AS old_record
        FROM fresh AS f
        FULL JOIN former AS o ON o.id = f.id
        WHERE gateway.inbox_of(coalesce(f.wasender_session_id, o.wasender_session_id)) <> ALL (flooded)
            OR gateway.inbox_of(coalesce(o.wasender_session_id, f.wasender_session_id)) <> ALL (flooded)
    ), changes AS (
        SELECT 0 AS turn, old_inbox AS inbox, 'DELETE' AS op, NULL::jsonb AS record,
            gateway.old_of_deleted_v1(old_record, TG_ARGV[0], TG_ARGV[1]) AS was
        FROM paired
        WHERE lived AND (NOT lives OR inbox <> old_inbox)
        UNION ALL
        SELECT 1, inbox, 'INSERT', record, jsonb_build_object('id', record -> 'id')
        FROM paired
        WHERE lives AND (NOT lived OR inbox <> old_inbox)
        UNION ALL
        SELECT 2, inbox, 'UPDATE', record, gateway.old_of_updated_v1(record, old_record, TG_ARGV[1])
        FROM paired
        WHERE lives AND lived AND inbox = old_inbox AND record <> old_record
    )
    INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
    SELECT pg_current_xact_id(), inbox, TG_TABLE_NAME, op, record, was
    FROM changes
    WHERE inbox <> ALL (flooded)
    ORDER BY turn;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed > 0 OR cardinality(flooded) > 0 THEN
        PERFORM gateway.mark_commit_v1(changed, flooded);
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_updates() IS 'Collects visible changes of messages for the stream.';

CREATE OR REPLACE FUNCTION gateway.collect_deletes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    changed bigint := (SELECT count(*) FROM former);
    flooded bigint[] := '{}';
BEGIN
    IF changed = 0 THEN
        RETURN NULL;
    END IF;
    IF changed > 5000 THEN
        flooded := ARRAY(
            SELECT gateway.inbox_of(wasender_session_id) AS inbox FROM former GROUP BY 1 HAVING count(*) > 5000
        );
    END IF;
    INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, old)
    SELECT pg_current_xact_id(), gateway.inbox_of(wasender_session_id), TG_TABLE_NAME, 'DELETE',
        gateway.old_of_deleted_v1(to_jsonb(former), TG_ARGV[0], TG_ARGV[1])
    FROM former
    WHERE gateway.inbox_of(wasender_session_id) <> ALL (flooded);
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM gateway.mark_commit_v1(changed, flooded);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_deletes() IS 'Collects deletions of messages for the stream.';

-- TRUNCATE names no rows: every inbox gets a new epoch, and clients load again.
CREATE OR REPLACE FUNCTION gateway.collect_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM gateway.mark_commit_v1(0, ARRAY(SELECT inbox FROM gateway.inboxes WHERE inbox >= 0));
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_truncate() IS 'Gives every inbox a new epoch.';

CREATE OR REPLACE FUNCTION gateway.collect_sessions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    me xid8 := pg_current_xact_id();
    changed bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
        SELECT me, -1, TG_TABLE_NAME, TG_OP, gateway.session_record_v1(to_jsonb(fresh)), jsonb_build_object('id', id)
        FROM fresh;
        GET DIAGNOSTICS changed = ROW_COUNT;
        INSERT INTO gateway.touched_sessions (xid, wasender_session_id)
        SELECT me, wasender_session_id FROM fresh WHERE wasender_session_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, old)
        SELECT me, -1, TG_TABLE_NAME, TG_OP,
            jsonb_build_object('id', id, 'wasender_session_id', wasender_session_id)
        FROM former;
        GET DIAGNOSTICS changed = ROW_COUNT;
        INSERT INTO gateway.touched_sessions (xid, wasender_session_id)
        SELECT me, wasender_session_id FROM former WHERE wasender_session_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    ELSE
        -- A new updated_at, key or secret alone changes nothing that a browser may see.
        WITH visible AS (
            SELECT f.wasender_session_id AS session, o.wasender_session_id AS old_session,
                gateway.session_record_v1(to_jsonb(f)) AS record, gateway.session_record_v1(to_jsonb(o)) AS old_record
            FROM fresh AS f
            FULL JOIN former AS o ON o.id = f.id
            WHERE gateway.session_record_v1(to_jsonb(f)) - 'updated_at'
                IS DISTINCT FROM gateway.session_record_v1(to_jsonb(o)) - 'updated_at'
        ), noted AS (
            INSERT INTO gateway.touched_sessions (xid, wasender_session_id)
            SELECT me, session FROM visible WHERE session IS NOT NULL
            UNION
            SELECT me, old_session FROM visible WHERE old_session IS NOT NULL
            ON CONFLICT DO NOTHING
        )
        INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
        SELECT me, -1, TG_TABLE_NAME,
            CASE WHEN record IS NULL THEN 'DELETE' WHEN old_record IS NULL THEN 'INSERT' ELSE 'UPDATE' END,
            record,
            CASE
                WHEN record IS NULL
                    THEN jsonb_build_object('id', old_record -> 'id', 'wasender_session_id', old_session)
                WHEN old_record IS NULL THEN jsonb_build_object('id', record -> 'id')
                ELSE jsonb_build_object('id', record -> 'id', 'changed', gateway.changed_keys_v1(record, old_record))
            END
        FROM visible
        ORDER BY record IS NOT NULL;
        GET DIAGNOSTICS changed = ROW_COUNT;
    END IF;
    IF changed > 0 THEN
        PERFORM gateway.mark_commit_v1(changed, '{}');
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_sessions() IS 'Collects visible changes of sessions.';

CREATE OR REPLACE FUNCTION gateway.collect_sessions_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO gateway.touched_sessions (xid, wasender_session_id)
    SELECT pg_current_xact_id(), wasender_session_id FROM gateway.session_state
    ON CONFLICT DO NOTHING;
    PERFORM gateway.mark_commit_v1(0, '{-1}');
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_sessions_truncate() IS 'Collects a change of every known session.';

CREATE OR REPLACE FUNCTION gateway.collect_attempts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO gateway.touched_sessions (xid, wasender_session_id)
        SELECT pg_current_xact_id(), wasender_session_id FROM former
        ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO gateway.touched_sessions (xid, wasender_session_id)
        SELECT pg_current_xact_id(), wasender_session_id FROM fresh
        ON CONFLICT DO NOTHING;
    END IF;
    IF FOUND THEN
        PERFORM gateway.mark_commit_v1(0, '{}');
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_attempts() IS 'Collects the sessions whose linking attempt changed.';

CREATE OR REPLACE FUNCTION gateway.touch_sessions_v1(sessions bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO gateway.touched_sessions (xid, wasender_session_id)
    SELECT DISTINCT pg_current_xact_id(), session FROM unnest(sessions) AS session
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM gateway.mark_commit_v1(0, '{}');
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.touch_sessions_v1(bigint[]) IS
    'Lets the versions of these sessions grow when the transaction commits, and notifies the gateways.';

-- A gateway writes rows in the order of their keys, lest two gateways wait for each other crosswise. Browsers see them
-- in the order in which they came: where an inbox has collected them otherwise, they are collected once more.
CREATE OR REPLACE FUNCTION gateway.in_arrival_v1(source text, known_by text, keys text[]) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    WITH collected AS (
        SELECT s.seq, s.inbox, arrived.turn,
            arrived.turn < lag(arrived.turn) OVER (PARTITION BY s.inbox ORDER BY s.seq) AS is_late
        FROM gateway.pending_changes AS s
        JOIN unnest(keys) WITH ORDINALITY AS arrived(key, turn) ON s.record ->> known_by = arrived.key
        WHERE s.xid = pg_current_xact_id() AND s.tbl = source AND s.op = 'INSERT'
    ), taken AS (
        DELETE FROM gateway.pending_changes AS s
        USING collected AS c
        WHERE s.xid = pg_current_xact_id() AND s.seq = c.seq
            AND c.inbox IN (SELECT inbox FROM collected WHERE is_late)
        RETURNING s.xid, s.inbox, s.tbl, s.op, s.record, s.old, c.turn
    )
    INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
    SELECT xid, inbox, tbl, op, record, old FROM taken ORDER BY turn;
$$;
COMMENT ON FUNCTION gateway.in_arrival_v1(text, text, text[]) IS
    'Puts the inserts that this transaction has collected into the order of the keys, inbox by inbox.';

-- Browsers need not know of a key or a webhook secret that changed. The gateways need to at once: a secret that was
-- replaced must not authenticate one more webhook.
CREATE OR REPLACE FUNCTION gateway.notify_keys() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sessions bigint[];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_notify('whatsapp_session_keys', '*');
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT array_agg(wasender_session_id) INTO sessions FROM fresh;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(wasender_session_id) INTO sessions FROM former;
    ELSE
        SELECT array_agg(DISTINCT session) INTO sessions
        FROM (
            SELECT unnest(ARRAY[f.wasender_session_id, o.wasender_session_id]) AS session
            FROM fresh AS f
            FULL JOIN former AS o ON o.id = f.id
            WHERE (f.wasender_session_id, f.api_key, f.webhook_secret)
                IS DISTINCT FROM (o.wasender_session_id, o.api_key, o.webhook_secret)
        ) AS changed
        WHERE session IS NOT NULL;
    END IF;
    PERFORM gateway.notify_v1('whatsapp_session_keys', sessions);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.notify_keys() IS
    'Names the sessions whose key or webhook secret a statement changed to the gateways.';

DROP TRIGGER IF EXISTS gateway_ring_inserted_keys ON public.whatsapp_sessions;
DROP TRIGGER IF EXISTS gateway_notify_inserted_keys ON public.whatsapp_sessions;
CREATE TRIGGER gateway_notify_inserted_keys
    AFTER INSERT ON public.whatsapp_sessions
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.notify_keys();
DROP TRIGGER IF EXISTS gateway_ring_updated_keys ON public.whatsapp_sessions;
DROP TRIGGER IF EXISTS gateway_notify_updated_keys ON public.whatsapp_sessions;
CREATE TRIGGER gateway_notify_updated_keys
    AFTER UPDATE ON public.whatsapp_sessions
    REFERENCING OLD TABLE AS former NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.notify_keys();
DROP TRIGGER IF EXISTS gateway_ring_deleted_keys ON public.whatsapp_sessions;
DROP TRIGGER IF EXISTS gateway_notify_deleted_keys ON public.whatsapp_sessions;
CREATE TRIGGER gateway_notify_deleted_keys
    AFTER DELETE ON public.whatsapp_sessions
    REFERENCING OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.notify_keys();
DROP TRIGGER IF EXISTS gateway_ring_truncated_keys ON public.whatsapp_sessions;
DROP TRIGGER IF EXISTS gateway_notify_truncated_keys ON public.whatsapp_sessions;
CREATE TRIGGER gateway_notify_truncated_keys
    AFTER TRUNCATE ON public.whatsapp_sessions
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.notify_keys();

DROP FUNCTION gateway.ring_keys();
DROP FUNCTION gateway.ring_v1(text, bigint[]);
DROP FUNCTION gateway.mark_v1(bigint, bigint[]);
DROP FUNCTION gateway.put_in_turn_v1(xid8, bigint, bigint[]);

CREATE OR REPLACE FUNCTION gateway.renew_epochs_once_v1(box bigint, known text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('gateway.history', 0));
    IF NOT EXISTS (SELECT FROM gateway.inboxes WHERE inbox = box AND epoch::text = known) THEN
        RETURN false;
    END IF;
    PERFORM gateway.renew_epochs_v1();
    RETURN true;
END;
$$;
COMMENT ON FUNCTION gateway.renew_epochs_once_v1(bigint, text) IS
    'Renews the epochs of all streams if that inbox still has the known one; true if it did.';
DROP FUNCTION gateway.begin_anew_v1(bigint, text);
COMMENT ON FUNCTION gateway.renew_epochs_v1() IS
    'Gives every stream a new epoch. No row is lost, and every client loads its inboxes again.';
COMMENT ON FUNCTION gateway.check_history_v1() IS
    'Renews the epochs if this database has another history than at the last check; true if so.';
COMMENT ON FUNCTION gateway.receive_v1(
    text, int[], text[], bigint[], text[], text[], text[], text[], text[], text[], text[], timestamptz[], jsonb[]
) IS 'Writes messages from customers; waits for a lock no longer than `patience`.';

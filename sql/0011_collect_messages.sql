-- Collecting: statement triggers put each change of a message aside until its transaction commits.
--
-- Arguments of the triggers: name of the column by which a client knows the row, name of the phone column.
-- SECURITY DEFINER with a fixed search_path: a role that may only INSERT into the table still can. timezone = UTC:
-- JSON looks the same whoever wrote the row.

-- An inbox's number. Negative ones are placeholders of other writers: they belong to nobody, like NULL.
CREATE OR REPLACE FUNCTION gateway.inbox_of(wasender_session_id bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN wasender_session_id > 0 THEN wasender_session_id ELSE 0 END;
COMMENT ON FUNCTION gateway.inbox_of(bigint) IS 'Inbox of a row: its session, or 0.';

-- What a client needs to find the row it has to take away.
CREATE OR REPLACE FUNCTION gateway.old_of_deleted_v1(record jsonb, known_by text, phone text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_object(
    'id', record -> 'id',
    known_by, record -> known_by,
    'chat', gateway.chat_of(record ->> 'chat', record ->> phone)
);
COMMENT ON FUNCTION gateway.old_of_deleted_v1(jsonb, text, text) IS 'The `old` of a deleted message.';

-- The names of what an UPDATE changed let a client tell a delivery state from an edit.
CREATE OR REPLACE FUNCTION gateway.changed_keys_v1(record jsonb, old_record jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(key ORDER BY key), '[]')
    FROM jsonb_each(record)
    WHERE value IS DISTINCT FROM old_record -> key;
$$;
COMMENT ON FUNCTION gateway.changed_keys_v1(jsonb, jsonb) IS 'Names of the columns in which two rows differ.';

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
    INSERT INTO gateway.staged (xid, inbox, tbl, op, record, old)
    SELECT pg_current_xact_id(), gateway.inbox_of(wasender_session_id), TG_TABLE_NAME, 'INSERT',
        to_jsonb(fresh) - 'raw_data', jsonb_build_object('id', id)
    FROM fresh
    WHERE gateway.inbox_of(wasender_session_id) <> ALL (flooded);
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM gateway.mark_v1(changed, flooded);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_inserts() IS 'Puts inserted messages aside for the stream.';

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
    INSERT INTO gateway.staged (xid, inbox, tbl, op, old)
    SELECT pg_current_xact_id(), gateway.inbox_of(wasender_session_id), TG_TABLE_NAME, 'DELETE',
        gateway.old_of_deleted_v1(to_jsonb(former), TG_ARGV[0], TG_ARGV[1])
    FROM former
    WHERE gateway.inbox_of(wasender_session_id) <> ALL (flooded);
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM gateway.mark_v1(changed, flooded);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_deletes() IS 'Puts deletions of messages aside for the stream.';

-- An UPDATE that changes nothing visible is nothing. Before a large one is staged, it is looked at inbox by inbox,
-- and the count of visible changes stops at 5,001: an UPDATE of a million rows pays for the first few thousand.
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
        SELECT 2, inbox, 'UPDATE', record,
            jsonb_build_object('id', record -> 'id', 'changed', gateway.changed_keys_v1(record, old_record))
        FROM paired
        WHERE lives AND lived AND inbox = old_inbox AND record <> old_record
    )
    INSERT INTO gateway.staged (xid, inbox, tbl, op, record, old)
    SELECT pg_current_xact_id(), inbox, TG_TABLE_NAME, op, record, was
    FROM changes
    WHERE inbox <> ALL (flooded)
    ORDER BY turn;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed > 0 OR cardinality(flooded) > 0 THEN
        PERFORM gateway.mark_v1(changed, flooded);
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_updates() IS 'Puts visible changes of messages aside for the stream.';

-- TRUNCATE says nothing about rows: every inbox gets a new epoch, and clients load again.
CREATE OR REPLACE FUNCTION gateway.collect_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM gateway.mark_v1(0, ARRAY(SELECT inbox FROM gateway.inboxes WHERE inbox >= 0));
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_truncate() IS 'A new epoch for every inbox.';

-- A row that moves to another chat (a LID's number became known, a writer mended a phone number) says from which: the
-- conversation it left has to be looked at again, too.

CREATE OR REPLACE FUNCTION gateway.old_of_updated_v1(record jsonb, old_record jsonb, phone text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_object('id', record -> 'id', 'changed', gateway.changed_keys_v1(record, old_record))
    || CASE
        -- Names and numbers are compared first: working out a chat is not free, and hardly any row moves.
        WHEN (record -> 'chat', record -> phone) IS DISTINCT FROM (old_record -> 'chat', old_record -> phone)
            AND gateway.chat_of(record ->> 'chat', record ->> phone)
                IS DISTINCT FROM gateway.chat_of(old_record ->> 'chat', old_record ->> phone)
            THEN jsonb_build_object('chat', gateway.chat_of(old_record ->> 'chat', old_record ->> phone))
        ELSE '{}'::jsonb
    END;
COMMENT ON FUNCTION gateway.old_of_updated_v1(jsonb, jsonb, text) IS 'The `old` of a changed message.';

COMMENT ON COLUMN gateway.stream.old IS
    'id of the row; for UPDATE the names of the columns that changed, and the chat it left if it moved; for DELETE what a client needs to find the row.';

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
        SELECT 2, inbox, 'UPDATE', record, gateway.old_of_updated_v1(record, old_record, TG_ARGV[1])
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

-- A shop's table may have columns of any name, and values of any type. Collecting its changes never makes a statement
-- of the shop fail.
--
-- Names: every column stands behind the alias of its table, a whole row is `alias.*`, and a bare name is a variable. So
-- a column that is called like an alias or a variable of ours is not taken for it.
-- Values: json that jsonb refuses (\u0000, a number of a million digits), a text of 300 MB, a type whose cast raises.
-- What cannot be told is null, and the key '' of the record names its columns: no column of Postgres has an empty name.

CREATE OR REPLACE FUNCTION gateway.tellable_columns_v1(source text, tbl oid) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_variable
DECLARE
    told jsonb := '{}';
    untold text[] := '{}';
    item jsonb;
    name text;
BEGIN
    FOR name IN
        SELECT a.attname
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = tbl AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'raw_data'
        ORDER BY a.attnum
    LOOP
        BEGIN
            EXECUTE pg_catalog.format('SELECT pg_catalog.to_jsonb(($1::%s).%I)', tbl::regclass, name)
                INTO item USING source;
            told := pg_catalog.jsonb_concat(told, pg_catalog.jsonb_build_object(name, item));
        EXCEPTION
            WHEN OTHERS THEN
                untold := pg_catalog.array_append(untold, name);
                told := pg_catalog.jsonb_concat(told, pg_catalog.jsonb_build_object(name, NULL));
        END;
    END LOOP;
    RETURN pg_catalog.jsonb_concat(told, pg_catalog.jsonb_build_object('', untold));
END;
$$;
COMMENT ON FUNCTION gateway.tellable_columns_v1(text, oid) IS
    'A row, given as text, as JSON; columns that have none are null, and the key '''' names them.';

-- Called once per row of each statement: no SET, and one block whose subtransaction writes nothing and needs no xid.
CREATE OR REPLACE FUNCTION gateway.record_of_v1(source anyelement, tbl oid) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN pg_catalog.to_jsonb(source) OPERATOR(pg_catalog.-) 'raw_data';
EXCEPTION
    WHEN OTHERS THEN
        RETURN gateway.tellable_columns_v1(source::text, tbl);
END;
$$;
COMMENT ON FUNCTION gateway.record_of_v1(anyelement, oid) IS
    'A row of that table as JSON without raw_data; never fails. The key '''' names columns that could not be told.';
-- A thread is read by the gateway's role, an index by every role that writes: neither depends on default privileges.
GRANT EXECUTE ON FUNCTION gateway.record_of_v1(anyelement, oid), gateway.tellable_columns_v1(text, oid) TO PUBLIC;

CREATE OR REPLACE FUNCTION gateway.changed_keys_v1(record jsonb, old_record jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(item.key ORDER BY item.key), '[]')
    FROM jsonb_each($1) AS item
    WHERE item.value IS DISTINCT FROM $2 -> item.key AND item.key <> '';
$$;

CREATE OR REPLACE FUNCTION gateway.collect_inserts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
DECLARE
    changed bigint := (SELECT count(*) FROM fresh);
    flooded bigint[] := '{}';
BEGIN
    IF changed = 0 THEN
        RETURN NULL;
    END IF;
    IF changed > 5000 THEN
        flooded := ARRAY(
            SELECT gateway.inbox_of(f.wasender_session_id) FROM fresh AS f GROUP BY 1 HAVING count(*) > 5000
        );
    END IF;
    INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
    SELECT pg_current_xact_id(), gateway.inbox_of(f.wasender_session_id), TG_TABLE_NAME, 'INSERT',
        gateway.record_of_v1(f.*, TG_RELID), jsonb_build_object('id', f.id)
    FROM fresh AS f
    WHERE gateway.inbox_of(f.wasender_session_id) <> ALL (flooded);
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM gateway.mark_commit_v1(changed, flooded);
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION gateway.collect_deletes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
DECLARE
    changed bigint := (SELECT count(*) FROM former);
    flooded bigint[] := '{}';
BEGIN
    IF changed = 0 THEN
        RETURN NULL;
    END IF;
    IF changed > 5000 THEN
        flooded := ARRAY(
            SELECT gateway.inbox_of(o.wasender_session_id) FROM former AS o GROUP BY 1 HAVING count(*) > 5000
        );
    END IF;
    INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, old)
    SELECT pg_current_xact_id(), gateway.inbox_of(o.wasender_session_id), TG_TABLE_NAME, 'DELETE',
        gateway.old_of_deleted_v1(gateway.record_of_v1(o.*, TG_RELID), TG_ARGV[0], TG_ARGV[1])
    FROM former AS o
    WHERE gateway.inbox_of(o.wasender_session_id) <> ALL (flooded);
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM gateway.mark_commit_v1(changed, flooded);
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION gateway.collect_updates() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
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
            SELECT side.inbox
            FROM (
                SELECT gateway.inbox_of(o.wasender_session_id) AS inbox, 1 AS gone, 0 AS come FROM former AS o
                UNION ALL
                SELECT gateway.inbox_of(f.wasender_session_id), 0, 1 FROM fresh AS f
            ) AS side
            GROUP BY side.inbox
            HAVING greatest(sum(side.gone), sum(side.come)) > 5000
        LOOP
            IF 5000 < (
                SELECT count(*)
                FROM (
                    SELECT FROM fresh AS f FULL JOIN former AS o ON o.id = f.id
                    WHERE box IN (gateway.inbox_of(f.wasender_session_id), gateway.inbox_of(o.wasender_session_id))
                        AND gateway.record_of_v1(f.*, TG_RELID) IS DISTINCT FROM gateway.record_of_v1(o.*, TG_RELID)
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
            gateway.record_of_v1(f.*, TG_RELID) AS record,
            o.id IS NOT NULL AS lived, gateway.inbox_of(o.wasender_session_id) AS old_inbox,
            gateway.record_of_v1(o.*, TG_RELID) AS old_record
        FROM fresh AS f
        FULL JOIN former AS o ON o.id = f.id
        WHERE gateway.inbox_of(coalesce(f.wasender_session_id, o.wasender_session_id)) <> ALL (flooded)
            OR gateway.inbox_of(coalesce(o.wasender_session_id, f.wasender_session_id)) <> ALL (flooded)
    ), changes AS (
        SELECT 0 AS turn, p.old_inbox AS inbox, 'DELETE' AS op, NULL::jsonb AS record,
            gateway.old_of_deleted_v1(p.old_record, TG_ARGV[0], TG_ARGV[1]) AS was
        FROM paired AS p
        WHERE p.lived AND (NOT p.lives OR p.inbox <> p.old_inbox)
        UNION ALL
        SELECT 1, p.inbox, 'INSERT', p.record, jsonb_build_object('id', p.record -> 'id')
        FROM paired AS p
        WHERE p.lives AND (NOT p.lived OR p.inbox <> p.old_inbox)
        UNION ALL
        SELECT 2, p.inbox, 'UPDATE', p.record, gateway.old_of_updated_v1(p.record, p.old_record, TG_ARGV[1])
        FROM paired AS p
        WHERE p.lives AND p.lived AND p.inbox = p.old_inbox AND p.record <> p.old_record
    )
    INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
    SELECT pg_current_xact_id(), c.inbox, TG_TABLE_NAME, c.op, c.record, c.was
    FROM changes AS c
    WHERE c.inbox <> ALL (flooded)
    ORDER BY c.turn;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed > 0 OR cardinality(flooded) > 0 THEN
        PERFORM gateway.mark_commit_v1(changed, flooded);
    END IF;
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION gateway.collect_sessions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
DECLARE
    me xid8 := pg_current_xact_id();
    changed bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
        SELECT me, -1, TG_TABLE_NAME, TG_OP, gateway.session_record_v1(gateway.record_of_v1(f.*, TG_RELID)),
            jsonb_build_object('id', f.id)
        FROM fresh AS f;
        GET DIAGNOSTICS changed = ROW_COUNT;
        INSERT INTO gateway.touched_sessions (xid, wasender_session_id)
        SELECT me, f.wasender_session_id FROM fresh AS f WHERE f.wasender_session_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, old)
        SELECT me, -1, TG_TABLE_NAME, TG_OP,
            jsonb_build_object('id', o.id, 'wasender_session_id', o.wasender_session_id)
        FROM former AS o;
        GET DIAGNOSTICS changed = ROW_COUNT;
        INSERT INTO gateway.touched_sessions (xid, wasender_session_id)
        SELECT me, o.wasender_session_id FROM former AS o WHERE o.wasender_session_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    ELSE
        -- A new updated_at, key or secret alone changes nothing that a browser may see.
        WITH paired AS (
            SELECT f.wasender_session_id AS session, o.wasender_session_id AS old_session,
                gateway.session_record_v1(gateway.record_of_v1(f.*, TG_RELID)) AS record,
                gateway.session_record_v1(gateway.record_of_v1(o.*, TG_RELID)) AS old_record
            FROM fresh AS f
            FULL JOIN former AS o ON o.id = f.id
        ), visible AS (
            SELECT p.session, p.old_session, p.record, p.old_record
            FROM paired AS p
            WHERE p.record - 'updated_at' IS DISTINCT FROM p.old_record - 'updated_at'
        ), noted AS (
            INSERT INTO gateway.touched_sessions (xid, wasender_session_id)
            SELECT me, v.session FROM visible AS v WHERE v.session IS NOT NULL
            UNION
            SELECT me, v.old_session FROM visible AS v WHERE v.old_session IS NOT NULL
            ON CONFLICT DO NOTHING
        )
        INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
        SELECT me, -1, TG_TABLE_NAME,
            CASE WHEN v.record IS NULL THEN 'DELETE' WHEN v.old_record IS NULL THEN 'INSERT' ELSE 'UPDATE' END,
            v.record,
            CASE
                WHEN v.record IS NULL
                    THEN jsonb_build_object('id', v.old_record -> 'id', 'wasender_session_id', v.old_session)
                WHEN v.old_record IS NULL THEN jsonb_build_object('id', v.record -> 'id')
                ELSE jsonb_build_object(
                    'id', v.record -> 'id', 'changed', gateway.changed_keys_v1(v.record, v.old_record))
            END
        FROM visible AS v
        ORDER BY v.record IS NOT NULL;
        GET DIAGNOSTICS changed = ROW_COUNT;
    END IF;
    IF changed > 0 THEN
        PERFORM gateway.mark_commit_v1(changed, '{}');
    END IF;
    RETURN NULL;
END;
$$;

-- A webhook that reveals a number runs this in the shop's tables, too.
CREATE OR REPLACE FUNCTION gateway.learn_lids_v1(lids text[], phones text[]) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    learned text[];
BEGIN
    WITH new_pairs AS (
        INSERT INTO gateway.lids AS known (lid, phone, seen_at)
        SELECT DISTINCT ON (told.lid) told.lid, told.phone, now()
        FROM unnest(lids, phones) WITH ORDINALITY AS told(lid, phone, turn)
        WHERE told.lid IS NOT NULL AND told.phone ~ '^[0-9]+$'
        ORDER BY told.lid, told.turn DESC
        ON CONFLICT (lid) DO UPDATE SET phone = excluded.phone, seen_at = now()
        WHERE known.phone IS DISTINCT FROM excluded.phone
        RETURNING known.lid
    )
    SELECT array_agg(n.lid) INTO learned FROM new_pairs AS n;
    IF learned IS NULL THEN
        RETURN;
    END IF;
    UPDATE public.whatsapp_incoming_messages AS m
    SET from_phone = known.phone,
        sender_lid = coalesce(m.sender_lid, known.lid),
        chat = CASE WHEN m.chat = known.lid THEN known.phone || '@s.whatsapp.net' ELSE m.chat END
    FROM gateway.lids AS known
    WHERE known.lid = ANY (learned) AND m.from_phone = known.lid AND m.from_phone LIKE '%@lid';
    UPDATE public.whatsapp_outgoing_messages AS m
    SET to_phone = known.phone,
        chat = CASE WHEN m.chat = known.lid THEN known.phone || '@s.whatsapp.net' ELSE m.chat END
    FROM gateway.lids AS known
    WHERE known.lid = ANY (learned) AND m.to_phone = known.lid AND m.to_phone LIKE '%@lid';
END;
$$;

-- Sessions and linking attempts are states, not streams: what counts is that something changed, and for which
-- session. The version grows as the transaction commits. Beside that, changes of whatsapp_sessions are kept as a
-- stream of their own (inbox -1), without the columns that hold secrets.

CREATE OR REPLACE FUNCTION gateway.session_record_v1(session jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN session - '{api_key,webhook_secret,session_data}'::text[];
COMMENT ON FUNCTION gateway.session_record_v1(jsonb) IS 'A session''s row without its secrets.';

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
        INSERT INTO gateway.staged (xid, inbox, tbl, op, record, old)
        SELECT me, -1, TG_TABLE_NAME, TG_OP, gateway.session_record_v1(to_jsonb(fresh)), jsonb_build_object('id', id)
        FROM fresh;
        GET DIAGNOSTICS changed = ROW_COUNT;
        INSERT INTO gateway.touched (xid, wasender_session_id)
        SELECT me, wasender_session_id FROM fresh WHERE wasender_session_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO gateway.staged (xid, inbox, tbl, op, old)
        SELECT me, -1, TG_TABLE_NAME, TG_OP,
            jsonb_build_object('id', id, 'wasender_session_id', wasender_session_id)
        FROM former;
        GET DIAGNOSTICS changed = ROW_COUNT;
        INSERT INTO gateway.touched (xid, wasender_session_id)
        SELECT me, wasender_session_id FROM former WHERE wasender_session_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    ELSE
        -- A new updated_at, key or secret alone is no news to anybody who may see this.
        WITH visible AS (
            SELECT f.wasender_session_id AS session, o.wasender_session_id AS old_session,
                gateway.session_record_v1(to_jsonb(f)) AS record, gateway.session_record_v1(to_jsonb(o)) AS old_record
            FROM fresh AS f
            FULL JOIN former AS o ON o.id = f.id
            WHERE gateway.session_record_v1(to_jsonb(f)) - 'updated_at'
                IS DISTINCT FROM gateway.session_record_v1(to_jsonb(o)) - 'updated_at'
        ), noted AS (
            INSERT INTO gateway.touched (xid, wasender_session_id)
            SELECT me, session FROM visible WHERE session IS NOT NULL
            UNION
            SELECT me, old_session FROM visible WHERE old_session IS NOT NULL
            ON CONFLICT DO NOTHING
        )
        INSERT INTO gateway.staged (xid, inbox, tbl, op, record, old)
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
        PERFORM gateway.mark_v1(changed, '{}');
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_sessions() IS 'Notes which sessions a statement changed visibly.';

CREATE OR REPLACE FUNCTION gateway.collect_sessions_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO gateway.touched (xid, wasender_session_id)
    SELECT pg_current_xact_id(), wasender_session_id FROM gateway.session_state
    ON CONFLICT DO NOTHING;
    PERFORM gateway.mark_v1(0, '{-1}');
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_sessions_truncate() IS 'Every session we knew has changed.';

CREATE OR REPLACE FUNCTION gateway.collect_attempts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO gateway.touched (xid, wasender_session_id)
        SELECT pg_current_xact_id(), wasender_session_id FROM former
        ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO gateway.touched (xid, wasender_session_id)
        SELECT pg_current_xact_id(), wasender_session_id FROM fresh
        ON CONFLICT DO NOTHING;
    END IF;
    IF FOUND THEN
        PERFORM gateway.mark_v1(0, '{}');
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.collect_attempts() IS 'Notes the sessions whose linking attempt moved.';

DROP TRIGGER IF EXISTS gateway_collect_inserts ON gateway.whatsapp_link_attempts;
CREATE TRIGGER gateway_collect_inserts
    AFTER INSERT ON gateway.whatsapp_link_attempts
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_attempts();
DROP TRIGGER IF EXISTS gateway_collect_updates ON gateway.whatsapp_link_attempts;
CREATE TRIGGER gateway_collect_updates
    AFTER UPDATE ON gateway.whatsapp_link_attempts
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_attempts();
DROP TRIGGER IF EXISTS gateway_collect_deletes ON gateway.whatsapp_link_attempts;
CREATE TRIGGER gateway_collect_deletes
    AFTER DELETE ON gateway.whatsapp_link_attempts
    REFERENCING OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_attempts();

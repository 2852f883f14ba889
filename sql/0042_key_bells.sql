-- A key or a webhook secret that changed is no news to browsers, so it rings no bell of theirs. The gateways have to
-- know at once all the same: the secret that was replaced must not open their door once more.

CREATE OR REPLACE FUNCTION gateway.ring_keys() RETURNS trigger
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
    PERFORM gateway.ring_v1('whatsapp_session_keys', sessions);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.ring_keys() IS 'Names the sessions whose key or webhook secret a statement changed.';

DROP TRIGGER IF EXISTS gateway_ring_inserted_keys ON public.whatsapp_sessions;
CREATE TRIGGER gateway_ring_inserted_keys
    AFTER INSERT ON public.whatsapp_sessions
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.ring_keys();
DROP TRIGGER IF EXISTS gateway_ring_updated_keys ON public.whatsapp_sessions;
CREATE TRIGGER gateway_ring_updated_keys
    AFTER UPDATE ON public.whatsapp_sessions
    REFERENCING OLD TABLE AS former NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.ring_keys();
DROP TRIGGER IF EXISTS gateway_ring_deleted_keys ON public.whatsapp_sessions;
CREATE TRIGGER gateway_ring_deleted_keys
    AFTER DELETE ON public.whatsapp_sessions
    REFERENCING OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.ring_keys();
DROP TRIGGER IF EXISTS gateway_ring_truncated_keys ON public.whatsapp_sessions;
CREATE TRIGGER gateway_ring_truncated_keys
    AFTER TRUNCATE ON public.whatsapp_sessions
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.ring_keys();

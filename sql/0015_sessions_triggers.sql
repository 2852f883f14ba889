-- From here on every visible change of a session rings, whoever makes it; sessions that are here get their state.

DROP TRIGGER IF EXISTS gateway_collect_inserts ON public.whatsapp_sessions;
CREATE TRIGGER gateway_collect_inserts
    AFTER INSERT ON public.whatsapp_sessions
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_sessions();
DROP TRIGGER IF EXISTS gateway_collect_updates ON public.whatsapp_sessions;
CREATE TRIGGER gateway_collect_updates
    AFTER UPDATE ON public.whatsapp_sessions
    REFERENCING OLD TABLE AS former NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_sessions();
DROP TRIGGER IF EXISTS gateway_collect_deletes ON public.whatsapp_sessions;
CREATE TRIGGER gateway_collect_deletes
    AFTER DELETE ON public.whatsapp_sessions
    REFERENCING OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_sessions();
DROP TRIGGER IF EXISTS gateway_collect_truncate ON public.whatsapp_sessions;
CREATE TRIGGER gateway_collect_truncate
    AFTER TRUNCATE ON public.whatsapp_sessions
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_sessions_truncate();

SELECT gateway.ensure_inbox_v1(-1);
INSERT INTO gateway.session_state (wasender_session_id, version)
SELECT wasender_session_id, 1 FROM public.whatsapp_sessions WHERE wasender_session_id IS NOT NULL
ON CONFLICT DO NOTHING;
INSERT INTO gateway.inboxes (inbox)
SELECT wasender_session_id FROM public.whatsapp_sessions WHERE wasender_session_id > 0
ON CONFLICT DO NOTHING;

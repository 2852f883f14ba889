-- From here on every change of an incoming message goes into its inbox's stream, whoever makes it.

DROP TRIGGER IF EXISTS gateway_collect_inserts ON public.whatsapp_incoming_messages;
CREATE TRIGGER gateway_collect_inserts
    AFTER INSERT ON public.whatsapp_incoming_messages
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_inserts('message_id', 'from_phone');
DROP TRIGGER IF EXISTS gateway_collect_updates ON public.whatsapp_incoming_messages;
CREATE TRIGGER gateway_collect_updates
    AFTER UPDATE ON public.whatsapp_incoming_messages
    REFERENCING OLD TABLE AS former NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_updates('message_id', 'from_phone');
DROP TRIGGER IF EXISTS gateway_collect_deletes ON public.whatsapp_incoming_messages;
CREATE TRIGGER gateway_collect_deletes
    AFTER DELETE ON public.whatsapp_incoming_messages
    REFERENCING OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_deletes('message_id', 'from_phone');
DROP TRIGGER IF EXISTS gateway_collect_truncate ON public.whatsapp_incoming_messages;
CREATE TRIGGER gateway_collect_truncate
    AFTER TRUNCATE ON public.whatsapp_incoming_messages
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_truncate();

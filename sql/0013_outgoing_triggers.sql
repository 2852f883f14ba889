-- Every change of an outgoing message goes into the same stream as the incoming ones of its inbox.

DROP TRIGGER IF EXISTS gateway_collect_inserts ON public.whatsapp_outgoing_messages;
CREATE TRIGGER gateway_collect_inserts
    AFTER INSERT ON public.whatsapp_outgoing_messages
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_inserts('client_id', 'to_phone');
DROP TRIGGER IF EXISTS gateway_collect_updates ON public.whatsapp_outgoing_messages;
CREATE TRIGGER gateway_collect_updates
    AFTER UPDATE ON public.whatsapp_outgoing_messages
    REFERENCING OLD TABLE AS former NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_updates('client_id', 'to_phone');
DROP TRIGGER IF EXISTS gateway_collect_deletes ON public.whatsapp_outgoing_messages;
CREATE TRIGGER gateway_collect_deletes
    AFTER DELETE ON public.whatsapp_outgoing_messages
    REFERENCING OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_deletes('client_id', 'to_phone');
DROP TRIGGER IF EXISTS gateway_collect_truncate ON public.whatsapp_outgoing_messages;
CREATE TRIGGER gateway_collect_truncate
    AFTER TRUNCATE ON public.whatsapp_outgoing_messages
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.collect_truncate();

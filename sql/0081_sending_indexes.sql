-- migrate: no transaction
-- Indexes of the messages to send. All are partial: a table of a million messages that are long sent has a small one.

-- unless: SELECT EXISTS (SELECT FROM public.whatsapp_outgoing_messages WHERE client_id IS NOT NULL GROUP BY wasender_session_id, client_id HAVING count(*) > 1)
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS gateway_outgoing_client_id
    ON public.whatsapp_outgoing_messages (wasender_session_id, client_id);
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS gateway_sends_number
    ON public.whatsapp_outgoing_messages (send_no)
    WHERE send_no IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_sends_waiting
    ON public.whatsapp_outgoing_messages (wasender_session_id, due_at, send_no)
    WHERE send_no IS NOT NULL AND status = 'queued';
CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_sends_of_chat
    ON public.whatsapp_outgoing_messages (wasender_session_id, chat, send_no)
    WHERE send_no IS NOT NULL AND status = 'queued';
CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_sends_open
    ON public.whatsapp_outgoing_messages (wasender_session_id, status, chat)
    WHERE send_no IS NOT NULL AND wa_key_id IS NULL AND status IN ('sending', 'accepted', 'unknown');
CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_sends_settled
    ON public.whatsapp_outgoing_messages (wasender_session_id, chat)
    WHERE send_no IS NOT NULL AND wa_key_id IS NULL AND (status IN ('sent', 'delivered', 'read', 'played') OR error_code = 'settled');

-- migrate: no transaction
-- Indexes on tables that may be large and in use: built beside the shop's writes. One that was interrupted is left
-- invalid by Postgres; it is dropped and built again. `-- unless:` names a query; if it is true, the index that
-- follows is not needed.

-- unless: SELECT gateway.has_index_v1('public.whatsapp_sessions', '(status)')
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_whatsapp_sessions_status
    ON public.whatsapp_sessions (status);
-- unless: SELECT gateway.has_index_v1('public.whatsapp_sessions', '(phone_number)')
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_whatsapp_sessions_phone_number
    ON public.whatsapp_sessions (phone_number);
-- unless: SELECT gateway.has_unique_v1('public.whatsapp_sessions', 'wasender_session_id')
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS whatsapp_sessions_wasender_session_id_key
    ON public.whatsapp_sessions (wasender_session_id);

-- unless: SELECT gateway.has_index_v1('public.whatsapp_session_logs', '(session_id)')
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_whatsapp_session_logs_session_id
    ON public.whatsapp_session_logs (session_id);
-- unless: SELECT gateway.has_index_v1('public.whatsapp_session_logs', '(created_at DESC)')
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_whatsapp_session_logs_created_at
    ON public.whatsapp_session_logs (created_at DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_session_logs_newest
    ON public.whatsapp_session_logs (session_id, created_at DESC);

-- unless: SELECT gateway.has_unique_v1('public.whatsapp_incoming_messages', 'message_id')
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS whatsapp_incoming_messages_message_id_key
    ON public.whatsapp_incoming_messages (message_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_incoming_chat
    ON public.whatsapp_incoming_messages (
        coalesce(wasender_session_id, 0), gateway.chat_of(chat, from_phone), received_at DESC
    );
CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_incoming_unread
    ON public.whatsapp_incoming_messages (
        coalesce(wasender_session_id, 0), gateway.chat_of(chat, from_phone), received_at DESC
    )
    WHERE NOT coalesce(is_read, false);
CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_incoming_wa_key_id
    ON public.whatsapp_incoming_messages (wa_key_id);

-- unless: SELECT gateway.has_unique_v1('public.whatsapp_outgoing_messages', 'client_id')
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS whatsapp_outgoing_messages_client_id_key
    ON public.whatsapp_outgoing_messages (client_id);
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS gateway_outgoing_wa_key_id
    ON public.whatsapp_outgoing_messages (wasender_session_id, wa_key_id)
    WHERE wa_key_id IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_outgoing_chat
    ON public.whatsapp_outgoing_messages (
        coalesce(wasender_session_id, 0), gateway.chat_of(chat, to_phone), created_at DESC
    );
CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_outgoing_queued
    ON public.whatsapp_outgoing_messages (send_after)
    WHERE status = 'queued';

-- unless: SELECT gateway.has_unique_v1('public.integrations', 'integration_name')
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS integrations_integration_name_key
    ON public.integrations (integration_name);

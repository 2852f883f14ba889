-- migrate: no transaction
-- A chat's newest sent messages, whatever lies before them. What was not sent yet has no time of sending: it is found
-- at the head of the same index.

CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_outgoing_newest
    ON public.whatsapp_outgoing_messages (
        coalesce(wasender_session_id, 0), gateway.chat_of(chat, to_phone), sent_at DESC
    );

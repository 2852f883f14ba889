-- migrate: no transaction
-- Rows of other writers that are to be sent.

CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_sends_from_sql
    ON public.whatsapp_outgoing_messages (id)
    WHERE send_no IS NULL AND status = 'queued' AND origin = 'sql';

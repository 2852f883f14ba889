-- migrate: no transaction
-- Finds the oldest of our log rows without going through the shop's.

CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_session_logs_ours
    ON public.whatsapp_session_logs (created_at) WHERE written_by = 'gateway';

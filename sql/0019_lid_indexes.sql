-- migrate: no transaction
-- A number learned for a LID moves the rows stored under that LID. There are few of them: found by index, they cost
-- the webhook that brought the number nothing.

CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_incoming_lid
    ON public.whatsapp_incoming_messages (from_phone)
    WHERE from_phone LIKE '%@lid';
CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_outgoing_lid
    ON public.whatsapp_outgoing_messages (to_phone)
    WHERE to_phone LIKE '%@lid';

-- `failed` and `sent` may replace each other, so between those two the later one counts, in whatever order they are
-- written.

SELECT gateway.adopt_v1('public.whatsapp_outgoing_messages', 'Messages sent by the shop, queued or gone out.', ARRAY[
    ['status_at', 'timestamptz', 'As of when WhatsApp told of the status; NULL for a status of our own.']
]);

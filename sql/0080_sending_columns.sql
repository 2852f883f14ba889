-- Messages that the gateway itself sends. `send_no` marks them: a row without one is never sent, whatever its status
-- says, and no row that was here before this file has one.

CREATE SEQUENCE IF NOT EXISTS gateway.send_numbers;
COMMENT ON SEQUENCE gateway.send_numbers IS 'Order of the messages to send, within each chat.';

SELECT gateway.adopt_v1('public.whatsapp_outgoing_messages', 'Messages sent by the shop, queued or gone out.', ARRAY[
    ['send_no', 'bigint', 'Place in the order of sending; NULL for what the gateway does not send.'],
    ['queued_at', 'timestamptz', 'When it was queued, the last time.'],
    ['due_at', 'timestamptz', 'When it may go: send_after, else queued_at.'],
    ['attempt', 'integer', 'How many calls to WasenderAPI have begun for it.'],
    ['sending_at', 'timestamptz', 'When the newest call began.'],
    ['holder', 'text', 'The sender that began it; no client sees it.'],
    ['payload', 'jsonb', 'What is to be sent, as it was asked for; no client sees it.'],
    ['request_hash', 'text', 'Digest of the request: the same client_id with another one is a conflict; no client sees it.'],
    ['error_code', 'text', 'Why it failed, in a word.'],
    ['accepted_at', 'timestamptz', 'When WasenderAPI took it over.'],
    ['played_at', 'timestamptz', 'When a voice note was played.'],
    ['created_by_sub', 'text', 'Login of the person who wrote it.'],
    ['overtaken_by', 'text', 'ref of an answer that another person gave while this one was queued.']
]);

-- A row without a status is not to be sent, and a row of another writer says what it means.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_attrdef AS d
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        WHERE d.adrelid = 'public.whatsapp_outgoing_messages'::regclass AND a.attname = 'status'
            AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE '''queued''::%'
    ) THEN
        ALTER TABLE public.whatsapp_outgoing_messages ALTER COLUMN status DROP DEFAULT;
    END IF;
END;
$$;

DROP INDEX IF EXISTS public.gateway_outgoing_queued;

-- Two sessions may use one client_id. The table that the gateway made had it unique by itself.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM gateway.owned_objects AS o WHERE o.kind = 'table' AND o.tbl = 'whatsapp_outgoing_messages'
    ) THEN
        ALTER TABLE public.whatsapp_outgoing_messages DROP CONSTRAINT IF EXISTS whatsapp_outgoing_messages_client_id_key;
    END IF;
    IF EXISTS (
        SELECT FROM gateway.owned_objects AS o
        WHERE o.kind = 'index' AND o.tbl = 'whatsapp_outgoing_messages' AND o.name = 'whatsapp_outgoing_messages_client_id_key'
    ) THEN
        DROP INDEX IF EXISTS public.whatsapp_outgoing_messages_client_id_key;
    END IF;
END;
$$;

COMMENT ON COLUMN public.whatsapp_outgoing_messages.status IS
    'queued, sending, accepted, sent, delivered, read, played, failed, unknown or cancelled; never goes backwards but by a person''s word.';

-- What only the gateway needs is in no record of a stream, and in no answer. `send_no` tells this table from others: a
-- shop's own column called payload is told as before.
CREATE OR REPLACE FUNCTION gateway.record_of_v1(source anyelement, tbl oid) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    told jsonb;
BEGIN
    BEGIN
        told := pg_catalog.to_jsonb(source);
    EXCEPTION
        WHEN OTHERS THEN
            told := gateway.tellable_columns_v1(source::text, tbl);
    END;
    IF told OPERATOR(pg_catalog.?) 'send_no' THEN
        RETURN told OPERATOR(pg_catalog.-) '{raw_data,send_no,due_at,holder,payload,request_hash}'::text[];
    END IF;
    RETURN told OPERATOR(pg_catalog.-) 'raw_data';
END;
$$;

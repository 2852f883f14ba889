-- Blue ticks, where the shop wants them: what is marked as read here is told to WasenderAPI, once for each message.

CREATE TABLE IF NOT EXISTS gateway.read_receipts (
    session bigint NOT NULL,
    key_id text NOT NULL,
    chat text NOT NULL,
    key jsonb NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tries int NOT NULL DEFAULT 0,
    told_at timestamptz,
    PRIMARY KEY (session, key_id)
);
CREATE INDEX IF NOT EXISTS read_receipts_due ON gateway.read_receipts (session, due_at) WHERE told_at IS NULL;
CREATE INDEX IF NOT EXISTS read_receipts_made_at ON gateway.read_receipts (made_at);
COMMENT ON TABLE gateway.read_receipts IS 'Messages whose senders are to be shown that they were read, and those of the last week that were.';
COMMENT ON COLUMN gateway.read_receipts.session IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.read_receipts.key_id IS 'WhatsApp''s key id.';
COMMENT ON COLUMN gateway.read_receipts.chat IS 'JID of the conversation.';
COMMENT ON COLUMN gateway.read_receipts.key IS 'WhatsApp''s key, as the webhook had it.';
COMMENT ON COLUMN gateway.read_receipts.made_at IS 'When the message was marked as read here.';
COMMENT ON COLUMN gateway.read_receipts.due_at IS 'Not before this time.';
COMMENT ON COLUMN gateway.read_receipts.tries IS 'How often WasenderAPI refused it.';
COMMENT ON COLUMN gateway.read_receipts.told_at IS 'When the call began, or was given up.';

-- As `mark_read_v1`. With `tells` the senders are to be shown it; a reaction is no message that one reads, and of a
-- group's message the key alone says who wrote it.
CREATE OR REPLACE FUNCTION gateway.mark_read_v2(
    box bigint, of_chat text, up_to bigint, of_epoch text, most int, tells boolean
) RETURNS bigint
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    marked bigint;
    told bigint;
BEGIN
    IF NOT tells OR box <= 0 THEN
        RETURN gateway.mark_read_v1(box, of_chat, up_to, of_epoch, most);
    END IF;
    IF up_to IS NOT NULL AND NOT EXISTS (
        SELECT FROM gateway.inboxes AS i
        WHERE i.inbox = gateway.inbox_of(box) AND i.epoch::text = of_epoch AND i.floor <= up_to
    ) THEN
        RETURN NULL;
    END IF;
    WITH marked_rows AS (
        UPDATE public.whatsapp_incoming_messages AS m
        SET is_read = true
        WHERE m.id = ANY (ARRAY(
                SELECT due.id
                FROM public.whatsapp_incoming_messages AS due
                WHERE coalesce(due.wasender_session_id, 0) = box AND gateway.chat_of(due.chat, due.from_phone) = of_chat
                    AND NOT coalesce(due.is_read, false)
                    AND (up_to IS NULL OR due.id::text NOT IN (
                        SELECT s.old ->> 'id'
                        FROM gateway.stream AS s
                        WHERE s.inbox = gateway.inbox_of(box) AND s.off > up_to
                            AND s.tbl = 'whatsapp_incoming_messages' AND s.op = 'INSERT'
                    ))
                ORDER BY due.received_at DESC
                LIMIT most
            ))
            AND NOT coalesce(m.is_read, false)
        RETURNING m.wa_key_id::text AS key_id, m.message_type::text AS kind, to_jsonb(m.raw_data) -> 'key' AS key
    ), keyed AS (
        SELECT DISTINCT ON (r.key_id) r.key_id, CASE
            WHEN r.key ->> 'id' = r.key_id AND coalesce(r.key ->> 'remoteJid', '') <> '' THEN r.key
            WHEN of_chat ~ '@(s\.whatsapp\.net|lid)$'
                THEN jsonb_build_object('id', r.key_id, 'remoteJid', of_chat, 'fromMe', false)
            END AS key
        FROM marked_rows AS r
        WHERE coalesce(r.key_id, '') <> '' AND r.kind IS DISTINCT FROM 'reaction'
    ), kept AS (
        INSERT INTO gateway.read_receipts (session, key_id, chat, key)
        SELECT box, k.key_id, of_chat, k.key FROM keyed AS k
        WHERE k.key IS NOT NULL AND of_chat !~ '@(newsletter|broadcast)$'
        ON CONFLICT (session, key_id) DO NOTHING
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM marked_rows), (SELECT count(*) FROM kept) INTO marked, told;
    IF told > 0 THEN
        PERFORM gateway.wake_sender_v1(box);
    END IF;
    RETURN marked;
END;
$$;
COMMENT ON FUNCTION gateway.mark_read_v2(bigint, text, bigint, text, int, boolean) IS
    'Marks messages of a chat as read, of those that were told up to an offset; returns how many. With `tells` their senders are to be shown it.';

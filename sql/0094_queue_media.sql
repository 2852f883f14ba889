-- A message with a file is queued with what it says of it: the upload becomes this message's own, in the same moment.

CREATE OR REPLACE FUNCTION gateway.queue_send_v2(
    box bigint, client text, named text, phone text, words text, kind text, quoted text, wished_at timestamptz,
    origin text, author text, author_sub text, request jsonb, hash text, item uuid
) RETURNS text
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    number bigint := nextval('gateway.send_numbers');
    made text;
    moment timestamptz := clock_timestamp();
    facts jsonb := gateway.bind_media_v1(item, author_sub, box, client);
BEGIN
    IF item IS NOT NULL AND facts IS NULL THEN
        RETURN NULL;  -- no such upload, another person's, or another message's already
    END IF;
    INSERT INTO public.whatsapp_outgoing_messages AS m (
        client_id, wasender_session_id, chat, to_phone, message_text, message_type, reply_to, status, send_after,
        origin, created_by, created_by_sub, created_at, send_no, queued_at, due_at, attempt, payload, request_hash, media)
    VALUES (client, box, named, phone, words, coalesce(facts ->> 'kind', kind), quoted, 'queued', wished_at, origin, author,
        author_sub, moment, number, moment, coalesce(wished_at, moment), 0, request, hash, facts)
    RETURNING m.id::text INTO made;
    PERFORM gateway.note_known_chat_v1(box, named);
    PERFORM gateway.wake_sender_v1(box);
    RETURN made;
END;
$$;
COMMENT ON FUNCTION gateway.queue_send_v2(
    bigint, text, text, text, text, text, text, timestamptz, text, text, text, jsonb, text, uuid
) IS 'Queues a message, with its file; returns the id of its row, NULL where the file is not its author''s to send.';

SELECT gateway.fit_media_column_v1('public.whatsapp_outgoing_messages', 'gateway.queue_send_v2(
    bigint, text, text, text, text, text, text, timestamptz, text, text, text, jsonb, text, uuid)');

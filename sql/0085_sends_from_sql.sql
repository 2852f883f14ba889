-- Rows that the shop's own code inserts to be sent, and the end of a queue with its session.

CREATE OR REPLACE FUNCTION gateway.cancel_queue_v1(box bigint) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE public.whatsapp_outgoing_messages AS m
    SET status = 'cancelled', error = 'The session was deleted.', error_code = 'session_deleted'
    WHERE m.wasender_session_id = box AND m.send_no IS NOT NULL AND m.status = 'queued';
    DELETE FROM gateway.send_lanes AS l WHERE l.session = box;
    PERFORM gateway.wake_sender_v1(box);
END;
$$;
COMMENT ON FUNCTION gateway.cancel_queue_v1(bigint) IS 'Cancels what waits in the queue of a session that is deleted.';

-- Rows count from the id noted when the setting was turned on last. What lay in the table before is never sent.
CREATE OR REPLACE FUNCTION gateway.turn_sending_from_sql_v1(is_on boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('gateway.send_from_sql', 0));
    IF NOT is_on THEN
        UPDATE gateway.settings AS s SET value = 'null' WHERE s.key = 'send_from_sql' AND s.value <> 'null';
    ELSIF NOT EXISTS (SELECT FROM gateway.settings AS s WHERE s.key = 'send_from_sql' AND s.value <> 'null') THEN
        INSERT INTO gateway.settings AS s (key, value)
        SELECT 'send_from_sql', to_jsonb(coalesce(max(m.id), 0)) FROM public.whatsapp_outgoing_messages AS m
        ON CONFLICT (key) DO UPDATE SET value = excluded.value;
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.turn_sending_from_sql_v1(boolean) IS
    'Notes whether rows of other writers are sent, and from which id on.';

-- Takes one such row into the queue, or (with a reason) refuses it.
CREATE OR REPLACE FUNCTION gateway.take_sql_row_v1(
    row_id bigint, named text, phone text, request jsonb, why text
) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    box bigint;
    moment timestamptz := clock_timestamp();
BEGIN
    UPDATE public.whatsapp_outgoing_messages AS m
    SET send_no = nextval('gateway.send_numbers'), queued_at = moment, due_at = coalesce(m.send_after, moment),
        attempt = 0, chat = coalesce(named, m.chat), to_phone = coalesce(phone, m.to_phone), payload = request,
        request_hash = 'sql', message_type = coalesce(m.message_type, 'text'),
        created_at = coalesce(m.created_at, moment),
        status = CASE WHEN why IS NULL THEN 'queued' ELSE 'failed' END,
        error = why, error_code = CASE WHEN why IS NOT NULL THEN 'invalid' END
    WHERE m.id = row_id AND m.send_no IS NULL AND m.status = 'queued'
    RETURNING m.wasender_session_id INTO box;
    IF FOUND AND why IS NULL THEN
        PERFORM gateway.note_known_chat_v1(box, named);
        PERFORM gateway.wake_sender_v1(box);
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.take_sql_row_v1(bigint, text, text, jsonb, text) IS
    'Queues a row that another writer has inserted to be sent.';

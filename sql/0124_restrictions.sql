-- A webhook may tell that WhatsApp lets a number start no new chats. The session's sender, wherever it runs, reads it here.

ALTER TABLE gateway.send_queues ADD COLUMN IF NOT EXISTS restricted_at timestamptz;
COMMENT ON COLUMN gateway.send_queues.restricted_at IS 'When a webhook last told that first contacts are refused.';

CREATE OR REPLACE FUNCTION gateway.note_restriction_v1(box bigint, moment timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO gateway.send_queues AS q (session, restricted_at) VALUES (box, least(moment, clock_timestamp()))
    ON CONFLICT (session) DO UPDATE SET restricted_at = greatest(q.restricted_at, excluded.restricted_at);
    PERFORM gateway.wake_sender_v1(box);
END;
$$;
COMMENT ON FUNCTION gateway.note_restriction_v1(bigint, timestamptz) IS
    'Tells the sender of a session that WhatsApp refuses first contacts since this moment.';

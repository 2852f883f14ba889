-- Where the waiting messages of a chat stand in their session's queue: chats that ever wrote come before first contacts,
-- scheduled messages behind what is due. Of the first 10,000; a message behind them has no place yet.

CREATE OR REPLACE FUNCTION gateway.queue_places_v1(box bigint, named text)
RETURNS TABLE (send_no bigint, id text, due_at timestamptz, is_known boolean, place bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    WITH mine AS (
        SELECT m.send_no, m.id::text AS id, m.due_at
        FROM public.whatsapp_outgoing_messages AS m
        WHERE m.wasender_session_id = $1 AND m.chat = $2 AND m.send_no IS NOT NULL AND m.status = 'queued'
        ORDER BY m.send_no
        LIMIT 1000
    ), known AS (
        SELECT m.send_no, m.due_at
        FROM gateway.send_lanes AS l
        JOIN public.whatsapp_outgoing_messages AS m
            ON m.wasender_session_id = $1 AND m.chat = l.chat AND m.send_no IS NOT NULL AND m.status = 'queued'
        WHERE l.session = $1
        LIMIT 10000
    ), oldest AS (
        SELECT m.send_no, m.due_at
        FROM public.whatsapp_outgoing_messages AS m
        WHERE m.wasender_session_id = $1 AND m.send_no IS NOT NULL AND m.status = 'queued'
        ORDER BY m.due_at, m.send_no
        LIMIT 10000
    ), placed AS (
        SELECT w.send_no, bool_or(w.is_known) AS is_known,
            row_number() OVER (ORDER BY min(w.due_at) > clock_timestamp(), NOT bool_or(w.is_known), min(w.due_at), w.send_no)
                AS place
        FROM (
            SELECT k.send_no, k.due_at, true AS is_known FROM known AS k
            UNION ALL
            SELECT o.send_no, o.due_at, false FROM oldest AS o
        ) AS w
        GROUP BY w.send_no
    )
    SELECT n.send_no, n.id, n.due_at, coalesce(p.is_known, false), p.place
    FROM mine AS n LEFT JOIN placed AS p ON p.send_no = n.send_no
    WHERE EXISTS (SELECT FROM mine);
$$;
COMMENT ON FUNCTION gateway.queue_places_v1(bigint, text) IS 'The waiting messages of a chat, with their places in the queue.';

-- Threads read forwards, places of single messages, reading up to an offset, and search of texts.

-- The order of a thread is second, arrival, direction, id; see `gateway.conversations`. Of each table as many of the
-- oldest rows past the place as a page holds, found by index, and all those of the same second. Moments read from naive
-- columns are out of order where clocks are put forward (an hour that does not exist): around that also those a little
-- younger, and a little older than the place (`slack`). Rows without a moment of their own are few.
CREATE OR REPLACE FUNCTION gateway.messages_after_v1(
    box bigint, of_chat text, place timestamptz, place_made timestamptz, place_way text, place_id text,
    is_inclusive boolean, most bigint, slack interval
) RETURNS TABLE (tbl text, at timestamptz, made timestamptz, direction text, id text, record jsonb)
LANGUAGE sql STABLE
AS $$
    SELECT message.tbl, message.at, message.made, message.direction, message.id, message.record
    FROM (
        SELECT 'whatsapp_incoming_messages' AS tbl,
            coalesce(m.received_at, m.created_at, 'epoch')::timestamptz AS at,
            coalesce(m.created_at, m.received_at, 'epoch')::timestamptz AS made,
            'in' AS direction, m.id::text AS id,
            gateway.record_of_v1(m.*, 'public.whatsapp_incoming_messages'::regclass) AS record
        FROM public.whatsapp_incoming_messages AS m
        WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.from_phone) = $2
            AND m.message_type IS DISTINCT FROM 'reaction'
            AND m.received_at >= date_trunc('second', $3) - $9
            AND m.received_at <= (
                SELECT CASE
                    WHEN newest.moment BETWEEN '1900-01-01' AND '9999-12-30' AND
                        (newest.moment + interval '3 hours')::timestamptz
                            - (newest.moment - interval '3 hours')::timestamptz <> interval '6 hours'
                        THEN newest.moment + interval '3 hours'
                    ELSE date_trunc('second', newest.moment) + interval '999999 microseconds'
                END
                FROM (
                    SELECT max(next.moment) AS moment
                    FROM (
                        SELECT n.received_at AS moment
                        FROM public.whatsapp_incoming_messages AS n
                        WHERE coalesce(n.wasender_session_id, 0) = $1 AND gateway.chat_of(n.chat, n.from_phone) = $2
                            AND n.message_type IS DISTINCT FROM 'reaction'
                            AND n.received_at >= date_trunc('second', $3) - $9
                            AND (date_trunc('second', n.received_at::timestamptz),
                                 coalesce(n.created_at, n.received_at, 'epoch')::timestamptz, 'in',
                                 lpad(n.id::text, 40, '0'))
                                >= (date_trunc('second', $3), $4, $5, lpad($6, 40, '0'))
                        ORDER BY n.received_at
                        LIMIT $8 + 1
                    ) AS next
                ) AS newest
            )
        UNION ALL
        SELECT 'whatsapp_incoming_messages', coalesce(m.created_at, 'epoch')::timestamptz,
            coalesce(m.created_at, 'epoch')::timestamptz, 'in', m.id::text,
            gateway.record_of_v1(m.*, 'public.whatsapp_incoming_messages'::regclass)
        FROM public.whatsapp_incoming_messages AS m
        WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.from_phone) = $2
            AND m.message_type IS DISTINCT FROM 'reaction' AND m.received_at IS NULL
        UNION ALL
        SELECT 'whatsapp_outgoing_messages',
            coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz,
            coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz,
            'out', m.id::text,
            gateway.record_of_v1(m.*, 'public.whatsapp_outgoing_messages'::regclass)
        FROM public.whatsapp_outgoing_messages AS m
        WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.to_phone) = $2
            AND m.message_type IS DISTINCT FROM 'reaction'
            AND m.sent_at >= date_trunc('second', $3) - $9
            AND m.sent_at <= (
                SELECT CASE
                    WHEN newest.moment BETWEEN '1900-01-01' AND '9999-12-30' AND
                        (newest.moment + interval '3 hours')::timestamptz
                            - (newest.moment - interval '3 hours')::timestamptz <> interval '6 hours'
                        THEN newest.moment + interval '3 hours'
                    ELSE date_trunc('second', newest.moment) + interval '999999 microseconds'
                END
                FROM (
                    SELECT max(next.moment) AS moment
                    FROM (
                        SELECT n.sent_at AS moment
                        FROM public.whatsapp_outgoing_messages AS n
                        WHERE coalesce(n.wasender_session_id, 0) = $1 AND gateway.chat_of(n.chat, n.to_phone) = $2
                            AND n.message_type IS DISTINCT FROM 'reaction'
                            AND n.sent_at >= date_trunc('second', $3) - $9
                            AND (date_trunc('second', n.sent_at::timestamptz),
                                 coalesce(n.created_at, n.sent_at, 'epoch')::timestamptz, 'out',
                                 lpad(n.id::text, 40, '0'))
                                >= (date_trunc('second', $3), $4, $5, lpad($6, 40, '0'))
                        ORDER BY n.sent_at
                        LIMIT $8 + 1
                    ) AS next
                ) AS newest
            )
        UNION ALL
        SELECT 'whatsapp_outgoing_messages', coalesce(m.created_at, 'epoch')::timestamptz,
            coalesce(m.created_at, 'epoch')::timestamptz, 'out', m.id::text,
            gateway.record_of_v1(m.*, 'public.whatsapp_outgoing_messages'::regclass)
        FROM public.whatsapp_outgoing_messages AS m
        WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.to_phone) = $2
            AND m.message_type IS DISTINCT FROM 'reaction' AND m.sent_at IS NULL
    ) AS message
    WHERE (date_trunc('second', message.at), message.made, message.direction, lpad(message.id, 40, '0'))
            > (date_trunc('second', $3), $4, $5, lpad($6, 40, '0'))
        OR ($7 AND (date_trunc('second', message.at), message.made, message.direction, lpad(message.id, 40, '0'))
            = (date_trunc('second', $3), $4, $5, lpad($6, 40, '0')))
    ORDER BY date_trunc('second', message.at), message.made, message.direction, lpad(message.id, 40, '0')
    LIMIT $8
$$;
COMMENT ON FUNCTION gateway.messages_after_v1(
    bigint, text, timestamptz, timestamptz, text, text, boolean, bigint, interval
) IS 'Messages of a chat past a place in its thread, the oldest first.';

-- The id is read as the column has it, whatever its type: so the primary key finds the row. What is no id of that type
-- names no message.
CREATE OR REPLACE FUNCTION gateway.message_place_v1(box bigint, of_chat text, way text, key text)
RETURNS TABLE (at timestamptz, made timestamptz)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
BEGIN
    IF way = 'in' THEN
        RETURN QUERY
        SELECT coalesce(m.received_at, m.created_at, 'epoch')::timestamptz,
            coalesce(m.created_at, m.received_at, 'epoch')::timestamptz
        FROM public.whatsapp_incoming_messages AS m
        WHERE m.id = (jsonb_populate_record(NULL::public.whatsapp_incoming_messages, jsonb_build_object('id', key))).id
            AND coalesce(m.wasender_session_id, 0) = box AND gateway.chat_of(m.chat, m.from_phone) = of_chat;
    ELSE
        RETURN QUERY
        SELECT coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz,
            coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz
        FROM public.whatsapp_outgoing_messages AS m
        WHERE m.id = (jsonb_populate_record(NULL::public.whatsapp_outgoing_messages, jsonb_build_object('id', key))).id
            AND coalesce(m.wasender_session_id, 0) = box AND gateway.chat_of(m.chat, m.to_phone) = of_chat;
    END IF;
EXCEPTION
    WHEN data_exception THEN
        RETURN;
END;
$$;
COMMENT ON FUNCTION gateway.message_place_v1(bigint, text, text, text) IS
    'Where a message stands in its thread; no row if that chat has no such message.';

-- At most `most` rows, so that no transaction changes more than a stream tells. NULL where `up_to` is of another
-- history, or older than what the stream still knows: then nothing is changed.
CREATE OR REPLACE FUNCTION gateway.mark_read_v1(box bigint, of_chat text, up_to bigint, of_epoch text, most int)
RETURNS bigint
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    marked bigint;
BEGIN
    IF up_to IS NOT NULL AND NOT EXISTS (
        SELECT FROM gateway.inboxes AS i
        WHERE i.inbox = gateway.inbox_of(box) AND i.epoch::text = of_epoch AND i.floor <= up_to
    ) THEN
        RETURN NULL;
    END IF;
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
        AND NOT coalesce(m.is_read, false);
    GET DIAGNOSTICS marked = ROW_COUNT;
    RETURN marked;
END;
$$;
COMMENT ON FUNCTION gateway.mark_read_v1(bigint, text, bigint, text, int) IS
    'Marks messages of a chat as read, of those that were told up to an offset; returns how many.';

-- Texts have no index: without a chat every message of the sessions is read. `boxes` NULL means all sessions. Groups
-- and channels are searched where they are asked for, or named.
CREATE OR REPLACE FUNCTION gateway.search_messages_v1(
    pattern text, boxes bigint[], of_chat text, with_groups boolean,
    place timestamptz, place_made timestamptz, place_way text, place_id text, most bigint
) RETURNS TABLE (
    session bigint, chat text, tbl text, at timestamptz, made timestamptz, direction text, id text, record jsonb,
    push_name text
)
LANGUAGE sql STABLE
AS $$
    WITH found AS (
        SELECT * FROM (
            SELECT coalesce(m.wasender_session_id, 0)::bigint AS session, gateway.chat_of(m.chat, m.from_phone) AS chat,
                coalesce(m.received_at, m.created_at, 'epoch')::timestamptz AS at,
                coalesce(m.created_at, m.received_at, 'epoch')::timestamptz AS made,
                'in' AS direction, m.id::text AS id, m.ctid AS place
            FROM public.whatsapp_incoming_messages AS m
            WHERE m.message_text ILIKE '%' || $1 || '%' AND m.deleted_at IS NULL
                AND m.message_type IS DISTINCT FROM 'reaction'
                AND ($2 IS NULL OR coalesce(m.wasender_session_id, 0) = ANY ($2))
                AND ($3 IS NULL OR gateway.chat_of(m.chat, m.from_phone) = $3)
            UNION ALL
            SELECT coalesce(m.wasender_session_id, 0)::bigint, gateway.chat_of(m.chat, m.to_phone),
                coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz,
                coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz,
                'out', m.id::text, m.ctid
            FROM public.whatsapp_outgoing_messages AS m
            WHERE m.message_text ILIKE '%' || $1 || '%' AND m.deleted_at IS NULL
                AND m.message_type IS DISTINCT FROM 'reaction'
                AND ($2 IS NULL OR coalesce(m.wasender_session_id, 0) = ANY ($2))
                AND ($3 IS NULL OR gateway.chat_of(m.chat, m.to_phone) = $3)
        ) AS hit
        WHERE hit.chat IS NOT NULL
            AND ($3 IS NOT NULL OR hit.chat !~ '@(newsletter|broadcast)$' AND ($4 OR hit.chat NOT LIKE '%@g.us'))
            AND ($5 IS NULL OR (date_trunc('second', hit.at), hit.made, hit.direction, lpad(hit.id, 40, '0'))
                < (date_trunc('second', $5), $6, $7, lpad($8, 40, '0')))
        ORDER BY date_trunc('second', hit.at) DESC, hit.made DESC, hit.direction DESC, lpad(hit.id, 40, '0') DESC
        LIMIT $9
    )
    SELECT f.session, f.chat,
        CASE f.direction WHEN 'in' THEN 'whatsapp_incoming_messages' ELSE 'whatsapp_outgoing_messages' END,
        f.at, f.made, f.direction, f.id,
        CASE f.direction
            WHEN 'in' THEN (
                SELECT gateway.record_of_v1(m.*, 'public.whatsapp_incoming_messages'::regclass)
                FROM public.whatsapp_incoming_messages AS m WHERE m.ctid = f.place)
            ELSE (
                SELECT gateway.record_of_v1(m.*, 'public.whatsapp_outgoing_messages'::regclass)
                FROM public.whatsapp_outgoing_messages AS m WHERE m.ctid = f.place)
        END,
        (SELECT m.push_name
         FROM public.whatsapp_incoming_messages AS m
         WHERE coalesce(m.wasender_session_id, 0) = f.session AND gateway.chat_of(m.chat, m.from_phone) = f.chat
             AND m.push_name <> '' AND f.chat NOT LIKE '%@g.us'
         ORDER BY m.received_at DESC NULLS LAST
         LIMIT 1)
    FROM found AS f
    ORDER BY date_trunc('second', f.at) DESC, f.made DESC, f.direction DESC, lpad(f.id, 40, '0') DESC
$$;
COMMENT ON FUNCTION gateway.search_messages_v1(
    text, bigint[], text, boolean, timestamptz, timestamptz, text, text, bigint
) IS 'Messages whose text holds the pattern, the newest first.';

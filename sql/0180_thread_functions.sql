-- Threads read backwards, the last message of a conversation, and where a chat has messages. Each of these statements
-- was put together in Python from the halves of both tables.

-- The order of a thread is second, arrival, direction, id; `messages_after_v1` reads it forwards. Of each table as many
-- of the newest rows before the place as a page holds, found by index, and all those of the same second. Moments read
-- from naive columns are out of order where clocks are put forward (an hour that does not exist): around that also
-- those a little older, and a little newer than the place (`slack`). Rows without a moment of their own are few.
CREATE OR REPLACE FUNCTION gateway.messages_before_v1(
    box bigint, of_chat text, place text, place_way text, place_id text, most bigint, slack interval, place_made text
) RETURNS TABLE (
    tbl text, at timestamptz, place_at text, made timestamptz, made_place text, direction text, id text, record jsonb
)
LANGUAGE sql STABLE
AS $$
    SELECT message.tbl, message.at, message.at::text, message.made, message.made::text, message.direction, message.id,
        message.record
    FROM (
        SELECT 'whatsapp_incoming_messages' AS tbl,
            coalesce(m.received_at, m.created_at, 'epoch')::timestamptz AS at,
            coalesce(m.created_at, m.received_at, 'epoch')::timestamptz AS made,
            'in' AS direction, m.id::text AS id,
            gateway.record_of_v1(m.*, 'public.whatsapp_incoming_messages'::regclass) AS record
        FROM public.whatsapp_incoming_messages AS m
        WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.from_phone) = $2
            AND m.message_type IS DISTINCT FROM 'reaction'
            AND m.received_at <= coalesce(
                date_trunc('second', $3::timestamptz) + interval '999999 microseconds', 'infinity') + $7
            AND m.received_at >= (
                SELECT CASE
                    WHEN oldest.moment BETWEEN '1900-01-01' AND '9999-12-31' AND oldest.moment::timestamptz
                        - (oldest.moment - interval '3 hours')::timestamptz <> interval '3 hours'
                        THEN oldest.moment - interval '3 hours'
                    ELSE date_trunc('second', oldest.moment)
                END
                FROM (
                    SELECT min(newest.moment) AS moment
                    FROM (
                        SELECT n.received_at AS moment
                        FROM public.whatsapp_incoming_messages AS n
                        WHERE coalesce(n.wasender_session_id, 0) = $1 AND gateway.chat_of(n.chat, n.from_phone) = $2
                            AND n.message_type IS DISTINCT FROM 'reaction'
                            AND n.received_at <= coalesce(
                                date_trunc('second', $3::timestamptz) + interval '999999 microseconds', 'infinity') + $7
                            AND ($3::timestamptz IS NULL
                                OR (date_trunc('second', n.received_at::timestamptz),
                                    coalesce(n.created_at, n.received_at, 'epoch')::timestamptz, 'in',
                                    lpad(n.id::text, 40, '0'))
                                    < (date_trunc('second', $3::timestamptz), $8::timestamptz, $4, lpad($5, 40, '0')))
                        ORDER BY n.received_at DESC
                        LIMIT $6
                    ) AS newest
                ) AS oldest
            )
        UNION ALL
        SELECT 'whatsapp_incoming_messages' AS tbl,
            coalesce(m.received_at, m.created_at, 'epoch')::timestamptz AS at,
            coalesce(m.created_at, m.received_at, 'epoch')::timestamptz AS made,
            'in' AS direction, m.id::text AS id,
            gateway.record_of_v1(m.*, 'public.whatsapp_incoming_messages'::regclass) AS record
        FROM public.whatsapp_incoming_messages AS m
        WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.from_phone) = $2
            AND m.message_type IS DISTINCT FROM 'reaction' AND m.received_at IS NULL
        UNION ALL
        SELECT 'whatsapp_outgoing_messages' AS tbl,
            coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz AS at,
            coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz AS made,
            'out' AS direction, m.id::text AS id,
            gateway.record_of_v1(m.*, 'public.whatsapp_outgoing_messages'::regclass) AS record
        FROM public.whatsapp_outgoing_messages AS m
        WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.to_phone) = $2
            AND m.message_type IS DISTINCT FROM 'reaction'
            AND m.sent_at <= coalesce(
                date_trunc('second', $3::timestamptz) + interval '999999 microseconds', 'infinity') + $7
            AND m.sent_at >= (
                SELECT CASE
                    WHEN oldest.moment BETWEEN '1900-01-01' AND '9999-12-31' AND oldest.moment::timestamptz
                        - (oldest.moment - interval '3 hours')::timestamptz <> interval '3 hours'
                        THEN oldest.moment - interval '3 hours'
                    ELSE date_trunc('second', oldest.moment)
                END
                FROM (
                    SELECT min(newest.moment) AS moment
                    FROM (
                        SELECT n.sent_at AS moment
                        FROM public.whatsapp_outgoing_messages AS n
                        WHERE coalesce(n.wasender_session_id, 0) = $1 AND gateway.chat_of(n.chat, n.to_phone) = $2
                            AND n.message_type IS DISTINCT FROM 'reaction'
                            AND n.sent_at <= coalesce(
                                date_trunc('second', $3::timestamptz) + interval '999999 microseconds', 'infinity') + $7
                            AND ($3::timestamptz IS NULL
                                OR (date_trunc('second', n.sent_at::timestamptz),
                                    coalesce(n.created_at, n.sent_at, 'epoch')::timestamptz, 'out',
                                    lpad(n.id::text, 40, '0'))
                                    < (date_trunc('second', $3::timestamptz), $8::timestamptz, $4, lpad($5, 40, '0')))
                        ORDER BY n.sent_at DESC
                        LIMIT $6
                    ) AS newest
                ) AS oldest
            )
        UNION ALL
        SELECT 'whatsapp_outgoing_messages' AS tbl,
            coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz AS at,
            coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz AS made,
            'out' AS direction, m.id::text AS id,
            gateway.record_of_v1(m.*, 'public.whatsapp_outgoing_messages'::regclass) AS record
        FROM public.whatsapp_outgoing_messages AS m
        WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.to_phone) = $2
            AND m.message_type IS DISTINCT FROM 'reaction' AND m.sent_at IS NULL
    ) AS message
    WHERE $3 IS NULL
        OR (date_trunc('second', message.at), message.made, message.direction, lpad(message.id, 40, '0'))
            < (date_trunc('second', $3::timestamptz), $8::timestamptz, $4, lpad($5, 40, '0'))
    ORDER BY date_trunc('second', message.at) DESC, message.made DESC, message.direction DESC,
        lpad(message.id, 40, '0') DESC
    LIMIT $6
$$;
COMMENT ON FUNCTION gateway.messages_before_v1(bigint, text, text, text, text, bigint, interval, text) IS
    'Messages of a chat before a place in it, or its newest ones where the place is NULL; the newest first.';

-- What has not gone out is no last message.
CREATE OR REPLACE FUNCTION gateway.last_messages_v1(boxes bigint[], chats text[])
RETURNS TABLE (session bigint, chat text, tbl text, record jsonb)
LANGUAGE sql STABLE
AS $$
    SELECT k.session, k.chat, last.tbl, last.record
    FROM unnest($1, $2) AS k (session, chat)
    CROSS JOIN LATERAL (
        SELECT newest.tbl, newest.record
        FROM (
            (SELECT 'whatsapp_incoming_messages' AS tbl,
                 coalesce(m.received_at, m.created_at, 'epoch')::timestamptz AS at,
                 coalesce(m.created_at, m.received_at, 'epoch')::timestamptz AS made,
                 'in' AS direction, m.id::text AS id,
                 gateway.record_of_v1(m.*, 'public.whatsapp_incoming_messages'::regclass) AS record
             FROM public.whatsapp_incoming_messages AS m
             WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
                 AND m.message_type IS DISTINCT FROM 'reaction'
                 AND m.received_at >= (
                     SELECT date_trunc('second', last.moment)
                     FROM (
                         SELECT n.received_at AS moment
                         FROM public.whatsapp_incoming_messages AS n
                         WHERE coalesce(n.wasender_session_id, 0) = k.session
                             AND gateway.chat_of(n.chat, n.from_phone) = k.chat
                             AND n.message_type IS DISTINCT FROM 'reaction'
                             AND n.received_at IS NOT NULL
                         ORDER BY n.received_at DESC
                         LIMIT 1
                     ) AS last
                 )
             ORDER BY date_trunc('second', m.received_at) DESC, made DESC, lpad(m.id::text, 40, '0') DESC
             LIMIT 1)
            UNION ALL
            (SELECT 'whatsapp_incoming_messages' AS tbl,
                 coalesce(m.received_at, m.created_at, 'epoch')::timestamptz AS at,
                 coalesce(m.created_at, m.received_at, 'epoch')::timestamptz AS made,
                 'in' AS direction, m.id::text AS id,
                 gateway.record_of_v1(m.*, 'public.whatsapp_incoming_messages'::regclass) AS record
             FROM public.whatsapp_incoming_messages AS m
             WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
                 AND m.message_type IS DISTINCT FROM 'reaction'
                 AND m.received_at IS NULL
             ORDER BY coalesce(m.created_at, 'epoch')::timestamptz DESC, lpad(m.id::text, 40, '0') DESC
             LIMIT 1)
            UNION ALL
            (SELECT 'whatsapp_outgoing_messages' AS tbl,
                 coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz AS at,
                 coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz AS made,
                 'out' AS direction, m.id::text AS id,
                 gateway.record_of_v1(m.*, 'public.whatsapp_outgoing_messages'::regclass) AS record
             FROM public.whatsapp_outgoing_messages AS m
             WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
                 AND m.message_type IS DISTINCT FROM 'reaction'
                 AND coalesce(m.status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled')
                 AND m.sent_at >= (
                     SELECT date_trunc('second', last.moment)
                     FROM (
                         SELECT n.sent_at AS moment
                         FROM public.whatsapp_outgoing_messages AS n
                         WHERE coalesce(n.wasender_session_id, 0) = k.session
                             AND gateway.chat_of(n.chat, n.to_phone) = k.chat
                             AND n.message_type IS DISTINCT FROM 'reaction'
                             AND coalesce(n.status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled')
                             AND n.sent_at IS NOT NULL
                         ORDER BY n.sent_at DESC
                         LIMIT 1
                     ) AS last
                 )
             ORDER BY date_trunc('second', m.sent_at) DESC, made DESC, lpad(m.id::text, 40, '0') DESC
             LIMIT 1)
            UNION ALL
            (SELECT 'whatsapp_outgoing_messages' AS tbl,
                 coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz AS at,
                 coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz AS made,
                 'out' AS direction, m.id::text AS id,
                 gateway.record_of_v1(m.*, 'public.whatsapp_outgoing_messages'::regclass) AS record
             FROM public.whatsapp_outgoing_messages AS m
             WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
                 AND m.message_type IS DISTINCT FROM 'reaction'
                 AND coalesce(m.status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled')
                 AND m.sent_at IS NULL
             ORDER BY coalesce(m.created_at, 'epoch')::timestamptz DESC, lpad(m.id::text, 40, '0') DESC
             LIMIT 1)
        ) AS newest
        ORDER BY date_trunc('second', newest.at) DESC, newest.made DESC, newest.direction DESC
        LIMIT 1
    ) AS last
$$;
COMMENT ON FUNCTION gateway.last_messages_v1(bigint[], text[]) IS 'The last message of each of these conversations.';

CREATE OR REPLACE FUNCTION gateway.first_chat_with_messages_v1(box bigint, chats text[])
RETURNS TABLE (chat text)
LANGUAGE sql STABLE
AS $$
    SELECT k.chat
    FROM (
        SELECT $1 AS session, named.chat, named.turn FROM unnest($2) WITH ORDINALITY AS named (chat, turn)
    ) AS k
    CROSS JOIN LATERAL (
        (SELECT 1
         FROM public.whatsapp_incoming_messages AS m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction'
         ORDER BY m.received_at DESC
         LIMIT 1)
        UNION ALL
        (SELECT 1
         FROM public.whatsapp_outgoing_messages AS m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction'
         ORDER BY m.sent_at DESC
         LIMIT 1)
        LIMIT 1
    ) AS message
    ORDER BY k.turn
    LIMIT 1
$$;
COMMENT ON FUNCTION gateway.first_chat_with_messages_v1(bigint, text[]) IS
    'The first of these chats that has messages in the session.';

-- A session has this chat if it is listed, or if its inbox is not listed to the end yet; the messages decide. What was
-- not sent does not count, as in the list. Not by EXISTS: two of them with OR become a hash of all messages. The order
-- is the index's; without it Postgres may read the table, hoping to meet the chat soon.
CREATE OR REPLACE FUNCTION gateway.sessions_of_chat_v1(of_chat text) RETURNS TABLE (session bigint)
LANGUAGE sql STABLE
AS $$
    SELECT k.session
    FROM (
        SELECT c.session, c.chat FROM gateway.conversations AS c WHERE c.chat = $1
        UNION
        SELECT i.inbox, $1
        FROM gateway.inboxes AS i
        LEFT JOIN gateway.projections AS p ON p.inbox = i.inbox
        WHERE i.inbox >= 0 AND (p.epoch = i.epoch AND p.off = i.off AND p.next_chat IS NULL) IS NOT TRUE
    ) AS k
    CROSS JOIN LATERAL (
        (SELECT 1
         FROM public.whatsapp_incoming_messages AS m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction'
         ORDER BY m.received_at DESC
         LIMIT 1)
        UNION ALL
        (SELECT 1
         FROM public.whatsapp_outgoing_messages AS m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction'
             AND coalesce(m.status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled')
         ORDER BY m.sent_at DESC
         LIMIT 1)
        LIMIT 1
    ) AS message
$$;
COMMENT ON FUNCTION gateway.sessions_of_chat_v1(text) IS 'The sessions in which a chat has messages.';

-- From one key of the index to the next: a chat of a million messages costs as much as one of a single message.
CREATE OR REPLACE FUNCTION gateway.next_chat_v1(after_box bigint, after_chat text, last_box bigint)
RETURNS TABLE (session bigint, chat text)
LANGUAGE sql STABLE
AS $$
    SELECT step.session, step.chat
    FROM (
        (SELECT coalesce(m.wasender_session_id, 0)::bigint AS session, gateway.chat_of(m.chat, m.from_phone) AS chat
         FROM public.whatsapp_incoming_messages AS m
         WHERE (coalesce(m.wasender_session_id, 0), gateway.chat_of(m.chat, m.from_phone)) > ($1, $2)
             AND coalesce(m.wasender_session_id, 0) <= $3
         ORDER BY coalesce(m.wasender_session_id, 0), gateway.chat_of(m.chat, m.from_phone)
         LIMIT 1)
        UNION ALL
        (SELECT coalesce(m.wasender_session_id, 0)::bigint AS session, gateway.chat_of(m.chat, m.to_phone) AS chat
         FROM public.whatsapp_outgoing_messages AS m
         WHERE (coalesce(m.wasender_session_id, 0), gateway.chat_of(m.chat, m.to_phone)) > ($1, $2)
             AND coalesce(m.wasender_session_id, 0) <= $3
         ORDER BY coalesce(m.wasender_session_id, 0), gateway.chat_of(m.chat, m.to_phone)
         LIMIT 1)
    ) AS step
    ORDER BY step.session, step.chat
    LIMIT 1
$$;
COMMENT ON FUNCTION gateway.next_chat_v1(bigint, text, bigint) IS
    'The conversation that follows another one by session and chat, up to a session.';

-- Text search has no index; what people look for is often found among the newest messages.
CREATE OR REPLACE FUNCTION gateway.probe_chat_v1(box bigint, of_chat text, pattern text, most bigint)
RETURNS TABLE (is_found boolean, is_whole boolean)
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(bool_or(newest.is_found), false),
        count(*) FILTER (WHERE newest.came) < $4 AND count(*) FILTER (WHERE NOT newest.came) < $4
    FROM (
        (SELECT m.message_text ILIKE $3 OR m.push_name ILIKE $3 AS is_found, true AS came
         FROM public.whatsapp_incoming_messages AS m
         WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.from_phone) = $2
             AND m.message_type IS DISTINCT FROM 'reaction'
         ORDER BY m.received_at DESC
         LIMIT $4)
        UNION ALL
        (SELECT m.message_text ILIKE $3 AS is_found, false AS came
         FROM public.whatsapp_outgoing_messages AS m
         WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.to_phone) = $2
             AND m.message_type IS DISTINCT FROM 'reaction'
         ORDER BY m.sent_at DESC
         LIMIT $4)
    ) AS newest
$$;
COMMENT ON FUNCTION gateway.probe_chat_v1(bigint, text, text, bigint) IS
    'Whether one of the newest messages of a chat matches, and whether it has no others.';

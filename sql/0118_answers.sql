-- What has not gone out (queued, being sent, failed, cancelled) answers nothing, and is no last message: neither does it
-- list a conversation. As in 0101 otherwise.

CREATE OR REPLACE FUNCTION gateway.conversations_made_v1(sessions bigint[], chats text[])
RETURNS TABLE (
    session bigint, chat text, last_at timestamptz, unread bigint, is_unreplied boolean, push_name text,
    owner text, is_done boolean
)
LANGUAGE sql STABLE
AS $$
SELECT k.session, k.chat, greatest(came.at, went.at),
    greatest(unread.n, CASE WHEN mark.marked_unread_at IS NULL THEN 0 ELSE 1 END),
    coalesce((
        SELECT true FROM public.whatsapp_incoming_messages m
        WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
            AND m.message_type IS DISTINCT FROM 'reaction' AND NOT coalesce(m.replied, false)
            AND m.received_at >= date_trunc('second', coalesce(went.at, '-infinity'))
            AND (m.received_at >= date_trunc('second', coalesce(went.at, '-infinity')) + interval '1 second'
                OR coalesce(m.created_at, m.received_at, 'epoch')::timestamptz > coalesce(answered.made, '-infinity'))
        ORDER BY m.received_at DESC LIMIT 1), false)
    OR coalesce((
        SELECT true FROM public.whatsapp_incoming_messages m
        WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
            AND m.message_type IS DISTINCT FROM 'reaction' AND NOT coalesce(m.replied, false)
            AND m.received_at IS NULL
            AND coalesce(m.created_at, 'epoch')::timestamptz >= date_trunc('second', coalesce(went.at, '-infinity'))
            AND (coalesce(m.created_at, 'epoch')::timestamptz
                    >= date_trunc('second', coalesce(went.at, '-infinity')) + interval '1 second'
                OR coalesce(m.created_at, m.received_at, 'epoch')::timestamptz > coalesce(answered.made, '-infinity'))
        ORDER BY m.received_at DESC LIMIT 1), false),
    named.push_name,
    mark.owner,
    CASE WHEN mark.done_at IS NULL THEN false ELSE gateway.is_done_v1(k.session, k.chat, mark.done_at) END
FROM unnest(sessions, chats) AS k (session, chat)
CROSS JOIN LATERAL (
    SELECT max(half.at) AS at
    FROM (
        (SELECT m.received_at::timestamptz AS at FROM public.whatsapp_incoming_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction' AND m.received_at IS NOT NULL
         ORDER BY m.received_at DESC LIMIT 1)
        UNION ALL
        (SELECT max(coalesce(m.created_at, 'epoch')::timestamptz) FROM public.whatsapp_incoming_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction' AND m.received_at IS NULL)
    ) AS half
) AS came
CROSS JOIN LATERAL (
    SELECT max(half.at) AS at
    FROM (
        (SELECT m.sent_at::timestamptz AS at FROM public.whatsapp_outgoing_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction'
             AND coalesce(m.status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled') AND m.sent_at IS NOT NULL
         ORDER BY m.sent_at DESC LIMIT 1)
        UNION ALL
        (SELECT max(coalesce(m.created_at, 'epoch')::timestamptz) FROM public.whatsapp_outgoing_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction'
             AND coalesce(m.status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled') AND m.sent_at IS NULL)
    ) AS half
) AS went
CROSS JOIN LATERAL (
    SELECT max(half.made) AS made
    FROM (
        (SELECT max(coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz) AS made
         FROM public.whatsapp_outgoing_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction'
             AND coalesce(m.status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled') AND m.sent_at >= date_trunc('second', went.at))
        UNION ALL
        (SELECT max(coalesce(m.created_at, 'epoch')::timestamptz) FROM public.whatsapp_outgoing_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction'
             AND coalesce(m.status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled') AND m.sent_at IS NULL
             AND coalesce(m.created_at, 'epoch')::timestamptz >= date_trunc('second', went.at))
    ) AS half
) AS answered
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM public.whatsapp_incoming_messages m
    WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
        AND m.message_type IS DISTINCT FROM 'reaction' AND NOT coalesce(m.is_read, false) AND m.deleted_at IS NULL
) AS unread
LEFT JOIN LATERAL (
    SELECT half.push_name
    FROM (
        (SELECT m.push_name, m.received_at::timestamptz AS at FROM public.whatsapp_incoming_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction' AND m.received_at IS NOT NULL AND m.push_name <> ''
         ORDER BY m.received_at DESC LIMIT 1)
        UNION ALL
        (SELECT m.push_name, coalesce(m.created_at, 'epoch')::timestamptz AS at FROM public.whatsapp_incoming_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction' AND m.received_at IS NULL AND m.push_name <> ''
         ORDER BY at DESC LIMIT 1)
    ) AS half
    WHERE k.chat NOT LIKE '%@g.us'
    ORDER BY half.at DESC LIMIT 1
) AS named ON true
LEFT JOIN gateway.conversation_marks AS mark ON mark.session = k.session AND mark.chat = k.chat
$$;
COMMENT ON FUNCTION gateway.conversations_made_v1(bigint[], text[]) IS
    'Conversations as their messages and marks make them.';

CREATE OR REPLACE FUNCTION gateway.conversations_of_sessions_v1(sessions bigint[])
RETURNS TABLE (
    session bigint, chat text, last_at timestamptz, unread bigint, is_unreplied boolean, push_name text,
    owner text, is_done boolean
)
LANGUAGE sql STABLE
AS $$
SELECT made.session, made.chat, made.last_at,
    greatest(made.unread, CASE WHEN mark.marked_unread_at IS NULL THEN 0 ELSE 1 END),
    made.is_unreplied, made.push_name, mark.owner,
    CASE WHEN mark.done_at IS NULL THEN false ELSE gateway.is_done_v1(made.session, made.chat, mark.done_at) END
FROM (
    SELECT message.session, message.chat, max(message.at) AS last_at,
        count(*) FILTER (WHERE message.is_unread) AS unread,
        coalesce(max(message.place) FILTER (WHERE message.is_unreplied)
            > coalesce(
                max(message.place) FILTER (WHERE NOT message.is_incoming),
                ARRAY['-infinity', '-infinity']::timestamptz[]),
            false) AS is_unreplied,
        (array_agg(message.push_name ORDER BY message.at DESC)
            FILTER (WHERE message.push_name <> '' AND message.chat NOT LIKE '%@g.us'))[1] AS push_name
    FROM (
        SELECT said.*, ARRAY[date_trunc('second', said.at), said.made] AS place
        FROM (
            SELECT coalesce(m.wasender_session_id, 0)::bigint AS session,
                gateway.chat_of(m.chat, m.from_phone) AS chat,
                coalesce(m.received_at, m.created_at, 'epoch')::timestamptz AS at,
                coalesce(m.created_at, m.received_at, 'epoch')::timestamptz AS made,
                NOT coalesce(m.is_read, false) AND m.deleted_at IS NULL AS is_unread,
                NOT coalesce(m.replied, false) AS is_unreplied,
                true AS is_incoming,
                m.push_name
            FROM public.whatsapp_incoming_messages AS m
            WHERE coalesce(m.wasender_session_id, 0) = ANY (sessions) AND m.message_type IS DISTINCT FROM 'reaction'
            UNION ALL
            SELECT coalesce(m.wasender_session_id, 0), gateway.chat_of(m.chat, m.to_phone),
                coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz,
                coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz, false, false, false, NULL
            FROM public.whatsapp_outgoing_messages AS m
            WHERE coalesce(m.wasender_session_id, 0) = ANY (sessions) AND m.message_type IS DISTINCT FROM 'reaction'
             AND coalesce(m.status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled')
        ) AS said
    ) AS message
    WHERE message.chat IS NOT NULL
    GROUP BY message.session, message.chat
) AS made
LEFT JOIN gateway.conversation_marks AS mark ON mark.session = made.session AND mark.chat = made.chat
$$;

-- A shop whose messages have a column called `sessions` saw an empty list: in a function of SQL a column goes before an
-- argument of the same name. The argument is named by its place.
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
            WHERE coalesce(m.wasender_session_id, 0) = ANY ($1) AND m.message_type IS DISTINCT FROM 'reaction'
            UNION ALL
            SELECT coalesce(m.wasender_session_id, 0), gateway.chat_of(m.chat, m.to_phone),
                coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz,
                coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz, false, false, false, NULL
            FROM public.whatsapp_outgoing_messages AS m
            WHERE coalesce(m.wasender_session_id, 0) = ANY ($1) AND m.message_type IS DISTINCT FROM 'reaction'
             AND coalesce(m.status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled')
        ) AS said
    ) AS message
    WHERE message.chat IS NOT NULL
    GROUP BY message.session, message.chat
) AS made
LEFT JOIN gateway.conversation_marks AS mark ON mark.session = made.session AND mark.chat = made.chat
$$;

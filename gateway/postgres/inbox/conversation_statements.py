"""Conversations as SQL: how one is made of its messages, and which of them an event has touched.

The moment of a message is `received_at` or `sent_at`, else `created_at`. The indexes are in the order of the former,
with the rows that have none at their head: so everything is asked in two halves, the rows with a moment of their own
(the newest one is the first), and those without (few, read whole).

Times are compared as the columns have them. Where those are naive, an hour that does not exist in the operator's
zone (a clock put forward) is out of order; only a thread, which must not lose a message, allows for it.
"""

# Reactions belong to their messages: rows of that type, from before or of another writer, are shown nowhere.
INCOMING = """public.whatsapp_incoming_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
           AND m.message_type IS DISTINCT FROM 'reaction'"""
OUTGOING = """public.whatsapp_outgoing_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
           AND m.message_type IS DISTINCT FROM 'reaction'"""

# WhatsApp tells whole seconds. Within one the order is that of arrival: when the row was made.
IN_MADE = "coalesce(m.created_at, m.received_at, 'epoch')::timestamptz"
OUT_MADE = "coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz"

# A few indexed probes for each chat, whatever its length. `last_at` is NULL where there is no message any more. Each
# LIMIT has the order of the index: without one Postgres may read the whole table, hoping to meet a row soon.
MADE_OF_MESSAGES = f"""
SELECT k.session, k.chat, greatest(came.at, went.at) AS last_at, unread.n AS unread,
       coalesce((
         SELECT true FROM {INCOMING} AND NOT coalesce(m.replied, false)
             AND m.received_at >= date_trunc('second', coalesce(went.at, '-infinity'))
             AND (m.received_at >= date_trunc('second', coalesce(went.at, '-infinity')) + interval '1 second'
                 OR {IN_MADE} > coalesce(answered.made, '-infinity'))
         ORDER BY m.received_at DESC LIMIT 1), false)
       OR coalesce((
         SELECT true FROM {INCOMING} AND NOT coalesce(m.replied, false) AND m.received_at IS NULL
             AND coalesce(m.created_at, 'epoch')::timestamptz >= date_trunc('second', coalesce(went.at, '-infinity'))
             AND (coalesce(m.created_at, 'epoch')::timestamptz
                     >= date_trunc('second', coalesce(went.at, '-infinity')) + interval '1 second'
                 OR {IN_MADE} > coalesce(answered.made, '-infinity'))
         ORDER BY m.received_at DESC LIMIT 1), false) AS is_unreplied,
       named.push_name
FROM unnest($1::bigint[], $2::text[]) AS k (session, chat)
CROSS JOIN LATERAL (
    SELECT max(half.at) AS at
    FROM (
        (SELECT m.received_at::timestamptz AS at FROM {INCOMING} AND m.received_at IS NOT NULL
         ORDER BY m.received_at DESC LIMIT 1)
        UNION ALL
        (SELECT max(coalesce(m.created_at, 'epoch')::timestamptz) FROM {INCOMING} AND m.received_at IS NULL)
    ) AS half
) AS came
CROSS JOIN LATERAL (
    SELECT max(half.at) AS at
    FROM (
        (SELECT m.sent_at::timestamptz AS at FROM {OUTGOING} AND m.sent_at IS NOT NULL
         ORDER BY m.sent_at DESC LIMIT 1)
        UNION ALL
        (SELECT max(coalesce(m.created_at, 'epoch')::timestamptz) FROM {OUTGOING} AND m.sent_at IS NULL)
    ) AS half
) AS went
CROSS JOIN LATERAL (
    SELECT max(half.made) AS made
    FROM (
        (SELECT max({OUT_MADE}) AS made FROM {OUTGOING} AND m.sent_at >= date_trunc('second', went.at))
        UNION ALL
        (SELECT max(coalesce(m.created_at, 'epoch')::timestamptz) FROM {OUTGOING} AND m.sent_at IS NULL
             AND coalesce(m.created_at, 'epoch')::timestamptz >= date_trunc('second', went.at))
    ) AS half
) AS answered
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM {INCOMING} AND NOT coalesce(m.is_read, false) AND m.deleted_at IS NULL
) AS unread
LEFT JOIN LATERAL (
    SELECT half.push_name
    FROM (
        (SELECT m.push_name, m.received_at::timestamptz AS at FROM {INCOMING}
             AND m.received_at IS NOT NULL AND m.push_name <> ''
         ORDER BY m.received_at DESC LIMIT 1)
        UNION ALL
        (SELECT m.push_name, coalesce(m.created_at, 'epoch')::timestamptz AS at FROM {INCOMING}
             AND m.received_at IS NULL AND m.push_name <> ''
         ORDER BY at DESC LIMIT 1)
    ) AS half
    WHERE k.chat NOT LIKE '%@g.us'
    ORDER BY half.at DESC LIMIT 1
) AS named ON true
"""

# The same for all chats of some sessions at once: reads every message of them.
ALL_OF_SESSIONS = """
SELECT session, chat, max(at) AS last_at,
       count(*) FILTER (WHERE is_unread) AS unread,
       coalesce(max(place) FILTER (WHERE is_unreplied)
           > coalesce(max(place) FILTER (WHERE NOT is_incoming), ARRAY['-infinity', '-infinity']::timestamptz[]),
           false) AS is_unreplied,
       (array_agg(push_name ORDER BY at DESC) FILTER (WHERE push_name <> '' AND chat NOT LIKE '%@g.us'))[1]
           AS push_name
FROM (
    SELECT *, ARRAY[date_trunc('second', at), made] AS place
    FROM (
        SELECT coalesce(wasender_session_id, 0)::bigint AS session,
               gateway.chat_of(chat, from_phone) AS chat,
               coalesce(received_at, created_at, 'epoch')::timestamptz AS at,
               coalesce(created_at, received_at, 'epoch')::timestamptz AS made,
               NOT coalesce(is_read, false) AND deleted_at IS NULL AS is_unread,
               NOT coalesce(replied, false) AS is_unreplied,
               true AS is_incoming,
               push_name
        FROM public.whatsapp_incoming_messages
        WHERE coalesce(wasender_session_id, 0) = ANY ({sessions}::bigint[]) AND message_type IS DISTINCT FROM 'reaction'
        UNION ALL
        SELECT coalesce(wasender_session_id, 0), gateway.chat_of(chat, to_phone),
               coalesce(sent_at, created_at, 'epoch')::timestamptz,
               coalesce(created_at, sent_at, 'epoch')::timestamptz, false, false, false, NULL
        FROM public.whatsapp_outgoing_messages
        WHERE coalesce(wasender_session_id, 0) = ANY ({sessions}::bigint[]) AND message_type IS DISTINCT FROM 'reaction'
    ) AS said
) AS message
WHERE chat IS NOT NULL
GROUP BY session, chat
"""

# Negative numbers are other writers' placeholders: rows of inbox 0 that are listed under what they say.
PLACEHOLDERS = """
SELECT DISTINCT coalesce(wasender_session_id, 0)::bigint AS session FROM public.whatsapp_incoming_messages
WHERE coalesce(wasender_session_id, 0) < 0
UNION
SELECT coalesce(wasender_session_id, 0) FROM public.whatsapp_outgoing_messages
WHERE coalesce(wasender_session_id, 0) < 0
"""

# What the events past the given offsets have touched: the chat a row is in, and the one it left. A deleted row names
# no session but its inbox.
TOUCHED = """
SELECT e.inbox, e.off,
       coalesce((e.record ->> 'wasender_session_id')::bigint, e.inbox) AS session,
       gateway.chat_of(
           e.record ->> 'chat',
           e.record ->> CASE e.tbl WHEN 'whatsapp_incoming_messages' THEN 'from_phone' ELSE 'to_phone' END
       ) AS chat,
       e.old ->> 'chat' AS left_chat
FROM unnest($1::bigint[], $2::bigint[]) AS a (inbox, off)
CROSS JOIN LATERAL (
    SELECT s.inbox, s.off, s.tbl, s.record, s.old
    FROM gateway.stream AS s
    WHERE s.inbox = a.inbox AND s.off > a.off
    ORDER BY s.off
    LIMIT $3
) AS e
"""

# Within inbox 0 a row may have changed its placeholder, or been deleted under one: no event says which.
PLACEHOLDERS_TOUCHED = """
SELECT session, chat FROM gateway.conversations WHERE chat = ANY ($1::text[]) AND session < 0
"""

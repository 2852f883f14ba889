"""Conversations as SQL: how one is made of its messages, and which of them an event has touched.

The moment of a message is `received_at` or `sent_at`, else `created_at`. The indexes are in the order of the former,
with the rows that have none at their head: so everything is asked in two halves, the rows with a moment of their own
(the newest one is the first), and those without (few, read whole).

Times are compared as the columns have them. Where those are naive, an hour that does not exist in the operator's
zone (a clock put forward) is out of order; only a thread, which must not lose a message, allows for it.
"""

# Sessions and chats in, conversations out; `last_at` is NULL where there is no message any more.
MADE_OF_MESSAGES = """
SELECT session, chat, last_at, unread, is_unreplied, push_name, owner, is_done
FROM gateway.conversations_made_v1($1, $2)
"""

# All conversations of some sessions at once: reads every message of them.
ALL_OF_SESSIONS = """
SELECT session, chat, last_at, unread, is_unreplied, push_name, owner, is_done
FROM gateway.conversations_of_sessions_v1($1)
"""

KEPT_TOTALS = "SELECT * FROM gateway.kept_totals_v1($1, $2)"
TOTALS = "SELECT * FROM gateway.conversation_totals_v1($1, $2, $3, $4, $5, $6)"

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

"""Conversations and threads as one plain aggregate over all messages: slow, obvious, and what must come out."""

from typing import Any

import asyncpg

from gateway.domain.session import iso_utc

CONVERSATIONS = """
WITH message AS (
    SELECT coalesce(wasender_session_id, 0) AS session_id,
           gateway.chat_of(chat, from_phone) AS chat,
           coalesce(received_at, created_at, 'epoch')::timestamptz AS at,
           coalesce(created_at, received_at, 'epoch')::timestamptz AS made,
           NOT coalesce(is_read, false) AND deleted_at IS NULL AS is_unread,
           NOT coalesce(replied, false) AS is_unreplied,
           true AS is_incoming,
           push_name,
           message_text
    FROM public.whatsapp_incoming_messages
    WHERE message_type IS DISTINCT FROM 'reaction'
    UNION ALL
    SELECT coalesce(wasender_session_id, 0), gateway.chat_of(chat, to_phone),
           coalesce(sent_at, created_at, 'epoch')::timestamptz, coalesce(created_at, sent_at, 'epoch')::timestamptz,
           false, false, false, NULL, message_text
    FROM public.whatsapp_outgoing_messages
    WHERE message_type IS DISTINCT FROM 'reaction'
), conversation AS (
    SELECT session_id, chat, max(at) AS at,
           count(*) FILTER (WHERE is_unread) AS unread,
           coalesce(max(ARRAY[date_trunc('second', at), made]) FILTER (WHERE is_unreplied)
               > coalesce(max(ARRAY[date_trunc('second', at), made]) FILTER (WHERE NOT is_incoming),
                   ARRAY['-infinity', '-infinity']::timestamptz[]), false) AS is_unreplied,
           (array_agg(push_name ORDER BY at DESC) FILTER (WHERE push_name <> '' AND chat NOT LIKE '%@g.us'))[1]
               AS push_name,
           bool_or($3::text IS NOT NULL
               AND (message_text ILIKE '%' || $3 || '%' OR push_name ILIKE '%' || $3 || '%')) AS is_found
    FROM message
    WHERE chat IS NOT NULL AND at IS NOT NULL AND ($1::bigint[] IS NULL OR session_id = ANY($1))
      AND ($4 OR chat !~ '@(g\\.us|newsletter|broadcast)$')
    GROUP BY session_id, chat
)
SELECT session_id, chat, at, unread, is_unreplied, push_name
FROM conversation
WHERE ($2 = 'all' OR ($2 = 'unread' AND unread > 0) OR ($2 = 'unreplied' AND is_unreplied))
  AND ($3::text IS NULL OR is_found)
ORDER BY at DESC, session_id DESC, chat DESC
"""

MESSAGES = """
WITH message AS (
    SELECT coalesce(m.received_at, m.created_at, 'epoch')::timestamptz AS at, 'in' AS direction, m.id::text AS id,
           coalesce(m.created_at, m.received_at, 'epoch')::timestamptz AS made
    FROM public.whatsapp_incoming_messages m
    WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.from_phone) = $2
        AND m.message_type IS DISTINCT FROM 'reaction'
    UNION ALL
    SELECT coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz, 'out', m.id::text,
           coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz
    FROM public.whatsapp_outgoing_messages m
    WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.to_phone) = $2
        AND m.message_type IS DISTINCT FROM 'reaction'
)
SELECT direction, id FROM message ORDER BY date_trunc('second', at), made, direction, lpad(id, 40, '0')
"""

SESSIONS_OF_CHAT = """
SELECT coalesce(wasender_session_id, 0) AS session_id
FROM public.whatsapp_incoming_messages
WHERE gateway.chat_of(chat, from_phone) = $1
UNION
SELECT coalesce(wasender_session_id, 0)
FROM public.whatsapp_outgoing_messages
WHERE gateway.chat_of(chat, to_phone) = $1
ORDER BY session_id
"""


class Oracle:
    def __init__(self, connection: asyncpg.Connection) -> None:
        """The connection must read naive timestamps in the gateway's zone."""
        self._connection = connection

    async def conversations(
        self, sessions: list[int] | None, which: str, search: str | None, is_everything: bool
    ) -> list[tuple[Any, ...]]:
        """Session, chat, time, unread, replied and name of each, in the order of the list."""
        rows = await self._connection.fetch(CONVERSATIONS, sessions, which, search, is_everything)
        return [
            (
                row["session_id"],
                row["chat"],
                iso_utc(row["at"]),
                row["unread"],
                not row["is_unreplied"],
                row["push_name"],
            )
            for row in rows
        ]

    async def messages(self, session_id: int, chat: str) -> list[tuple[str, str]]:
        """Direction and id of each, the oldest first."""
        rows = await self._connection.fetch(MESSAGES, session_id, chat)
        return [(row["direction"], row["id"]) for row in rows]

    async def sessions_of_chat(self, chat: str) -> list[int]:
        rows = await self._connection.fetch(SESSIONS_OF_CHAT, chat)
        return [row["session_id"] for row in rows]

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
           message_text,
           true AS counts
    FROM public.whatsapp_incoming_messages
    WHERE message_type IS DISTINCT FROM 'reaction'
    UNION ALL
    SELECT coalesce(wasender_session_id, 0), gateway.chat_of(chat, to_phone),
           coalesce(sent_at, created_at, 'epoch')::timestamptz, coalesce(created_at, sent_at, 'epoch')::timestamptz,
           false, false, false, NULL, message_text,
           coalesce(status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled')
    FROM public.whatsapp_outgoing_messages
    WHERE message_type IS DISTINCT FROM 'reaction'
), conversation AS (
    SELECT session_id, chat, max(at) FILTER (WHERE counts) AS at,
           count(*) FILTER (WHERE is_unread) AS unread,
           coalesce(max(ARRAY[date_trunc('second', at), made]) FILTER (WHERE is_unreplied)
               > coalesce(max(ARRAY[date_trunc('second', at), made]) FILTER (WHERE NOT is_incoming AND counts),
                   ARRAY['-infinity', '-infinity']::timestamptz[]), false) AS is_unreplied,
           (array_agg(push_name ORDER BY at DESC) FILTER (WHERE push_name <> '' AND chat NOT LIKE '%@g.us'))[1]
               AS push_name,
           bool_or($2::text IS NOT NULL
               AND (message_text ILIKE '%' || $2 || '%' OR push_name ILIKE '%' || $2 || '%')) AS is_found
    FROM message
    WHERE chat IS NOT NULL AND at IS NOT NULL AND ($1::bigint[] IS NULL OR session_id = ANY($1))
      AND ($3 OR chat !~ '@(g\\.us|newsletter|broadcast)$')
    GROUP BY session_id, chat
    HAVING bool_or(counts)
)
SELECT session_id, chat, at, unread, is_unreplied, push_name
FROM conversation
WHERE ($2::text IS NULL OR is_found)
ORDER BY at DESC, session_id DESC, chat DESC
"""

MARKS = """
SELECT k.session, k.chat, k.owner, k.marked_unread_at IS NOT NULL AS is_unread,
       k.done_at IS NOT NULL AND NOT EXISTS (
           SELECT FROM public.whatsapp_incoming_messages AS m
           WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
               AND m.message_type IS DISTINCT FROM 'reaction'
               AND coalesce(m.created_at, m.received_at)::timestamptz > k.done_at
       ) AS is_done
FROM gateway.conversation_marks AS k
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
WHERE gateway.chat_of(chat, to_phone) = $1 AND coalesce(status, '') NOT IN ('queued', 'sending', 'failed', 'cancelled')
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
        marked = await self._marked(sessions, search, is_everything or which == "groups")
        return [row[:6] for row in marked if passes(which, *row)]

    async def totals(self, sessions: list[int] | None) -> dict[str, int]:
        """How many conversations each filter finds."""
        rows = await self._marked(sessions, None, is_everything=True)
        people = [row for row in rows if not str(row[1]).endswith(("@g.us", "@newsletter", "@broadcast"))]
        counts = {
            which: sum(passes(which, *row) for row in people)
            for which in ("all", "unread", "unreplied", "mine", "free", "done")
        }
        return counts | {"groups": sum(passes("groups", *row) for row in rows)}

    async def _marked(
        self, sessions: list[int] | None, search: str | None, is_everything: bool
    ) -> list[tuple[Any, ...]]:
        rows = await self._connection.fetch(CONVERSATIONS, sessions, search, is_everything)
        marks = {(row["session"], row["chat"]): row for row in await self._connection.fetch(MARKS)}
        found = []
        for row in rows:
            mark: Any = marks.get((row["session_id"], row["chat"])) or {}
            unread = max(row["unread"], 1) if mark.get("is_unread") else row["unread"]
            found.append(
                (
                    row["session_id"],
                    row["chat"],
                    iso_utc(row["at"]),
                    unread,
                    not row["is_unreplied"],
                    row["push_name"],
                    mark.get("owner"),
                    bool(mark.get("is_done")),
                )
            )
        return found

    async def messages(self, session_id: int, chat: str) -> list[tuple[str, str]]:
        """Direction and id of each, the oldest first."""
        rows = await self._connection.fetch(MESSAGES, session_id, chat)
        return [(row["direction"], row["id"]) for row in rows]

    async def unsent(self) -> set[tuple[str, str]]:
        """Answers that are in their thread, and are no conversation's last message."""
        rows = await self._connection.fetch(
            "SELECT id FROM public.whatsapp_outgoing_messages"
            " WHERE status IN ('queued', 'sending', 'failed', 'cancelled')"
        )
        return {("out", str(row["id"])) for row in rows}

    async def sessions_of_chat(self, chat: str) -> list[int]:
        rows = await self._connection.fetch(SESSIONS_OF_CHAT, chat)
        return [row["session_id"] for row in rows]


def passes(which: str, *row: Any) -> bool:
    """Whether the filter lets a conversation pass; `mine` are Ann's."""
    _, chat, _, unread, replied, _, owner, is_done = row
    return bool(
        {
            "all": True,
            "unread": unread > 0,
            "unreplied": not replied and not is_done,
            "mine": owner == "ann" and not is_done,
            "free": owner is None and not is_done,
            "done": is_done,
            "groups": str(chat).endswith("@g.us"),
        }[which]
    )

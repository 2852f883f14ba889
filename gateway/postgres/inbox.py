"""Conversations and threads, read from the shop's tables with the stream positions of the same snapshot."""

from datetime import datetime, tzinfo
from typing import Any

import asyncpg

from gateway.domain.message import INCOMING_TABLE, OUTGOING_TABLE, message_data, phone_of
from gateway.domain.session import iso_utc
from gateway.domain.stream import Position
from gateway.postgres.pool import mapped_errors
from gateway.postgres.search import like, number_part
from gateway.services.inbox import Conversation, ConversationQuery, Page

Pool = asyncpg.Pool
Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_POSITIONS = """
SELECT inbox, off, epoch::text AS epoch
FROM gateway.inboxes
WHERE inbox >= 0 AND ($1::bigint[] IS NULL OR inbox = ANY($1))
"""

_CONVERSATIONS = """
WITH message AS (
    SELECT coalesce(wasender_session_id, 0) AS session_id,
           gateway.chat_of(chat, from_phone) AS chat,
           coalesce(received_at, created_at, 'epoch')::timestamptz AS at,
           NOT coalesce(is_read, false) AND deleted_at IS NULL AS is_unread,
           NOT coalesce(replied, false) AS is_unreplied,
           true AS is_incoming,
           push_name,
           message_text
    FROM public.whatsapp_incoming_messages
    UNION ALL
    SELECT coalesce(wasender_session_id, 0), gateway.chat_of(chat, to_phone),
           coalesce(sent_at, created_at, 'epoch')::timestamptz, false, false, false, NULL, message_text
    FROM public.whatsapp_outgoing_messages
), conversation AS (
    SELECT session_id, chat, max(at) AS at,
           count(*) FILTER (WHERE is_unread) AS unread,
           coalesce(max(at) FILTER (WHERE is_unreplied) > coalesce(max(at) FILTER (WHERE NOT is_incoming),
               '-infinity'), false) AS is_unreplied,
           (array_agg(push_name ORDER BY at DESC) FILTER (WHERE push_name IS NOT NULL AND chat NOT LIKE '%@g.us'))[1]
               AS push_name,
           bool_or($3::text IS NOT NULL
               AND (message_text ILIKE '%' || $3 || '%' OR push_name ILIKE '%' || $3 || '%')) AS is_found
    FROM message
    WHERE chat IS NOT NULL AND at IS NOT NULL AND ($1::bigint[] IS NULL OR session_id = ANY($1))
      AND ($9 OR chat !~ '@(g\\.us|newsletter|broadcast)$')
    GROUP BY session_id, chat
)
SELECT session_id, chat, at, unread, is_unreplied, push_name
FROM conversation
WHERE ($2 = 'all' OR ($2 = 'unread' AND unread > 0) OR ($2 = 'unreplied' AND is_unreplied))
  AND ($3::text IS NULL OR is_found OR ($4 <> '' AND chat LIKE '%' || $4 || '%') OR chat = ANY($5::text[]))
  AND ($6::timestamptz IS NULL OR (at, session_id, chat) < ($6, $7::bigint, $8::text))
ORDER BY at DESC, session_id DESC, chat DESC
LIMIT $10
"""

# The newest of both tables, found for each chat of a page by one indexed probe per table.
_LAST = """
SELECT page.session_id, page.chat, last.tbl, last.record
FROM unnest($1::bigint[], $2::text[]) AS page(session_id, chat)
CROSS JOIN LATERAL (
    (SELECT 'whatsapp_incoming_messages' AS tbl, coalesce(m.received_at, m.created_at, 'epoch')::timestamptz AS at,
            to_jsonb(m) - 'raw_data' AS record
     FROM public.whatsapp_incoming_messages m
     WHERE coalesce(m.wasender_session_id, 0) = page.session_id
       AND gateway.chat_of(m.chat, m.from_phone) = page.chat
     ORDER BY coalesce(m.received_at, m.created_at, 'epoch') DESC, m.id DESC LIMIT 1)
    UNION ALL
    (SELECT 'whatsapp_outgoing_messages', coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz,
            to_jsonb(m) - 'raw_data'
     FROM public.whatsapp_outgoing_messages m
     WHERE coalesce(m.wasender_session_id, 0) = page.session_id
       AND gateway.chat_of(m.chat, m.to_phone) = page.chat
     ORDER BY coalesce(m.sent_at, m.created_at, 'epoch') DESC, m.id DESC LIMIT 1)
    ORDER BY at DESC LIMIT 1
) last
"""

_MESSAGES = """
WITH message AS (
    SELECT 'whatsapp_incoming_messages' AS tbl, coalesce(m.received_at, m.created_at, 'epoch')::timestamptz AS at,
           'in' AS direction, m.id::text AS id, to_jsonb(m) - 'raw_data' AS record
    FROM public.whatsapp_incoming_messages m
    WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.from_phone) = $2
    UNION ALL
    SELECT 'whatsapp_outgoing_messages', coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz, 'out', m.id::text,
           to_jsonb(m) - 'raw_data'
    FROM public.whatsapp_outgoing_messages m
    WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.to_phone) = $2
)
SELECT tbl, at, direction, id, record
FROM message
WHERE $3::timestamptz IS NULL OR (at, direction, lpad(id, 40, '0')) < ($3, $4::text, lpad($5::text, 40, '0'))
ORDER BY at DESC, direction DESC, lpad(id, 40, '0') DESC
LIMIT $6
"""

_SESSIONS_OF_CHAT = """
SELECT DISTINCT coalesce(wasender_session_id, 0) AS session_id
FROM public.whatsapp_incoming_messages
WHERE gateway.chat_of(chat, from_phone) = $1
UNION
SELECT DISTINCT coalesce(wasender_session_id, 0)
FROM public.whatsapp_outgoing_messages
WHERE gateway.chat_of(chat, to_phone) = $1
"""

_MARK_READ = """
UPDATE public.whatsapp_incoming_messages m
SET is_read = true
WHERE coalesce(m.wasender_session_id, 0) = $1
  AND gateway.chat_of(m.chat, m.from_phone) = $2
  AND NOT coalesce(m.is_read, false)
"""

_CUSTOMER_COLUMNS = """
SELECT array_agg(column_name::text) FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = 'customers' AND column_name IN ('name', 'phone', 'whatsapp')
"""


class InboxTable:
    def __init__(self, pool: Pool, zone: tzinfo) -> None:
        self._pool = pool
        self._zone = zone

    async def conversations(self, query: ConversationQuery) -> Page:
        after = query.after or (None, None, None)
        search = like(query.search) if query.search else None
        digits = number_part(query.search)
        with mapped_errors():
            async with self._pool.acquire() as connection, _snapshot(connection):
                customers = _Customers(await connection.fetchval(_CUSTOMER_COLUMNS))
                rows = await connection.fetch(
                    _CONVERSATIONS,
                    query.sessions,
                    query.filter,
                    search,
                    digits,
                    await customers.chats_named(connection, search) if search else [],
                    datetime.fromisoformat(after[0]) if after[0] else None,
                    after[1],
                    after[2],
                    query.is_everything,
                    query.limit + 1,
                )
                page = rows[: query.limit]
                last = await connection.fetch(
                    _LAST, [row["session_id"] for row in page], [row["chat"] for row in page]
                )
                phones = [phone for row in page if (phone := phone_of(row["chat"]))]
                names = await customers.names_of(connection, phones)
                positions = await self._positions(connection, query.sessions)
        newest = {(row["session_id"], row["chat"]): self._data(row) for row in last}
        return Page(
            [self._conversation(row, newest, names) for row in page], len(rows) > query.limit, positions
        )

    async def messages(
        self, session_id: int, chat: str, limit: int, before: tuple[str, str, str] | None
    ) -> Page:
        at, direction, number = before or (None, None, None)
        with mapped_errors():
            async with self._pool.acquire() as connection, _snapshot(connection):
                rows = await connection.fetch(
                    _MESSAGES,
                    session_id,
                    chat,
                    datetime.fromisoformat(at) if at else None,
                    direction,
                    number,
                    limit + 1,
                )
                positions = await self._positions(connection, [session_id])
        data = [{**self._data(row), "at": iso_utc(row["at"])} for row in reversed(rows[:limit])]
        return Page(data, len(rows) > limit, positions)

    async def sessions_of_chat(self, chat: str, sessions: list[int] | None) -> list[int]:
        with mapped_errors():
            rows = await self._pool.fetch(_SESSIONS_OF_CHAT, chat)
        found = sorted(row["session_id"] for row in rows)
        return [item for item in found if sessions is None or item in sessions]

    async def mark_read(self, session_id: int, chat: str) -> int:
        with mapped_errors():
            done = await self._pool.execute(_MARK_READ, session_id, chat)
        return int(done.rpartition(" ")[2])

    async def _positions(self, connection: Connection, sessions: list[int] | None) -> dict[int, Position]:
        rows = await connection.fetch(_POSITIONS, sessions)
        return {row["inbox"]: Position(row["off"], row["epoch"]) for row in rows}

    def _data(self, row: asyncpg.Record) -> dict[str, Any]:
        table = INCOMING_TABLE if row["tbl"] == INCOMING_TABLE else OUTGOING_TABLE
        return message_data(table, row["record"], self._zone)

    def _conversation(
        self, row: asyncpg.Record, newest: dict[tuple[int, str], dict[str, Any]], names: dict[str, str]
    ) -> Conversation:
        phone = phone_of(row["chat"])
        return Conversation(
            session_id=row["session_id"],
            chat=row["chat"],
            phone=phone,
            name=names.get(phone or "") or row["push_name"],
            unread=row["unread"],
            replied=not row["is_unreplied"],
            last_at=iso_utc(row["at"]) or "",
            last_message=newest.get((row["session_id"], row["chat"])),
        )


class _Customers:
    """The shop's customers, if it has such a table with a name and a number; used for names, never required."""

    def __init__(self, columns: list[str] | None) -> None:
        numbers = [column for column in ("whatsapp", "phone") if column in (columns or [])]
        self._numbers = numbers if "name" in (columns or []) else []

    async def names_of(self, connection: Connection, phones: list[str]) -> dict[str, str]:
        if not self._numbers or not phones:
            return {}
        names: dict[str, str] = {}
        for column in self._numbers:
            rows = await connection.fetch(
                f"""
                SELECT regexp_replace({column}, '\\D', '', 'g') AS phone, max(name) AS name
                FROM public.customers
                WHERE regexp_replace({column}, '\\D', '', 'g') = ANY($1::text[]) AND name IS NOT NULL
                GROUP BY 1
                """,
                phones,
            )
            names = {row["phone"]: row["name"] for row in rows} | names
        return names

    async def chats_named(self, connection: Connection, search: str) -> list[str]:
        chats: list[str] = []
        for column in self._numbers:
            rows = await connection.fetch(
                f"""
                SELECT regexp_replace({column}, '\\D', '', 'g') || '@s.whatsapp.net' AS chat
                FROM public.customers
                WHERE name ILIKE '%' || $1 || '%' AND {column} IS NOT NULL
                LIMIT 1000
                """,
                search,
            )
            chats += [row["chat"] for row in rows]
        return chats


def _snapshot(connection: Connection) -> asyncpg.transaction.Transaction:
    """Rows and positions must be of the same moment, or a subscriber would miss what lies between."""
    return connection.transaction(isolation="repeatable_read", readonly=True)

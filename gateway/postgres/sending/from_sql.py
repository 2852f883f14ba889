"""Rows that the shop's own code inserts into the outgoing table to be sent."""

from collections.abc import Callable
from typing import Any

import asyncpg

from gateway.domain.errors import Invalid
from gateway.domain.send_content import look_of
from gateway.postgres.connection.pool import mapped_errors
from gateway.services.sending.from_sql import SqlRow

MOST = 200

# One gateway takes at a time: of two, the one with the later rows of a chat might commit first. One that freezes in the
# middle keeps the others waiting for three seconds.
ALONE = """
SET LOCAL idle_in_transaction_session_timeout = '3s';
SELECT pg_advisory_xact_lock(hashtextextended('gateway.take_sql_rows', 0))
"""

# Locked rows are another writer's at this moment.
_FRESH = """
SELECT m.id, m.wasender_session_id::bigint AS session, gateway.chat_of(m.chat, m.to_phone) AS chat, m.message_text,
    m.message_type, m.media_url, s.phone_number, s.wasender_session_id IS NOT NULL AS is_here,
    m.client_id IS NOT NULL AS is_named
FROM public.whatsapp_outgoing_messages AS m
LEFT JOIN public.whatsapp_sessions AS s ON s.wasender_session_id = m.wasender_session_id
WHERE m.send_no IS NULL AND m.status = 'queued' AND m.origin = 'sql'
    AND m.client_id IS NOT NULL AND m.wasender_session_id IS NOT NULL
    AND m.id > (SELECT (t.value #>> '{}')::bigint FROM gateway.settings AS t WHERE t.key = 'send_from_sql')
ORDER BY m.id
LIMIT $1
FOR UPDATE OF m SKIP LOCKED
"""


class SqlIntakeTable:
    """Takes rows of other writers into the queues. Everything raises StoreUnavailable."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def turn(self, is_on: bool) -> None:
        """Notes whether such rows are sent; those from the moment of turning it on."""
        with mapped_errors():
            await self._pool.execute("SELECT gateway.turn_sending_from_sql_v1($1)", is_on)

    async def take(self, read: Callable[[SqlRow], tuple[str, dict[str, Any]]]) -> int:
        """Queues fresh rows; how many there were. `read` gives chat and payload of one, or raises Invalid."""
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(ALONE)
                rows = await connection.fetch(_FRESH, MOST)
                for row in rows:
                    await self._take_one(connection, row, read)
        return len(rows)

    async def _take_one(
        self,
        connection: asyncpg.pool.PoolConnectionProxy,
        row: asyncpg.Record,
        read: Callable[[SqlRow], tuple[str, dict[str, Any]]],
    ) -> None:
        kind = row["message_type"] or "text"
        fresh = SqlRow(
            chat=row["chat"],
            text=row["message_text"],
            kind=kind,
            url=row["media_url"],
            own_number=row["phone_number"] if row["is_here"] else None,
        )
        chat: str | None = None
        phone: str | None = None
        payload: dict[str, Any] | None = None
        why: str | None = None
        try:
            if not row["is_here"]:
                raise Invalid("There is no such session.")
            named, payload = read(fresh)
            payload["look"] = look_of(kind, fresh.text)
            chat = await connection.fetchval("SELECT gateway.conversation_of_v1($1)", named)
            phone = str(chat).partition("@")[0] if str(chat).endswith("@s.whatsapp.net") else chat
            # As answers from elsewhere do: none gets a later place and is committed sooner.
            await connection.execute("SELECT gateway.chat_lock_v1($1, $2)", row["session"], chat)
        except Invalid as error:
            why = error.message
        await connection.execute(
            "SELECT gateway.take_sql_row_v1($1, $2, $3, $4, $5)", row["id"], chat, phone, payload, why
        )

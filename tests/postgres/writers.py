"""Builders of rows, and an ear for bells."""

import asyncio
import itertools
from typing import Any

import asyncpg

INCOMING = "whatsapp_incoming_messages"
OUTGOING = "whatsapp_outgoing_messages"
SESSIONS_CHANNEL = "whatsapp_sessions"
INBOX_CHANNEL = "whatsapp_incoming_messages"

_keys = itertools.count(1)


async def insert_message(connection: asyncpg.Connection, inbox: int | None, **columns: Any) -> Any:
    """An incoming message; returns its id."""
    row = {
        "message_id": f"ROW{next(_keys)}",  # webhooks of the tests count their keys, too
        "from_phone": "4915123456789",
        "message_text": "hello",
        "wasender_session_id": inbox,
        **columns,
    }
    names = ", ".join(row)
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    return await connection.fetchval(
        f"INSERT INTO public.{INCOMING} ({names}) VALUES ({places}) RETURNING id", *row.values()
    )


async def insert_many(connection: asyncpg.Connection, inbox: int, count: int) -> None:
    """`count` incoming messages in one statement."""
    first = next(_keys)
    await connection.execute(
        f"INSERT INTO public.{INCOMING} (message_id, from_phone, wasender_session_id) "
        "SELECT 'MANY' || $2::text || '-' || i, '49151', $1 FROM generate_series(1, $3::int) AS i",
        inbox,
        str(first),
        count,
    )


JSON_NULL = r'{"a":"\u0000"}'
"""What the type json takes and jsonb does not."""


async def insert_session(connection: asyncpg.Connection, session_id: int, **columns: Any) -> None:
    """A session's row."""
    row = {"wasender_session_id": session_id, "name": "Shop", "phone_number": "+49151", **columns}
    names = ", ".join(row)
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(
        f"INSERT INTO public.whatsapp_sessions ({names}) VALUES ({places})", *row.values()
    )


async def version_of(connection: asyncpg.Connection, session_id: int) -> int | None:
    """The version of a session's state."""
    found: int | None = await connection.fetchval(
        "SELECT version FROM gateway.session_state WHERE wasender_session_id = $1", session_id
    )
    return found


async def is_empty(connection: asyncpg.Connection) -> bool:
    """Whether nothing is left of what transactions collected."""
    left = await connection.fetchval(
        "SELECT (SELECT count(*) FROM gateway.pending_changes) + (SELECT count(*) FROM gateway.touched_sessions) "
        "+ (SELECT count(*) FROM gateway.commit_markers)"
    )
    return bool(left == 0)


class Bells:
    """Hears both channels. A bell of our own marks the end: whatever was committed before has rung before it."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._heard: list[tuple[str, str]] = []
        self._marks: set[str] = set()
        self.rang = asyncio.Event()

    async def listen(self) -> None:
        for channel in (INBOX_CHANNEL, SESSIONS_CHANNEL):
            await self._connection.add_listener(channel, self._on_bell)
        await self._connection.add_listener("mark", self._on_mark)

    def _on_bell(self, _: object, __: int, channel: str, payload: object) -> None:
        self._heard.append((channel, str(payload)))
        self.rang.set()

    def _on_mark(self, _: object, __: int, ___: str, payload: object) -> None:
        self._marks.add(str(payload))

    async def heard(self) -> list[tuple[str, str]]:
        """The bells since the last call, once all that rang are in."""
        mark = str(next(_keys))
        await self._connection.execute("SELECT pg_notify('mark', $1)", mark)
        async with asyncio.timeout(10):
            while mark not in self._marks:
                await self._connection.execute("SELECT 1")
        heard, self._heard = self._heard, []
        return heard

"""Two ways to read: over the pool that all parts share, or over a connection that is the reader's alone.

Both give a read its time, READ_S as a rule, and then break its connection if it has not answered.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import asyncpg

from gateway.postgres.connection.pool import (
    CONNECT_TIMEOUT_S,
    READ_S,
    borrowed,
    connect_direct,
    end_implicit_transaction,
)
from gateway.services.deadlines import Deadline

IDLE_S = 300.0
"""A reserved connection without use for so long is closed, as a pool's are: its database may want to sleep."""

# The same few statements again and again, each by its key: planned once. Postgres would plan them anew for each
# notification, because it cannot know how many inboxes an array names, and takes longer for that than for the
# reading.
_PLAN_ONCE_SQL = "SET plan_cache_mode = force_generic_plan"

_BROKEN = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""The driver does not know what the connection is at: ended just now, or left in the middle of something."""


class Reader(Protocol):
    """Reads rows, each statement within a budget."""

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement. Raises TimeoutError, and what asyncpg raises."""


class Shared:
    """Reads over a connection of the pool."""

    def __init__(self, pool: asyncpg.Pool, within_s: float = READ_S) -> None:
        self._pool = pool
        self._within_s = within_s

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement. Raises TimeoutError after `within_s` seconds."""
        async with borrowed(self._pool, self._within_s) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
        return rows


async def connect_to_read(
    dsn: str, *, timezone: str = "UTC", name: str, connect_s: float = CONNECT_TIMEOUT_S
) -> asyncpg.Connection:
    """A connection for statements that find their rows by key. Raises whatever asyncpg raises."""
    connection = await connect_direct(dsn, timezone=timezone, name=name, connect_s=connect_s)
    try:
        async with Deadline(connection, connect_s):
            await connection.execute(_PLAN_ONCE_SQL)
    except BaseException:
        connection.terminate()
        raise
    return connection


class Reserved:
    """For what must not wait until others give a connection back. Opened when it is needed, also after it broke."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        *,
        within_s: float = READ_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._connect = connect
        self._within_s = within_s
        self._idle_s = idle_s
        self._connection: asyncpg.Connection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._used_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement, one statement at a time. Raises TimeoutError after `within_s` seconds."""
        async with self._one_at_a_time:
            connection = self._connection
            if connection is None or connection.is_closed():
                connection = self._connection = await self._connect()
            try:
                async with Deadline(connection, self._within_s):
                    rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
            except (TimeoutError, asyncio.CancelledError, *_BROKEN):
                connection.terminate()
                raise
            except Exception:
                await end_implicit_transaction(connection, self._within_s, connection)
                raise
            self._note_used()
            return rows

    def close(self) -> None:
        """Drops the connection without a farewell; the next statement makes a new one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _note_used(self) -> None:
        loop = asyncio.get_running_loop()
        self._used_at = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._idle_s, self._close_if_idle)

    def _close_if_idle(self) -> None:
        loop = asyncio.get_running_loop()
        left_s = self._used_at + self._idle_s - loop.time()
        if self._one_at_a_time.locked() or left_s > 0:
            self._timer = loop.call_later(max(1.0, left_s), self._close_if_idle)
        else:
            self.close()

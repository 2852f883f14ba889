"""Rows that another writer inserts to be sent enter the queue in the order in which they were inserted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import asyncpg

from gateway.postgres.connection.pool import open_pool
from gateway.postgres.sending.from_sql import SqlIntakeTable
from gateway.services.sending.from_sql import read_row
from gateway.wasender.send_payload import file_field

READ = partial(read_row, field_of=file_field)
SESSION = """
INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number, status)
VALUES (12, 'Shop', '+15550001111', 'connected')
"""
INSERT = """
INSERT INTO whatsapp_outgoing_messages (wasender_session_id, client_id, to_phone, message_text, origin, status)
VALUES (12, $1, '15550002222', $1, 'sql', 'queued')
"""
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
QUEUED = "SELECT client_id FROM whatsapp_outgoing_messages WHERE send_no IS NOT NULL ORDER BY send_no"


class HeldPool:
    """A pool whose transactions stand still once they have found their rows, until they are let go."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.found = asyncio.Event()
        self.may_go = asyncio.Event()

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        async with self._pool.acquire() as connection:
            yield HeldConnection(connection, self)


class HeldConnection:
    """One connection of such a pool."""

    def __init__(self, connection: Any, pool: HeldPool) -> None:
        self._connection = connection
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def fetch(self, query: str, *arguments: Any) -> Any:
        rows = await self._connection.fetch(query, *arguments)
        self._pool.found.set()
        await self._pool.may_go.wait()
        return rows


async def test_a_second_gateway_takes_no_later_row_before_the_first_has_taken_the_earlier(
    database: str, connection: asyncpg.Connection
) -> None:
    pool = await open_pool(database, timezone="UTC", max_size=3, pooled=False)
    held = HeldPool(pool)
    try:
        await SqlIntakeTable(pool).turn(True)
        await connection.execute(SESSION)
        await connection.execute(INSERT, "first")
        slow = asyncio.create_task(SqlIntakeTable(held).take(READ))  # type: ignore[arg-type]
        await held.found.wait()
        await connection.execute(INSERT, "second")
        quick = asyncio.create_task(SqlIntakeTable(pool).take(READ))
        while not quick.done() and not await connection.fetchval(WAITS):  # noqa: ASYNC110  Postgres tells of no wait
            await asyncio.sleep(0.01)
        held.may_go.set()
        await asyncio.gather(slow, quick)

        assert [row["client_id"] for row in await connection.fetch(QUEUED)] == ["first", "second"]
    finally:
        held.may_go.set()
        await pool.close()


async def test_a_gateway_that_freezes_while_it_takes_rows_keeps_no_other_from_them(
    database: str, connection: asyncpg.Connection
) -> None:
    pool = await open_pool(database, timezone="UTC", max_size=3, pooled=False)
    frozen = HeldPool(pool)
    try:
        await SqlIntakeTable(pool).turn(True)
        await connection.execute(SESSION)
        await connection.execute(INSERT, "first")
        stuck = asyncio.create_task(SqlIntakeTable(frozen).take(READ))  # type: ignore[arg-type]
        await frozen.found.wait()  # and it never goes on

        async with asyncio.timeout(20):
            assert await SqlIntakeTable(pool).take(READ) == 1
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)

        assert [row["client_id"] for row in await connection.fetch(QUEUED)] == ["first"]
    finally:
        await pool.close()

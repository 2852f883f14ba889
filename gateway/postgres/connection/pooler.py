"""Whether a pooler stands before Postgres, and whether two addresses lead to one database: the server is asked.

Ports and host names say nothing of either. A pooler in transaction mode gives each transaction to any server process
that is free, so a second client meets the process of the first one, or the first one meets another process and misses
what it has set. A pooler in session mode does neither, and is as good as none: LISTEN, leases and migrations work.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from gateway.postgres.connection.pool import CONNECT_TIMEOUT_S, clean_dsn
from gateway.services.deadlines import Deadline

LOOK_S = 5.0
"""Deadline of the questions on a connection."""

LOOKS = 4
"""How often the first client looks at its process: other clients of a busy pooler may give it back by chance."""

_SET = "SELECT pg_backend_pid() AS pid, set_config('gateway.pooler_probe', $1, false) AS mark"
_LOOK = "SELECT pg_backend_pid() AS pid, current_setting('gateway.pooler_probe', true) AS mark"
_FORGET = "SELECT set_config('gateway.pooler_probe', '', false)"

_LOCK = "SELECT pg_try_advisory_lock($1)"
_IS_LOCKED = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND ((classid::bigint << 32) | objid::bigint) = $1)
"""


async def is_behind_pooler(dsn: str) -> bool:
    """Whether transactions of one connection may meet different server processes. Raises CONNECT_ERRORS."""
    async with _plain(dsn) as first, _plain(dsn) as second:
        mark = secrets.token_hex(8)
        mine, _ = await _look(first, _SET, mark)
        transaction = second.transaction()
        await transaction.start()  # holds its server process while the first client looks
        try:
            others = await _look(second, _LOOK)
            if others[0] == mine or others[1] == mark:
                return True
            for _ in range(LOOKS):
                if await _look(first, _LOOK) != (mine, mark):
                    return True
        finally:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError):
                await transaction.rollback()
                await first.execute(_FORGET)
        return False


async def _look(connection: asyncpg.Connection, statement: str, *arguments: str) -> tuple[int, str | None]:
    """The server process behind the connection, and the setting there."""
    row = await connection.fetchrow(statement, *arguments)
    assert row is not None
    return row["pid"], row["mark"]


async def is_same_database(dsn: str, direct: str) -> bool:
    """Whether a lock taken through `direct` is seen through `dsn`. Raises CONNECT_ERRORS.

    A copy of a database has its installation id as well; a lock is seen in one database only. It needs no right and
    no table. `direct` must be no pooler.
    """
    key = secrets.randbits(62)
    async with _plain(direct) as locking, _plain(dsn) as looking:
        await locking.fetchval(_LOCK, key)  # the connection's end releases it
        return bool(await looking.fetchval(_IS_LOCKED, key))


@asynccontextmanager
async def _plain(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that keeps nothing at the server, which a pooler would hand to another client."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + CONNECT_TIMEOUT_S + LOOK_S
    connection = await asyncpg.connect(
        clean_dsn(dsn),
        timeout=CONNECT_TIMEOUT_S,
        statement_cache_size=0,
        server_settings={"application_name": "whatsapp-gateway probe"},
    )
    try:
        async with Deadline(connection, ends_at - loop.time()):
            yield connection
    finally:
        connection.terminate()

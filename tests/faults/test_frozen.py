"""A gateway that is stopped where it stands (SIGSTOP, a host that hangs): its sockets live on, and it hears nothing.

Its peers take it for frozen after four seconds here, instead of eight, and it is thawed when they have.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from gateway.postgres.connection.listener import APPLICATION
from tests.faults.server import Server
from tests.faults.town import Town, following, town
from tests.faults.writers import add_session
from tests.launcher.child import PLAIN_ASGI, READY_FRAMES
from tests.postgres.ears import comes_true
from tests.postgres.writers import insert_message
from tests.realtime.live import until

_HOLDERS = """
SELECT array_agg(DISTINCT l.pid)
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND a.application_name = $1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_PINNED = "SELECT backend_xmin IS NOT NULL FROM pg_stat_activity WHERE pid = $1"


@contextlib.asynccontextmanager
async def two_gateways(
    server: Server, folder: Path, way: str
) -> AsyncIterator[tuple[Town, asyncpg.Connection, int]]:
    """The first one holds every lease there is; the process id of its listening backend comes along."""
    ways = (way, READY_FRAMES if way == PLAIN_ASGI else PLAIN_ASGI)
    soon = {"gateway.postgres.connection.listener.FROZEN_AFTER_S": 4.0}
    async with town(server, folder, ways=ways, constants=soon, probe_s=1.0, starts_second=False) as place:
        writer = await asyncpg.connect(place.dsn)
        try:
            await add_session(writer, 12)
            await comes_true(lambda: holds_leases(writer))
            (pid,) = await writer.fetchval(_HOLDERS, APPLICATION)
            await place.houses[1].child.start()
            yield place, writer, pid
        finally:
            await writer.close()


async def holds_leases(connection: asyncpg.Connection) -> bool:
    return bool(await connection.fetchval(_HOLDERS, APPLICATION))


async def flood_until_pinned(connection: asyncpg.Connection, pid: int) -> None:
    """Bells that nobody reads, until the backend waits in the middle of one: a snapshot that stays."""
    async with asyncio.timeout(20):
        number = 0
        while not await connection.fetchval(_PINNED, pid):
            number += 1
            await connection.execute(
                "SELECT pg_notify('whatsapp_incoming_messages', $1 || i) FROM generate_series(1, 100) AS i",
                f"{number}" + "x" * 7000,
            )


async def test_a_frozen_gateway_loses_its_lease_and_does_not_hold_back_vacuum(
    server: Server, tmp_path: Path, way: str
) -> None:
    async with two_gateways(server, tmp_path, way) as (place, writer, pid):
        frozen = place.houses[0].child
        async with following(place) as here, following(place, 1) as there:
            frozen.freeze()
            await flood_until_pinned(writer, pid)
            await insert_message(writer, 12)
            await writer.execute("DELETE FROM whatsapp_incoming_messages")

            await comes_true(lambda: is_ended(writer, pid))
            await writer.execute("VACUUM whatsapp_incoming_messages")
            assert await dead_rows(writer) == 0
            assert pid not in (await writer.fetchval(_HOLDERS, APPLICATION) or [])
            await until(lambda: there.offs.get(12) == 2, "the other one goes on")
            frozen.thaw()
            await until(lambda: here.offs.get(12) == 2 and not here.is_stale, "it is well again")

            assert here.complaints == there.complaints == []


async def is_ended(connection: asyncpg.Connection, pid: int) -> bool:
    return not await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid)


async def dead_rows(connection: asyncpg.Connection) -> int:
    """Rows that VACUUM had to leave; each is still on its page."""
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    left: int = await connection.fetchval(
        "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'whatsapp_incoming_messages'"
    )
    return left

"""Gateways of one data folder: what a killed one had taken, another brings to Postgres."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from tests.faults.server import Server, own_server
from tests.faults.writers import Sender, add_session, message
from tests.http.support import INCOMING, eventually
from tests.launcher.child import Child, serving_child


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_server() as running:
        yield running


@pytest_asyncio.fixture
async def dsn(server: Server) -> AsyncIterator[str]:
    """A database with session 12."""
    async with server.database() as name:
        connection = await asyncpg.connect(server.dsn_of(name))
        await add_session(connection, 12)
        await connection.close()
        yield server.dsn_of(name)


async def keys_in_order(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            f"SELECT record ->> 'message_id' AS key FROM gateway.stream WHERE tbl = '{INCOMING}' ORDER BY off"
        )
    finally:
        await connection.close()
    return [row["key"] for row in rows]


async def spooled(child: Child) -> int:
    async with aiohttp.ClientSession() as http, http.get(child.url + "/readyz") as answer:
        return int((await answer.json()).get("spooled", 0))


async def until_drained(child: Child) -> None:
    await eventually(lambda: spooled(child), lambda waiting: waiting == 0, "an empty spool")


async def take(http: aiohttp.ClientSession, child: Child, *keys: str) -> None:
    sender = Sender(lambda: child.url, http, 12)
    for key in keys:
        async with asyncio.timeout(20):
            assert await sender.once(message(key)) == 200


async def test_what_a_killed_gateway_took_is_there_after_its_next_start(
    server: Server, dsn: str, tmp_path: Path
) -> None:
    child = Child(dsn, tmp_path)
    async with aiohttp.ClientSession() as http, serving_child(child):
        await take(http, child, "before")
        async with server.away():
            await take(http, child, "K1", "K2", "K10", "K3")
            await child.kill()
        await child.start_when_possible()
        await take(http, child, "after")

        wanted = ["before", "K1", "K2", "K10", "K3", "after"]
        await eventually(lambda: keys_in_order(dsn), lambda found: found == wanted, "all of them in order")


async def test_the_other_gateway_of_the_folder_takes_over_from_a_killed_one(
    server: Server, dsn: str, tmp_path: Path
) -> None:
    first, second = Child(dsn, tmp_path), Child(dsn, tmp_path)
    async with aiohttp.ClientSession() as http, serving_child(first), serving_child(second):
        for child in (first, second):
            await take(http, child, f"before {child is first}")
        async with server.away():
            await take(http, first, "K1")
            await take(http, second, "K2")
            await take(http, first, "K3")
            assert await spooled(first) == await spooled(second) == 3
            await first.kill()
        await until_drained(second)

        assert (await keys_in_order(dsn))[2:] == ["K1", "K2", "K3"]


async def test_gateways_of_different_databases_share_a_folder_and_mix_nothing(
    server: Server, dsn: str, tmp_path: Path
) -> None:
    async with server.database() as name, aiohttp.ClientSession() as http:
        connection = await asyncpg.connect(server.dsn_of(name))
        await add_session(connection, 12)
        await connection.close()
        ours, theirs = Child(dsn, tmp_path), Child(server.dsn_of(name), tmp_path)
        async with serving_child(ours), serving_child(theirs):
            for child in (ours, theirs):
                await take(http, child, "before")
            async with server.away():
                await take(http, ours, "ours")
                await take(http, theirs, "theirs")
                assert await spooled(ours) == await spooled(theirs) == 1
            for child, address, key in ((ours, dsn, "ours"), (theirs, server.dsn_of(name), "theirs")):
                await until_drained(child)
                assert await keys_in_order(address) == ["before", key]

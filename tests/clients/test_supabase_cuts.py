"""Supabase's own clients live through restarts: whoever reloads at SUBSCRIBED has everything."""

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from gateway.postgres.connection.pool import connect_direct
from gateway.settings import Settings
from tests.clients.supabase_pages import CLIENTS, IDS, INCOMING, everything, supabase_page
from tests.faults.server import Server, own_server
from tests.launcher.running import running
from tests.launcher.settings import settings_for
from tests.postgres.writers import insert_message
from tests.realtime.live import until


@pytest.fixture(params=CLIENTS, ids=IDS)
def client(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A Postgres that may be killed."""
    with own_server() as running_server:
        yield running_server


@pytest_asyncio.fixture
async def dsn(server: Server) -> AsyncIterator[str]:
    async with server.database() as name:
        yield server.dsn_of(name)


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    """Of a gateway that is found at the same address again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return settings_for(dsn, tmp_path).model_copy(update={"port": port})


async def texts_in(database: asyncpg.Connection) -> list[str]:
    """What a page loads."""
    rows = await database.fetch(f"SELECT message_text FROM {INCOMING} ORDER BY id")
    return [row["message_text"] for row in rows]


async def test_after_a_restart_of_the_gateway_the_page_is_subscribed_again(
    client: str, settings: Settings, dsn: str
) -> None:
    writer = await connect_direct(dsn)
    async with contextlib.AsyncExitStack() as stack:
        async with running(settings) as gateway:
            shop = await stack.enter_async_context(supabase_page(client, gateway.url, gateway.token()))
            await shop.subscribe("incoming", everything())
            await insert_message(writer, 12, message_text="before")
            await shop.text("before")
        await shop.status("CHANNEL_ERROR")
        before = len(shop.lines)
        await insert_message(writer, 12, message_text="meanwhile")
        async with running(settings):
            await shop.status("SUBSCRIBED", after=before)
            loaded = await texts_in(writer)
            await insert_message(writer, 12, message_text="after")
            await shop.text("after")
    await writer.close()

    assert loaded == ["before", "meanwhile"]
    assert "CLOSED" not in [line.get("status") for line in shop.lines]


async def test_after_a_restart_of_postgres_changes_come_again(
    client: str, settings: Settings, dsn: str, server: Server
) -> None:
    async with (
        running(settings) as gateway,
        supabase_page(client, gateway.url, gateway.token()) as shop,
    ):
        await shop.subscribe("incoming", everything())
        before = len(shop.lines)
        await server.crash()
        writer = await connect_direct(dsn)
        # Python's client joins again after it was told; a page of the others hears nothing but a `system` message.
        if client == "python":
            await until(lambda: gateway.gateway.stale_since is None, "the gateway hears Postgres again")
            await shop.status("CHANNEL_ERROR", after=before)
            await shop.status("SUBSCRIBED", after=before)
        await insert_message(writer, 12, message_text="after")
        await shop.text("after")
        await writer.close()

        if client != "python":
            statuses = [line["status"] for line in shop.lines if "status" in line]
            assert statuses == ["SUBSCRIBED"]
            assert await shop.system("ok", after=before) == "Subscribed to PostgreSQL"

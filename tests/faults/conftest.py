"""Servers and gateways that are there to be broken."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from gateway.postgres.connection.pool import connect_direct
from gateway.runtime.context import DEFAULT_TIMINGS
from tests.faults.server import Server, own_server
from tests.launcher.running import Running, running
from tests.launcher.settings import NOWHERE, settings_for


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A Postgres of this file's own."""
    with own_server() as running:
        yield running


@pytest_asyncio.fixture
async def live(way: str, database: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway in this process, on a fresh database; each test runs both ways."""
    async with running(settings_for(database, tmp_path, **NOWHERE), timings=DEFAULT_TIMINGS) as started:
        yield started


@pytest_asyncio.fixture
async def writer(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else who writes to the same tables."""
    opened = await connect_direct(database)
    try:
        yield opened
    finally:
        await opened.close(timeout=5)


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session

"""Gateways for sockets: with our server class, and as plain ASGI."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from gateway.postgres.connection.pool import connect_direct
from gateway.services.sessions.monitor import Monitor
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for

SMALL_BUFFER = 8192
"""Bytes that the kernel keeps of what a client does not read: little, so that slow readers are soon noticed."""


@pytest_asyncio.fixture
async def live(way: str, database: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway on a fresh database; each test runs both ways."""
    async with running(settings_for(database, tmp_path), send_buffer=SMALL_BUFFER) as started:
        yield started


@pytest_asyncio.fixture
async def writer(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else who writes to the same tables."""
    opened = await connect_direct(database)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture(autouse=True)
def no_upkeep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that stand in the tables alone would be found missing upstream, and become gone."""

    async def idle(self: Monitor) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Monitor, "run", idle)

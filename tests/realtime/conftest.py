"""Gateways for sockets: with our server class, and as plain ASGI."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

import tests.running
from gateway.postgres.connection.pool import connect_direct
from gateway.runtime import listen_socket as ports
from gateway.services.sessions.monitor import Monitor
from tests.running import Running, running, settings_for


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel keeps little of what a client does not read: accepted sockets take this over."""

    def bind(host: str, port: int) -> socket.socket:
        listening = ports.bind(host, port)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        return listening

    monkeypatch.setattr(tests.running, "bind", bind)


@pytest_asyncio.fixture
async def live(way: str, small_buffers: None, database: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway on a fresh database; each test runs both ways."""
    async with running(settings_for(database, tmp_path)) as started:
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

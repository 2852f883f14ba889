"""Gateways for sockets: with our server class, and as plain ASGI."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.connection.pool import connect_direct
from tests.launcher.fixtures import WAYS, use_way
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for
from tests.postgres_fixtures import clone

SMALL_BUFFER = 8192
"""Bytes that the kernel keeps of what a client does not read: little, so that slow readers are soon noticed."""


@pytest_asyncio.fixture
async def live(way: str, database: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway on a fresh database; each test runs both ways."""
    async with running(settings_for(database, tmp_path), send_buffer=SMALL_BUFFER) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=WAYS)
async def shared_live(
    request: pytest.FixtureRequest,
    postgres: EmbeddedPostgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Running]:
    """The same, one each way for all tests of a file that write no row and leave other sockets alone."""
    folder = tmp_path_factory.mktemp("shared")
    async with clone(postgres, "migrated") as database:
        with pytest.MonkeyPatch.context() as patch:
            use_way(patch, request.param)
            async with running(settings_for(database, folder), send_buffer=SMALL_BUFFER) as started:
                yield started


@pytest_asyncio.fixture
async def writer(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else who writes to the same tables."""
    opened = await connect_direct(database)
    try:
        yield opened
    finally:
        await opened.close()

"""What the tests of this room share."""

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from gateway.postgres.connection.pool import connect_direct, open_pool
from gateway.postgres.connection.readers import Shared
from gateway.postgres.streams import StreamStore
from gateway.postgres.webhooks.batches import WebhookTable
from tests.postgres.writers import Bells


@pytest_asyncio.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the test's own, migrated database."""
    opened = await connect_direct(database)
    try:
        yield opened
    finally:
        await opened.close()


@pytest_asyncio.fixture
async def other(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A second connection to it: somebody else."""
    opened = await connect_direct(database)
    try:
        yield opened
    finally:
        await opened.close()


@pytest_asyncio.fixture
async def store(database: str) -> AsyncIterator[StreamStore]:
    """The streams of the test's database."""
    pool = await open_pool(database, timezone="UTC", max_size=3, pooled=False)
    try:
        yield StreamStore(Shared(pool))
    finally:
        await pool.close()


@pytest_asyncio.fixture
async def bells(database: str) -> AsyncIterator[Bells]:
    """What rings in the test's database."""
    opened = await connect_direct(database)
    heard = Bells(opened)
    await heard.listen()
    try:
        yield heard
    finally:
        await opened.close()


@pytest_asyncio.fixture
async def table(database: str) -> AsyncIterator[WebhookTable]:
    """Where webhooks of the test's database are written."""
    pool = await open_pool(database, timezone="UTC", max_size=5, pooled=False)
    try:
        yield WebhookTable(pool, str(uuid.uuid4()))
    finally:
        await pool.close()

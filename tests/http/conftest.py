"""What the tests of this room share."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.wasender.http_transport import Timeouts
from tests.http.support import Shop, add_two_sessions, left_alone, opened, swept
from tests.launcher.running import UNWATCHED, Running, running
from tests.launcher.settings import settings_for
from tests.postgres_fixtures import clone


@pytest_asyncio.fixture
async def empty_shop(gateway: Running, database: str) -> AsyncIterator[Shop]:
    """A gateway without any session."""
    async with opened(gateway, database) as shop:
        yield shop


@pytest_asyncio.fixture
async def fresh_shop(empty_shop: Shop) -> Shop:
    """A gateway with the sessions 12 and 13, which the simulator does not know."""
    await add_two_sessions(empty_shop)
    return empty_shop


@pytest.fixture
def shop(fresh_shop: Shop) -> Shop:
    """The same; a file whose tests can share one has its own fixture of this name."""
    return fresh_shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_empty_shop(shared_gateway: Running) -> AsyncIterator[Shop]:
    """One gateway without any session for all tests of a file; what a fixture adds to it, each of them finds.

    At the end its tables hold what they held before the first test: a test that changes a row takes `shop`.
    """
    async with opened(shared_gateway, shared_gateway.gateway.database_url) as shop:
        yield shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_written_shop(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shop]:
    """One gateway with the sessions 12 and 13 for all tests of a file that write what `swept` takes away."""
    async with (
        clone(postgres, "migrated") as database,
        running(settings_for(database, tmp_path_factory.mktemp("written"))) as gateway,
        opened(gateway, database) as shop,
    ):
        await add_two_sessions(shop)
        yield shop


@pytest_asyncio.fixture(loop_scope="module")
async def shared_swept_shop(shared_written_shop: Shop) -> AsyncIterator[Shop]:
    """The gateway of the file, without a message, and without one afterwards: a gateway costs more than a test.

    A file whose tests post webhooks and look at rows names it `shop`. A test that counts what its gateway has ever
    done takes `fresh_shop`.
    """
    async with swept(shared_written_shop):
        yield shared_written_shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_shop(shared_empty_shop: Shop) -> AsyncIterator[Shop]:
    """The same with the sessions 12 and 13."""
    await add_two_sessions(shared_empty_shop)
    async with left_alone(shared_empty_shop):
        yield shared_empty_shop


@pytest_asyncio.fixture
async def hasty_shop(database: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """A gateway that waits for upstream no longer than a test can."""
    timings = replace(UNWATCHED, upstream=Timeouts(1.0))
    async with (
        running(settings_for(database, tmp_path), timings=timings) as gateway,
        opened(gateway, database) as shop,
    ):
        yield shop

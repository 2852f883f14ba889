"""A running gateway per test, one for a whole file, and the two ways in which frames leave it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.runtime import http_server as serving
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for
from tests.postgres_fixtures import clone


@pytest_asyncio.fixture
async def gateway(database: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway on a fresh database, with the simulator as its upstream."""
    async with running(settings_for(database, tmp_path)) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_gateway(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """One gateway for all tests of a file that only ask: starting it costs more than all their questions.

    A test that has it, or a fixture whose name begins with `shared_`, runs on the loop of its file; see
    tests/conftest.py. It leaves no row behind.
    """
    async with (
        clone(postgres, "migrated") as database,
        running(settings_for(database, tmp_path_factory.mktemp("shared"))) as started,
    ):
        yield started


WAYS = ["ready frames", "plain ASGI"]
"""How frames leave: our server class writes them to the transport, or any server sends their text."""


def use_way(patch: pytest.MonkeyPatch, way: str) -> None:
    """From now on gateways that are started in this process send their frames this way."""
    if way == "plain ASGI":
        patch.setattr(serving, "GatewayWebSocketProtocol", "websockets-sansio")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of both ways in which frames leave; each test runs both."""
    way: str = request.param
    use_way(monkeypatch, way)
    return way

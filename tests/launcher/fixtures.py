"""A running gateway per test, and the two ways in which frames leave it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.runtime import server as serving
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for


@pytest_asyncio.fixture
async def gateway(database: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway on a fresh database, with the simulator as its upstream."""
    async with running(settings_for(database, tmp_path)) as started:
        yield started


@pytest.fixture(params=["ready frames", "plain ASGI"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How frames leave: our server class writes them to the transport, or any server sends their text."""
    way: str = request.param
    if way == "plain ASGI":
        monkeypatch.setattr(serving, "GatewayWebSocketProtocol", "websockets-sansio")
    return way

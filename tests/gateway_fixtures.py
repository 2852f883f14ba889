"""A running gateway per test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.running import Running, running, settings_for


@pytest_asyncio.fixture
async def gateway(database: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway on a fresh database, with the simulator as its upstream."""
    async with running(settings_for(database, tmp_path)) as started:
        yield started

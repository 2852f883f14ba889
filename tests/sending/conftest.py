"""What the tests of this room share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.sending.support import Shop, opened


@pytest_asyncio.fixture
async def shop(database: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """A gateway with the simulator."""
    async with opened(database, tmp_path) as shop:
        yield shop

"""What the tests of this room share."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.http.support import Shop, opened
from tests.running import Running


@pytest_asyncio.fixture
async def empty_shop(gateway: Running, database: str) -> AsyncIterator[Shop]:
    """A gateway without any session."""
    async with opened(gateway, database) as shop:
        yield shop


@pytest_asyncio.fixture
async def shop(empty_shop: Shop) -> Shop:
    """A gateway with the sessions 12 and 13, which the simulator does not know."""
    await empty_shop.add_session(12)
    await empty_shop.add_session(13)
    return empty_shop

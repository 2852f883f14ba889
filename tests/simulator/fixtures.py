"""A simulator on a socket of its own, and an address that takes its webhooks; both are gone after the test."""

from collections.abc import AsyncIterator

import pytest

from tests.simulator.support import Receiver, Served, receiving, serving


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as served:
        yield served


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver

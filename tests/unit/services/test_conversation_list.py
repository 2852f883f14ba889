"""When the list of conversations is worked on, and that it never works all the time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.domain.errors import StoreUnavailable
from gateway.services.live.conversation_list import MOST_S, ConversationList, Progress
from tests.clock import now, virtual_time

STEP_S = 0.4


class Store:
    """Steps that take STEP_S and end as they are told; DONE when nothing is told."""

    def __init__(self, *ends: Progress | Exception) -> None:
        self._ends = list(ends)
        self.began: list[float] = []

    async def step(self) -> Progress:
        self.began.append(now())
        await asyncio.sleep(STEP_S)
        end = self._ends.pop(0) if self._ends else Progress.DONE
        if isinstance(end, Exception):
            raise end
        return end


@contextlib.asynccontextmanager
async def running(store: Store) -> AsyncIterator[ConversationList]:
    projection = ConversationList(store)
    task = asyncio.create_task(projection.run(), name="projection")
    try:
        yield projection
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@virtual_time
async def test_it_looks_once_at_the_start_and_then_only_after_a_bell() -> None:
    store = Store()
    async with running(store) as projection:
        await asyncio.sleep(3600)
        assert len(store.began) == 1
        projection.notify()
        await asyncio.sleep(3600)
        assert len(store.began) == 2


@virtual_time
async def test_it_goes_on_to_the_end_and_rests_as_long_as_it_worked() -> None:
    store = Store(Progress.MORE, Progress.MORE)
    async with running(store):
        await asyncio.sleep(60)

    gaps = [later - began for began, later in zip(store.began, store.began[1:], strict=False)]
    assert len(store.began) == 3
    assert min(gaps) >= 2 * STEP_S


@virtual_time
async def test_bells_during_a_step_are_one_more_look() -> None:
    store = Store()
    async with running(store) as projection:
        await asyncio.sleep(STEP_S / 2)
        for _ in range(50):
            projection.notify()
        await asyncio.sleep(60)

    assert len(store.began) == 2


@virtual_time
async def test_a_bell_that_another_gateway_may_have_overlooked_is_looked_after() -> None:
    store = Store(Progress.BUSY)
    async with running(store):
        await asyncio.sleep(60)

    assert len(store.began) == 2


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ValueError("a row that nobody foresaw")])
def test_whatever_fails_it_tries_again_less_and_less_often(error: Exception) -> None:
    @virtual_time
    async def test() -> None:
        store = Store(*[error] * 20)
        async with running(store):
            await asyncio.sleep(60)
            tries = len(store.began)
            await asyncio.sleep(1200)

        assert 3 <= tries <= 12
        assert len(store.began) == 21
        assert store.began[-1] - store.began[-2] <= MOST_S + STEP_S

    test()

"""A deadline holds whatever the work does, and breaks a connection only if it does not answer."""

import asyncio
import contextlib

import pytest

from gateway.domain.errors import StoreUnavailable, UpstreamTimeout
from gateway.services.deadlines import Deadline, upstream_late, within
from tests.clock import virtual_time


class Connection:
    """Answers a cancellation after `answers_s`, if that comes before it is broken."""

    def __init__(self, answers_s: float | None) -> None:
        self._answers_s = answers_s
        self._broken = asyncio.Event()
        self.breaks = 0

    def terminate(self) -> None:
        self.breaks += 1
        self._broken.set()

    async def statement(self) -> None:
        try:
            await self._broken.wait()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._answers_s):
                    await self._broken.wait()
            if self._broken.is_set():
                raise ConnectionResetError


async def stubborn() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.2)
            return


@virtual_time
async def test_work_in_time_gives_its_result() -> None:
    assert await within(5, asyncio.sleep(0, "x")) == "x"
    async with Deadline(Connection(0), 5):
        pass


@virtual_time
async def test_work_that_fails_in_time_fails_as_it_does() -> None:
    async def failing() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await within(5, failing())
    with pytest.raises(KeyError):
        async with Deadline(Connection(0), 5):
            raise KeyError("x")


@virtual_time
async def test_work_that_does_not_end_when_it_is_cancelled_is_left_behind() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(StoreUnavailable):
        await within(0.01, stubborn())
    with pytest.raises(UpstreamTimeout):
        await within(0.01, stubborn(), upstream_late)

    assert loop.time() - started < 0.15


@virtual_time
async def test_a_cancelled_caller_leaves_stubborn_work_at_once() -> None:
    task = asyncio.create_task(within(60, stubborn()), name="caller")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=0.1)

    assert task.cancelled()


@virtual_time
async def test_a_server_that_answers_the_cancellation_keeps_its_connection() -> None:
    connection = Connection(answers_s=0)
    with pytest.raises(TimeoutError):
        async with Deadline(connection, 0.1):
            await connection.statement()

    assert connection.breaks == 0


@virtual_time
async def test_a_connection_that_answers_nothing_is_broken_at_the_end_of_the_budget() -> None:
    connection = Connection(answers_s=None)
    started = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        async with Deadline(connection, 0.1):
            await connection.statement()

    assert connection.breaks == 1
    assert asyncio.get_running_loop().time() - started == pytest.approx(0.1, abs=0.01)


@virtual_time
async def test_a_block_that_is_cancelled_ends_within_its_budget_too() -> None:
    connection = Connection(answers_s=None)

    async def ask() -> None:
        async with Deadline(connection, 0.1):
            await connection.statement()

    task = asyncio.create_task(ask(), name="asking")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=5)

    assert task.cancelled()


@virtual_time
async def test_what_is_left_of_a_budget_shrinks_to_nothing() -> None:
    async with Deadline(Connection(0), 5) as deadline:
        assert 4 < deadline.left_s <= 5

"""Letting a scale-to-zero database sleep, on a clock that jumps."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway.domain.errors import StoreUnavailable
from gateway.services.live.idle import CHECK_S, IDLE_S, WAKE_S, IdleMonitor, Waker
from tests.clock import virtual_time


class FakeListener:
    def __init__(self) -> None:
        self.awake = asyncio.Event()
        self.awake.set()
        self.up = asyncio.Event()
        self.up.set()
        self.is_away = False
        self.sleeps = 0

    async def sleep(self) -> None:
        self.sleeps += 1
        self.awake.clear()
        self.up.clear()

    def wake(self) -> None:
        self.awake.set()
        if not self.is_away:
            asyncio.get_running_loop().call_later(2.0, self.up.set)  # so long it takes to come up

    async def wait_until_up(self) -> None:
        await self.up.wait()


class House:
    """A gateway as the idle monitor sees it: whether it is busy, when it read, and when it told of a loss."""

    def __init__(self) -> None:
        self.ears = FakeListener()
        self.catch_up = self._read
        self.log: list[str] = []
        self.is_busy = False
        self.waker = Waker(
            self.ears, catch_up=lambda: self.catch_up(), on_lost=lambda: self.log.append("deaf")
        )
        self.monitor = IdleMonitor(self.waker, self.ears.awake, [self])

    async def _read(self) -> None:
        assert self.ears.up.is_set(), "looked before it could hear"
        self.log.append("look")


@contextlib.asynccontextmanager
async def running(house: House) -> AsyncIterator[None]:
    task = asyncio.create_task(house.monitor.run(), name="idle monitor")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@virtual_time
async def test_the_database_may_sleep_once_no_client_has_come_for_a_while() -> None:
    house = House()
    house.is_busy = True
    async with running(house):
        await asyncio.sleep(3 * IDLE_S)
        assert house.ears.sleeps == 0
        house.is_busy = False
        await asyncio.sleep(IDLE_S - 2 * CHECK_S)
        assert house.ears.sleeps == 0
        await asyncio.sleep(4 * CHECK_S)
        assert house.ears.sleeps == 1
        await asyncio.sleep(3 * IDLE_S)
        assert house.ears.sleeps == 1


@virtual_time
async def test_a_webhook_now_and_then_keeps_the_database_awake_and_one_wakes_it() -> None:
    house = House()
    async with running(house):
        for _ in range(10):
            await asyncio.sleep(IDLE_S / 2)
            house.waker.touch()
        assert house.ears.sleeps == 0
        await asyncio.sleep(2 * IDLE_S)
        house.waker.touch()
        assert house.ears.awake.is_set()


@virtual_time
async def test_a_client_waits_until_the_gateway_hears_again_and_has_read_what_it_missed() -> None:
    house = House()
    async with running(house):
        await asyncio.sleep(2 * IDLE_S)
        await asyncio.gather(*(house.waker.wait_until_awake() for _ in range(5)))
        assert house.log == ["look"]
        assert house.ears.up.is_set()
        await house.waker.wait_until_awake()
        assert house.log == ["look"]


@virtual_time
async def test_a_client_that_comes_while_nothing_sleeps_does_not_wait() -> None:
    house = House()
    house.ears.up.clear()  # cut off: all clients have been told of that, and Staleness looks for the way back
    await house.waker.wait_until_awake()

    assert house.log == []


@virtual_time
async def test_if_the_listener_does_not_come_up_all_clients_are_told_and_none_waits_for_ever() -> None:
    house = House()
    async with running(house):
        await asyncio.sleep(2 * IDLE_S)
        house.ears.is_away = True
        async with asyncio.timeout(WAKE_S + 1):
            await house.waker.wait_until_awake()
        assert house.log == ["deaf"]


@virtual_time
async def test_if_what_was_missed_cannot_be_read_all_clients_are_told() -> None:
    house = House()

    async def look() -> None:
        raise StoreUnavailable("gone again")

    house.catch_up = look
    async with running(house):
        await asyncio.sleep(2 * IDLE_S)
        await house.waker.wait_until_awake()

    assert house.log == ["deaf"]

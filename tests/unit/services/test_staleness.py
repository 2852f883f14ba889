"""When clients are told that something may be missing, and when that they have everything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from gateway.domain.errors import StoreUnavailable
from gateway.services.live.staleness import Staleness
from tests.clock import virtual_time


class House:
    """Truth between ears, tables that can be read or not, and clients."""

    def __init__(self) -> None:
        self.hears = True
        self.reads = True
        self.looks = 0
        self.told: list[str] = []
        self.during_look: Callable[[], None] = lambda: None
        self.truth = Staleness(
            [self],
            is_cut_off=lambda: not self.hears,
            tell_stale=lambda since: self.told.append("stale"),
            tell_fresh=lambda: self.told.append("fresh"),
        )

    async def catch_up(self) -> None:
        self.looks += 1
        await asyncio.sleep(0.01)
        self.during_look()
        if not self.reads:
            raise StoreUnavailable("away")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.truth.run(), name="truth")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until(self, *told: str) -> None:
        await asyncio.sleep(60)  # virtual

        assert tuple(self.told) == told


@virtual_time
async def test_while_nothing_is_amiss_nobody_is_told_and_nothing_is_read() -> None:
    house = House()
    async with house.running():
        await asyncio.sleep(60)

    assert (house.told, house.looks, house.truth.stale_since) == ([], 0, None)


@virtual_time
async def test_a_read_that_fails_is_told_though_the_bells_are_heard() -> None:
    house = House()
    house.reads = False
    async with house.running():
        house.truth.mark_stale()
        assert house.told == ["stale"]
        assert house.truth.stale_since is not None
        await asyncio.sleep(30)
        assert house.told == ["stale"]
        house.reads = True
        await house.until("stale", "fresh")

    assert house.truth.stale_since is None


@virtual_time
async def test_it_is_not_fresh_before_the_bells_are_heard_again() -> None:
    house = House()
    house.hears = False
    async with house.running():
        house.truth.mark_stale()
        await asyncio.sleep(30)
        assert (house.told, house.looks) == (["stale"], 0)
        house.hears = True
        await house.until("stale", "fresh")


@virtual_time
async def test_what_is_lost_during_the_look_is_looked_for_once_more() -> None:
    house = House()

    def lose() -> None:
        if house.looks == 1:
            house.truth.mark_stale()

    house.during_look = lose
    async with house.running():
        house.truth.mark_stale()
        since = house.truth.stale_since
        await house.until("stale", "stale", "fresh")

    assert house.looks == 2
    assert since is not None

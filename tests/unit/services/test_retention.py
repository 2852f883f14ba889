"""The pump that forgets: one gateway, small batches with rests, and one trouble is not everybody's."""

import asyncio
import contextlib
from collections.abc import Sequence
from itertools import pairwise

from gateway.domain.errors import StoreUnavailable
from gateway.services import retention as retentions
from gateway.services.retention import Retention
from tests.clock import now, virtual_time

BATCH_S = 0.5


class Store:
    def __init__(self, **due: int) -> None:
        self.due = due
        self.batches: list[tuple[str, float]] = []
        self.is_away: set[str] = set()

    @property
    def kinds(self) -> Sequence[str]:
        return tuple(self.due)

    async def prune(self, kind: str, batch: int) -> int:
        if kind in self.is_away:
            raise StoreUnavailable("held")
        self.batches.append((kind, now()))
        await asyncio.sleep(BATCH_S)
        count = min(batch, self.due[kind])
        self.due[kind] -= count
        return count


class Leases:
    def __init__(self, is_ours: bool = True) -> None:
        self.is_ours = is_ours

    async def acquire(self, session_id: int) -> bool:
        return self.is_ours


async def run_for(retention: Retention, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await retention.run()


@virtual_time
async def test_a_pass_goes_on_until_nothing_is_left_and_rests_as_long_as_it_works() -> None:
    store = Store(journal=3500)
    assert await Retention(store, Leases()).prune()

    assert store.due == {"journal": 0}
    times = [at for _, at in store.batches]
    assert all(later - earlier >= 2 * BATCH_S for earlier, later in pairwise(times))


@virtual_time
async def test_what_is_held_is_left_and_the_others_are_not() -> None:
    store = Store(stream=10, logs=10, tickets=10)
    store.is_away = {"logs"}
    await Retention(store, Leases()).prune()

    assert store.due == {"stream": 0, "logs": 10, "tickets": 0}


@virtual_time
async def test_only_who_has_the_lease_forgets() -> None:
    store, leases = Store(journal=10), Leases(is_ours=False)
    retention = Retention(store, leases)
    await run_for(retention, 8000)
    assert store.batches == []

    leases.is_ours = True
    await run_for(retention, 8000)
    assert store.due == {"journal": 0}


@virtual_time
async def test_a_backlog_is_taken_up_again_soon_and_peace_is_looked_at_once_an_hour() -> None:
    store = Store(journal=retentions.BATCH * (retentions.MAX_BATCHES + 1))
    retention = Retention(store, Leases(), roll=lambda: 0.5)
    start = now()
    await run_for(retention, 8000)

    assert store.due == {"journal": 0}
    passes = [at - start for _, at in store.batches]
    rest = passes[retentions.MAX_BATCHES] - passes[retentions.MAX_BATCHES - 1]
    assert retentions.BACKLOG_EVERY_S <= rest < retentions.BACKLOG_EVERY_S + 2
    assert passes[-1] - passes[-2] >= retentions.PASS_EVERY_S


@virtual_time
async def test_a_pass_that_fails_ends_nothing() -> None:
    store = Store(journal=10)
    leases = Leases()

    async def away(session_id: int) -> bool:
        raise StoreUnavailable("the listening connection is down")

    leases.acquire = away  # type: ignore[method-assign]
    retention = Retention(store, leases, roll=lambda: 0.5)
    await run_for(retention, 5000)
    del leases.acquire
    await run_for(retention, 100)

    assert store.due == {"journal": 0}

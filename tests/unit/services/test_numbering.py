"""What transactions leave is numbered at once, as often as it takes, and a fault only delays it."""

import asyncio

from gateway.domain.backoff import Backoff
from gateway.domain.errors import StoreUnavailable
from gateway.services.live.numbering import DEFAULT_PACE, Numbered, Numbering, NumberingPace


class Store:
    """Transactions that wait, a hundred at most taken at once."""

    def __init__(self, waiting: int = 0, *, may_prepare: bool = False) -> None:
        self.waiting = waiting
        self.may_prepare = may_prepare
        self.failures = 0
        self.looks = 0
        self.looked = asyncio.Event()

    async def number(self) -> Numbered:
        self.looks += 1
        self.looked.set()
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        done = min(self.waiting, 100)
        self.waiting -= done
        return Numbered(done, self.may_prepare)


async def looked(store: Store) -> None:
    store.looked.clear()
    async with asyncio.timeout(5):
        await store.looked.wait()


async def test_everything_that_waits_is_numbered() -> None:
    store = Store(250)
    assert await Numbering(store).number() == DEFAULT_PACE.tick_s
    assert (store.waiting, store.looks) == (0, 4)


async def test_a_server_that_prepares_is_looked_at_often() -> None:
    assert await Numbering(Store(may_prepare=True)).number() == DEFAULT_PACE.prepared_s


async def test_a_notification_is_followed_at_once_and_a_look_comes_by_itself() -> None:
    store = Store(may_prepare=True)
    job = Numbering(store, pace=NumberingPace(prepared_s=0.01))
    task = asyncio.create_task(job.run())
    await looked(store)
    await looked(store)
    store.waiting = 1
    job.notify()
    await looked(store)
    await looked(store)
    assert store.waiting == 0
    task.cancel()


async def test_a_fault_ends_nothing() -> None:
    store = Store(1)
    store.failures = 1
    job = Numbering(store)
    task = asyncio.create_task(job.run())
    await looked(store)
    job.notify()
    await looked(store)
    assert store.waiting == 0
    assert not task.done()
    task.cancel()


async def test_a_database_that_may_sleep_is_left_alone() -> None:
    awake = asyncio.Event()
    store = Store()
    job = Numbering(store, awake=awake, pace=NumberingPace(0.001, backoff=Backoff(0.001, 0.001)))
    task = asyncio.create_task(job.run())
    await looked(store)
    looks = store.looks
    for _ in range(20):
        await asyncio.sleep(0)
    assert store.looks == looks
    awake.set()
    await looked(store)
    task.cancel()

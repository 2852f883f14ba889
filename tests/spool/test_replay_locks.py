"""The replay goes past what is locked, keeps the order behind it, and ends when there is steady traffic, too."""

import asyncio

from gateway.domain.errors import StoreUnavailable
from gateway.services.webhooks.replay import OWN_LOCKS_S
from tests.spool.house import DEADLINE_S, House, until
from tests.spool.support import ALL, delivery, keep, names, numbered


async def test_a_row_that_is_held_keeps_back_what_is_about_it_and_nothing_else(house: House) -> None:
    house.store.locked = {"received K"}
    ordering_keys = frozenset({"=K"})
    await keep(house.spool, "received K", "about K", ordering_keys=ordering_keys)
    await keep(house.spool, *numbered("received ", range(200)))
    await keep(house.spool, "received K", session_id=13)

    await house.replay.round()

    assert house.store.stored == numbered("received ", range(200))
    assert await names(house.spool) == ["received K", "about K", "received K"]
    assert house.spool.held(12, {"*", "=K", "=1"}) == {"=K"}
    house.store.locked.clear()
    await house.replay.round()
    assert house.store.stored[200:] == ["received K", "about K", "received K"]


async def test_after_an_outage_a_held_row_holds_its_session_for_as_long_as_it_may_be_our_own(
    house: House,
) -> None:
    house.store.locked = {"received K"}
    await keep(house.spool, "received K", "received 1", "about K", "received 2")
    await keep(house.spool, "received 3", session_id=13)

    await house.replay.round()
    assert house.store.stored == ["received 3"]
    assert house.spool.held(12, {"*", "=9"}) == {"*"}

    house.replay.own_locks_s = 0.0
    assert OWN_LOCKS_S > 3  # Postgres ends what we were cut off from after three seconds
    await house.replay.round()
    assert house.store.stored == ["received 3", "received 1", "received 2"]
    assert house.spool.held(12, {"*", "=K", "=9"}) == {"=K"}


async def test_a_locked_table_keeps_the_messages_back_and_lets_statuses_through(house: House) -> None:
    house.store.locked_table = True
    await keep(house.spool, *numbered("received ", range(150)), "status", *numbered("about ", range(150)))
    await keep(house.spool, "status", session_id=13)

    await house.replay.round()

    assert house.store.stored == ["status", "status"]
    assert house.spool.held(12, {"*", "*messages", "*session"}) == {"*messages"}
    house.store.locked_table = False
    await house.replay.round()
    assert house.store.stored[2:] == [*numbered("received ", range(150)), *numbered("about ", range(150))]


async def test_steady_traffic_of_a_session_finds_its_way_back_to_postgres(house: House) -> None:
    house.store.away = StoreUnavailable("away")
    pump = asyncio.create_task(house.ingest.run(), name="ingest")
    sent: list[str] = []
    answers: list[str] = []

    async def steady(stop: asyncio.Event) -> None:
        while not stop.is_set():
            sent.append(f"received {len(sent)}")
            answers.append(await house.ingest.submit(delivery(sent[-1])))

    stop = asyncio.Event()
    house.ingest.is_away = True
    try:
        async with house.running(), asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
            group.create_task(steady(stop), name="sender")
            await until(lambda: len(sent) > 20)
            house.store.away = None
            await until(lambda: "stored" in answers[-3:])
            stop.set()
    finally:
        pump.cancel()
    await house.replay.round()

    assert house.spool.count() == 0
    assert house.store.stored == sent
    assert house.spool.held(12, ALL) == frozenset()

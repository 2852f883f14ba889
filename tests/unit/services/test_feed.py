"""The feed: bells come in, events go to the hub in order, and no failure skips one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.domain.errors import StoreUnavailable
from gateway.domain.streams import Extent, Inbox, Position
from gateway.services.live.feed import Feed
from tests.unit.services.feed_fakes import EPOCH, Hub, Store


@contextlib.asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[None]:
    task = asyncio.create_task(feed.run(), name="feed")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def feed(store: Store, hub: Hub) -> Feed:
    return Feed(store, hub, tick_s=60)


async def test_at_the_start_it_learns_where_everything_stands_and_publishes_nothing(
    feed: Feed, store: Store, hub: Hub
) -> None:
    store.append(1, 3)
    store.append(2)
    await feed.open()

    assert hub.at == {1: Position(3, EPOCH), 2: Position(1, EPOCH)}
    assert hub.published == {}


async def test_a_bell_brings_the_events_of_the_inboxes_it_names(feed: Feed, store: Store, hub: Hub) -> None:
    for inbox in (1, 2, 3):
        store.append(inbox)
    hub.followed = {1, 2, 3}
    await feed.open()
    async with running(feed):
        for inbox in (1, 2, 3):
            store.append(inbox, 2)
        store.asked.clear()
        feed.notify("1,3")
        await hub.reaches(1, 3)
        await hub.reaches(3, 3)

    assert hub.published == {1: [2, 3], 3: [2, 3]}
    assert store.asked == ["news 1>1,3>1"], "one question for a bell, no more"


async def test_bells_that_ring_while_it_reads_are_one_look(feed: Feed, store: Store, hub: Hub) -> None:
    for inbox in (1, 2):
        store.append(inbox)
    hub.followed = {1, 2}
    await feed.open()
    store.gate = asyncio.Event()
    async with running(feed):
        store.append(1)
        store.asked.clear()
        store.was_asked.clear()
        feed.notify("1")
        await store.hears_a_question()
        store.append(1)
        store.append(2)
        for _ in range(50):
            feed.notify("1")
            feed.notify("2,1")
        store.gate.set()
        await hub.reaches(1, 3)
        await hub.reaches(2, 2)

    assert store.asked == ["news 1>1", "news 1>2,2>1"]
    assert hub.published == {1: [2, 3], 2: [2]}


@pytest.mark.parametrize("payload", ["", "*", "x", "1,", ",1", "--5", "1 2", "٣", "9" * 19, "1," * 400 + "x"])
async def test_a_bell_that_cannot_be_read_means_all(feed: Feed, store: Store, hub: Hub, payload: str) -> None:
    store.append(1)
    hub.followed = {1}
    await feed.open()
    async with running(feed):
        store.append(1)
        store.asked.clear()
        feed.notify(payload)
        await hub.reaches(1, 2)

    assert store.asked[0] == "extents *"


async def test_an_inbox_that_nobody_follows_is_not_read_until_somebody_comes(
    feed: Feed, store: Store, hub: Hub
) -> None:
    store.append(1)
    store.append(2)
    hub.followed = {2}
    await feed.open()
    async with running(feed):
        store.append(1, 10)
        store.asked.clear()
        for _ in range(3):
            feed.notify("1")
            await asyncio.sleep(0.01)
        assert store.asked == []

        assert await feed.position_at_least(Inbox(1), None) == Position(11, EPOCH)
    assert store.asked == ["news 1>None"]


async def test_who_follows_while_a_bell_is_only_noted_gets_what_it_rang_for(
    feed: Feed, store: Store, hub: Hub
) -> None:
    store.append(1)
    await feed.open()
    async with running(feed):
        store.append(1)
        feed.notify("1")
        await asyncio.sleep(0.01)
        hub.followed = {1}
        feed.attend(1)
        await hub.reaches(1, 2)

    assert hub.published == {1: [2]}


async def test_who_follows_while_its_inbox_is_being_read_for_nobody_gets_the_events(
    feed: Feed, store: Store, hub: Hub
) -> None:
    store.append(1)
    store.append(2)
    hub.followed = {2}
    await feed.open()
    store.gate = asyncio.Event()
    async with running(feed):
        store.append(1)
        store.was_asked.clear()
        feed.notify("1,2")
        await store.hears_a_question()
        hub.followed = {1, 2}
        feed.attend(1)
        store.gate.set()
        await hub.reaches(1, 2)

    assert hub.published == {1: [2]}


async def test_the_hub_is_told_after_a_moment_where_unread_inboxes_stand(store: Store, hub: Hub) -> None:
    feed = Feed(store, hub, tick_s=60, unread_s=0.01)
    store.append(1)
    await feed.open()
    async with running(feed):
        store.append(1, 10)
        store.asked.clear()
        feed.notify("1")
        await hub.reaches(1, 11)

    assert store.asked == ["news 1>None"]
    assert hub.published == {}


async def test_a_lost_bell_is_made_up_for_also_while_others_ring_all_the_time(store: Store, hub: Hub) -> None:
    feed = Feed(store, hub, tick_s=0.1)
    for inbox in (1, 2):
        store.append(inbox)
    hub.followed = {1}
    await feed.open()
    async with running(feed):
        store.append(1)  # its bell is lost

        async def ring_others() -> None:
            while True:
                store.append(2)
                feed.notify("2")
                await asyncio.sleep(0.01)

        others = asyncio.create_task(ring_others(), name="others")
        try:
            await hub.reaches(1, 2)
        finally:
            others.cancel()

    assert hub.published == {1: [2]}


async def test_an_inbox_that_was_never_seen_is_looked_at_whoever_follows(
    feed: Feed, store: Store, hub: Hub
) -> None:
    await feed.open()
    async with running(feed):
        store.append(5, 3)
        feed.notify("5")
        await hub.reaches(5, 3)

    assert hub.advanced == [(5, 3)]


async def test_after_a_failure_nothing_is_skipped(feed: Feed, store: Store, hub: Hub) -> None:
    store.append(1)
    store.append(2)
    hub.followed = {1, 2}
    await feed.open()
    async with running(feed):
        store.append(1)
        store.append(2)
        store.failures = 1
        store.was_asked.clear()
        feed.notify("1")
        await store.hears_a_question()
        feed.notify("2")
        await hub.reaches(1, 2)
        await hub.reaches(2, 2)

    assert hub.published == {1: [2], 2: [2]}


async def test_a_failure_between_two_pages_goes_on_after_the_first(
    feed: Feed, store: Store, hub: Hub
) -> None:
    store.append(1)
    hub.followed = {1}
    store.page_events = 2
    await feed.open()

    def fail_once_on_the_second_page() -> None:
        if hub.published.get(1) == [2, 3]:
            store.before_reading = lambda: None
            store.failures = 1

    store.before_reading = fail_once_on_the_second_page
    async with running(feed):
        store.append(1, 5)
        feed.notify("1")
        await hub.reaches(1, 6)

    assert hub.published == {1: [2, 3, 4, 5, 6]}


async def test_an_inbox_that_fell_out_of_a_full_page_comes_with_the_next(
    feed: Feed, store: Store, hub: Hub
) -> None:
    for inbox in (1, 2, 3):
        store.append(inbox)
    hub.followed = {1, 2, 3}
    store.page_events = 4
    await feed.open()
    async with running(feed):
        store.append(1, 9)
        store.append(2, 3)
        store.append(3, 1)
        feed.notify("1,2,3")
        for inbox, off in ((1, 10), (2, 4), (3, 2)):
            await hub.reaches(inbox, off)

    assert hub.published == {1: list(range(2, 11)), 2: [2, 3, 4], 3: [2]}


async def test_a_new_history_is_announced_and_not_read(feed: Feed, store: Store, hub: Hub) -> None:
    store.append(1, 2)
    hub.followed = {1}
    await feed.open()
    async with running(feed):
        store.append(1, 5)
        store.epochs[1] = "e2"
        store.floors[1] = 6
        feed.notify("1")
        await hub.reaches(1, 7)

    assert hub.at[1] == Position(7, "e2")
    assert hub.published == {}


async def test_what_was_pruned_before_it_was_read_is_announced_as_a_jump(
    feed: Feed, store: Store, hub: Hub
) -> None:
    store.append(1)
    hub.followed = {1}
    await feed.open()

    def prune() -> None:
        store.floors[1] = 3

    store.before_reading = prune
    async with running(feed):
        store.append(1, 4)
        feed.notify("*")
        await hub.reaches(1, 5)

    assert hub.published == {}
    assert hub.advanced[-1] == (1, 5)


async def test_the_tick_looks_at_everything(store: Store, hub: Hub) -> None:
    feed = Feed(store, hub, tick_s=0.01)
    store.append(1)
    hub.followed = {1}
    await feed.open()
    async with running(feed):
        store.append(1)
        await hub.reaches(1, 2)

    assert hub.published == {1: [2]}


async def test_who_comes_during_a_slow_look_waits_for_it_and_asks_no_second_time(
    store: Store, hub: Hub
) -> None:
    store.append(1)
    feed = Feed(store, hub, tick_s=60, unread_s=0)
    await feed.open()
    async with running(feed):
        store.append(1, 4)
        store.asked.clear()
        store.was_asked.clear()
        store.gate = asyncio.Event()
        feed.notify("1")
        await store.hears_a_question()
        coming = [asyncio.create_task(look, name="coming") for look in (feed.see({}), feed.see({}))]
        following = asyncio.create_task(feed.position_at_least(Inbox(1), None), name="following")
        await asyncio.sleep(0)
        hub.followed = {1}  # by the first of them: it is news to the second all the same
        coming.append(asyncio.create_task(feed.see({}), name="coming late"))
        await asyncio.sleep(0)
        assert not any(task.done() for task in (*coming, following)), "what it looks for is not known yet"
        store.gate.set()
        await asyncio.gather(*coming)

        assert await following == Position(5, EPOCH)
    assert store.asked == ["news 1>None", "read 1>1"], "and what the first follower lacks"


async def test_what_was_heard_a_moment_ago_is_no_news_to_who_comes(
    feed: Feed, store: Store, hub: Hub
) -> None:
    store.append(1)
    await feed.open()
    for payload, off in (("1", 2), ("*", 3)):
        store.append(1)
        feed.notify(payload)  # and nothing has read it: the loop is busy
        await feed.see({})
        assert hub.at[1] == Position(off, EPOCH)


async def test_what_connections_follow_is_not_asked_for_again_by_who_comes(
    feed: Feed, store: Store, hub: Hub
) -> None:
    store.append(1)
    hub.followed = {1}
    await feed.open()
    store.asked.clear()
    feed.notify("1")
    await feed.see({})

    assert store.asked == []


async def test_an_inbox_nobody_has_heard_of_gets_its_counter(feed: Feed, store: Store, hub: Hub) -> None:
    await feed.open()
    store.asked.clear()
    assert await feed.position_at_least(Inbox(9), None) == Position(0, EPOCH)
    assert store.asked == ["ensure 9"]
    assert await feed.position_at_least(Inbox(9), Position(0, EPOCH)) == Position(0, EPOCH)
    assert store.asked == ["ensure 9"], "known now"


async def test_a_position_beyond_the_last_look_makes_it_look(feed: Feed, store: Store, hub: Hub) -> None:
    store.append(1)
    hub.followed = {1}
    await feed.open()
    store.append(1, 2)

    assert await feed.position_at_least(Inbox(1), Position(3, EPOCH)) == Position(3, EPOCH)
    assert hub.published == {1: [2, 3]}


async def test_many_positions_beyond_the_last_look_are_one_look(feed: Feed, store: Store, hub: Hub) -> None:
    for inbox in range(1, 100):
        store.append(inbox)
    await feed.open()
    store.asked.clear()
    await feed.see({Inbox(inbox): Position(5, EPOCH) for inbox in range(1, 200)})

    assert len(store.asked) == 1


async def test_when_the_store_is_away_whoever_asks_is_told(feed: Feed, store: Store) -> None:
    store.failures = 1
    with pytest.raises(StoreUnavailable):
        await feed.position_at_least(Inbox(9), None)
    store.append(1)
    store.failures = 1
    with pytest.raises(StoreUnavailable):
        await feed.open()


async def test_a_stream_that_has_become_shorter_begins_all_of_them_anew(
    feed: Feed, store: Store, hub: Hub
) -> None:
    for inbox in (1, 2):
        store.append(inbox, 5)
    hub.followed = {1, 2}
    await feed.open()
    del store.events[1][3:]  # an older database has been brought back; inbox 2 has grown again meanwhile
    await feed.catch_up()

    assert hub.at == {1: Position(3, f"{EPOCH}'"), 2: Position(5, f"{EPOCH}'")}
    assert hub.published == {}


async def test_if_another_gateway_has_begun_anew_its_epoch_is_taken(
    feed: Feed, store: Store, hub: Hub
) -> None:
    store.append(1, 5)
    hub.followed = {1}
    await feed.open()
    del store.events[1][3:]
    asked_before = store.extents

    async def extents(inboxes: object = None) -> dict[int, Extent]:
        found = await asked_before(None)
        store.epochs, store.extents = {1: "theirs"}, asked_before  # type: ignore[method-assign]
        return found

    store.extents = extents  # type: ignore[method-assign]
    await feed.catch_up()

    assert hub.at == {1: Position(3, "theirs")}

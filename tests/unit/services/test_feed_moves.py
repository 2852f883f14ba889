"""Rows that move between inboxes: the hub never holds an arrival whose departure it does not hold."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.domain.streams import Event, Inbox, Place
from gateway.services.live.feed import Feed
from tests.unit.services.feed_fakes import Hub, Store


class OrderedHub(Hub):
    """Fails as soon as an event is handed over before the one it comes after."""

    def publish(self, inbox: Inbox, events: Sequence[Event]) -> None:
        for event in events:
            place = event.comes_after
            assert place is None or self.at[place.inbox].off >= place.off, f"{event} is too early"
            super().publish(inbox, [event])


def move(store: Store, start: int, end: int) -> None:
    """A row leaves one inbox and arrives in another."""
    store.append(start)
    store.append(end)
    store.events[end][-1] = replace(
        store.events[end][-1], comes_after=Place(start, store.events[start][-1].off)
    )


@pytest.mark.parametrize("page_events", [1, 2, 3, 1000])
@pytest.mark.parametrize("seed", range(8))
async def test_whatever_pages_and_moves_there_are(page_events: int, seed: int) -> None:
    chance = random.Random(seed)
    store, hub = Store(), OrderedHub()
    for inbox in (1, 2, 3):
        store.append(inbox)
    hub.followed = {1, 2, 3}
    feed = Feed(store, hub, tick_s=60)
    await feed.open()
    store.page_events = page_events
    for _ in range(30):
        start, end = chance.sample((1, 2, 3), 2)
        move(store, start, end)
        if chance.random() < 0.3:
            store.append(chance.choice((1, 2, 3)))
    feed.notify("1,2,3")
    async with asyncio.timeout(5):
        await feed.catch_up()

    assert {inbox: at.off for inbox, at in hub.at.items()} == {
        inbox: len(events) for inbox, events in store.events.items()
    }


async def test_an_order_that_no_transaction_can_have_made_ends_nothing() -> None:
    store, hub = Store(), Hub()
    hub.followed = {1, 2}
    feed = Feed(store, hub, tick_s=60)
    for inbox in (1, 2):
        store.append(inbox)
    await feed.open()
    for inbox, other in ((1, 2), (2, 1)):
        store.append(inbox, 2)
        store.events[inbox][1] = replace(store.events[inbox][1], comes_after=Place(other, 3))
    async with asyncio.timeout(5):
        await feed.catch_up()

    assert hub.published == {1: [2, 3], 2: [2, 3]}

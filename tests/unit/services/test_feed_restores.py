"""A backup brings back an epoch of its time: clients are told of the one that follows it, and of no other."""

import pytest

from gateway.domain.streams import Extent, Inbox, Position
from gateway.services.live.feed import Feed
from tests.unit.services.feed_fakes import Hub, Store


class Listening(Hub):
    """Remembers every epoch that clients were told of."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: set[str] = set()

    def advance(self, inbox: Inbox, extent: Extent) -> None:
        self.epochs.add(extent.epoch)
        super().advance(inbox, extent)


@pytest.fixture
def store() -> Store:
    made = Store()
    made.append(1, 5)
    made.append(2, 5)
    made.epochs = {1: "before", 2: "before"}
    return made


@pytest.fixture
def hub() -> Listening:
    return Listening()


@pytest.fixture
def feed(store: Store, hub: Listening) -> Feed:
    return Feed(store, hub, tick_s=60)


async def test_a_message_that_is_written_right_after_a_restore_is_told_in_the_new_history(
    feed: Feed, store: Store, hub: Listening
) -> None:
    hub.followed = {1}
    await feed.open()
    store.restore("of the backup")
    store.append(1)
    await feed.see({Inbox(1): Position(6, "before")})

    assert hub.position(1) == Position(6, "after the restore")
    assert hub.epochs == {"before", "after the restore"}


async def test_a_restore_between_the_look_at_the_history_and_the_extents_is_seen(
    feed: Feed, store: Store, hub: Listening
) -> None:
    await feed.open()
    looked = store.check_history

    async def check_history() -> bool:
        found = await looked()
        store.check_history = looked  # type: ignore[method-assign]
        store.restore("of the backup")
        return found

    store.check_history = check_history  # type: ignore[method-assign]
    await feed.catch_up()

    assert hub.position(2) == Position(5, "after the restore")
    assert hub.epochs == {"before", "after the restore"}


async def test_a_client_that_comes_back_to_an_inbox_unknown_here_learns_the_new_history_only(
    feed: Feed, store: Store, hub: Listening
) -> None:
    store.restore("of the backup")
    told = await feed.position_at_least(Inbox(1), Position(5, "before"))

    assert told == Position(5, "after the restore")
    assert hub.epochs == {"after the restore"}

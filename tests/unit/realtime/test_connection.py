"""A connection's cursors: what happens between a question to the store and its answer."""

import asyncio

from gateway.domain.access import Principal, Role
from gateway.domain.streams import Extent, Inbox, Position, Standing
from gateway.realtime.hub.tail import TAIL_EVENTS
from gateway.realtime.pace import SocketPace
from gateway.realtime.transport.framing import frame
from tests.clock import now, virtual_time
from tests.unit.realtime.connection_fakes import BOX, FROM_START, House


async def test_a_page_that_comes_after_the_end_of_the_subscription_is_not_sent() -> None:
    house = House(3)
    house.streams.answer.clear()
    house.connection.follow("1", "inbox:12", FROM_START)
    await house.streams.asked.wait()
    house.connection.leave("inbox:12")
    house.streams.answer.set()
    house.connection.follow("2", "inbox:12", {BOX: Position(3, "e1")})
    await house.transport.has("subscribed")

    assert house.transport.seen() == ["subscribed"]


async def test_a_page_that_comes_after_a_narrower_login_is_not_sent() -> None:
    house = House(3)
    house.streams.answer.clear()
    house.connection.follow("1", "inbox:*", FROM_START)
    await house.streams.asked.wait()
    house.connection.renew(Principal("a", "A", Role.ADMIN, frozenset({7})))
    house.streams.answer.set()
    await house.transport.has("subscribed")

    assert house.transport.seen() == ["subscribed"]
    assert not house.hub._streams[BOX].cursors


async def test_a_page_that_comes_after_starting_anew_is_not_sent_twice() -> None:
    house = House(3)
    house.streams.answer.clear()
    house.connection.follow("1", "inbox:12", FROM_START)
    await house.streams.asked.wait()
    house.connection.follow("2", "inbox:12", {BOX: Position(1, "e1")})
    house.streams.answer.set()
    await house.transport.has("subscribed", 2)

    assert house.transport.seen() == [2, 3, "subscribed", "subscribed"]
    assert house.transport.frames[-1]["ref"] == "2"


async def test_what_is_published_while_a_page_is_read_comes_after_it() -> None:
    house = House(3)
    house.streams.answer.clear()
    house.connection.follow("1", "inbox:12", FROM_START)
    await house.streams.asked.wait()
    house.commit(4, 6)
    house.streams.answer.set()
    await house.transport.has("subscribed")
    house.commit(7, 7)

    assert house.transport.seen() == [1, 2, 3, 4, 5, 6, "subscribed", 7]
    assert house.transport.frames[6]["off"] == 6


async def test_what_the_store_shows_before_the_hub_publishes_it_is_not_sent_twice() -> None:
    house = House(3)
    house.streams.extent = Extent(5, 0, "e1")  # committed; the feed has not read it yet
    house.connection.follow("1", "inbox:12", FROM_START)
    await house.transport.has("subscribed")
    house.commit(4, 8)

    assert [item for item in house.transport.seen() if item != "subscribed"] == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_a_history_the_hub_has_not_heard_of_is_one_reset_and_to_the_new_one() -> None:
    house = House(3)
    house.begin_anew()
    house.connection.follow("1", "inbox:12", FROM_START)
    await house.streams.asked.wait()
    house.streams.asked.clear()
    await house.streams.asked.wait()  # it looks again, and says nothing yet
    assert house.transport.frames == []
    house.hub.advance(BOX, house.streams.extent)
    await house.transport.has("subscribed")

    (reset, subscribed) = house.transport.frames
    assert (reset["reason"], reset["off"], reset["epoch"]) == ("epoch_changed", 4, "e2")
    assert (subscribed["off"], subscribed["epoch"]) == (4, "e2")


async def test_an_older_database_that_the_hub_has_not_heard_of_is_one_reset_to_its_new_history() -> None:
    house = House(5)
    house.streams.extent = Extent(3, 0, "e1")  # brought back just now: its epochs are about to change
    house.connection.follow("1", "inbox:12", {BOX: Position(4, "e1")})
    async with asyncio.timeout(10):
        await house.streams.asked.wait()
        house.streams.asked.clear()
        await house.streams.asked.wait()  # it looks again, and says nothing yet
    assert house.transport.frames == []
    house.streams.extent = Extent(3, 0, "e2")
    house.hub.advance(BOX, house.streams.extent)
    await house.transport.has("subscribed")

    (reset, subscribed) = house.transport.frames
    assert (reset["reason"], reset["off"], reset["epoch"]) == ("epoch_changed", 3, "e2")
    assert (subscribed["off"], subscribed["epoch"]) == (3, "e2")


async def test_a_store_that_is_away_for_a_while_delays_and_loses_nothing() -> None:
    house = House(3)
    house.streams.is_away = True
    house.connection.follow("1", "inbox:12", FROM_START)
    await house.streams.asked.wait()
    house.commit(4, 4)
    house.streams.is_away = False
    await house.transport.has("subscribed")

    assert house.transport.seen() == [1, 2, 3, 4, "subscribed"]


@virtual_time
async def test_a_value_that_waits_is_sent_soon_however_many_inboxes_cannot_be_read() -> None:
    house = House(3, SocketPace(retry_s=1.0))
    house.streams.is_away = True
    boxes = [Inbox(number) for number in range(100, 150)]
    for box in boxes:
        house.hub.advance(box, Extent(3, 0, "e1"))
    house.connection.follow("1", "inbox:*", dict.fromkeys(boxes, Position(0, "e1")))
    await asyncio.sleep(2.5)
    house.transport.load = 10**6
    house.connection.send_state(("session:7", 7, "session"), frame({"type": "state"}), None)
    house.transport.read_all()
    begin = now()
    await house.transport.has("state")

    assert now() - begin <= 1.0
    house.connection.end()


async def test_two_wishes_for_the_same_topic_are_both_answered() -> None:
    house = House(3)
    house.streams.answer.clear()
    house.connection.follow("1", "inbox:12", FROM_START)
    house.connection.follow("2", "inbox:12", FROM_START)
    house.streams.answer.set()
    await house.transport.has("subscribed", 2)
    house.connection.follow("3", "inbox:12", FROM_START)
    await house.transport.has("subscribed", 3)

    assert [item["ref"] for item in house.transport.frames if item["type"] == "subscribed"] == ["1", "2", "3"]


async def test_a_full_outlet_gets_nothing_and_then_all_of_it() -> None:
    house = House(0)
    house.connection.follow("1", "inbox:12", FROM_START)
    await house.transport.has("subscribed")
    house.transport.load = 10**6
    for off in range(1, 3 * TAIL_EVENTS):
        house.commit(off, off)
    assert house.transport.seen() == ["subscribed"]
    assert house.connection._cursors[BOX].standing is Standing.CATCHING_UP
    house.transport.read_all()
    await house.transport.has("event", 3 * TAIL_EVENTS - 1)

    assert house.transport.seen() == ["subscribed", *range(1, 3 * TAIL_EVENTS)]


async def test_a_full_outlet_keeps_the_newest_of_each_state_and_no_expired_one() -> None:
    house = House(0)
    house.connection.watch("1", "session:7", 7, [])
    house.connection.watch("2", "sessions", None, [])
    house.transport.load = 10**6
    link, own, listed = ("session:7", 7, "link"), ("session:7", 7, "session"), ("sessions", 7, "session")
    for number in range(3):
        for key in (link, own, listed):
            state = frame({"type": "state", "topic": key[0], "part": key[2], "version": number})
            house.connection.send_state(key, state, 1.0 if key == link else None)
    house.transport.read_all()
    await house.transport.has("state", 2)

    states = [item for item in house.transport.frames if item["type"] == "state"]
    assert [(item["topic"], item["part"], item["version"]) for item in states] == [
        ("session:7", "session", 2),
        ("sessions", "session", 2),
    ]


async def test_a_waiting_code_is_thrown_away_when_its_reader_becomes_a_viewer() -> None:
    house = House(0)
    house.connection.watch("1", "session:7", 7, [])
    house.transport.load = 10**6
    for part in ("link", "session"):
        state = frame({"type": "state", "part": part})
        house.connection.send_state(("session:7", 7, part), state, None)
    house.connection.renew(Principal("a", "A", Role.VIEWER, None))
    house.transport.read_all()
    await house.transport.has("state")

    assert [item["part"] for item in house.transport.frames if item["type"] == "state"] == ["session"]


async def test_a_new_subscription_to_a_state_is_not_followed_by_an_older_value() -> None:
    house = House(0)
    house.connection.watch("1", "session:7", 7, [])
    house.transport.load = 10**6
    old = frame({"type": "state", "version": 1})
    house.connection.send_state(("session:7", 7, "session"), old, None)
    house.connection.watch("2", "session:7", 7, [frame({"type": "state", "version": 2})])
    house.transport.read_all()
    house.connection.follow("3", "inbox:12", FROM_START)
    await house.transport.has("subscribed", 3)

    assert "state" not in house.transport.seen()


async def test_a_bug_in_catching_up_ends_this_connection_alone() -> None:
    house = House(3)
    house.streams.read_after = None  # type: ignore[assignment, method-assign]
    house.connection.follow("1", "inbox:12", FROM_START)
    await house.transport.has("close")

    assert house.transport.frames == [{"type": "close", "code": 1011}]


async def test_an_ended_connection_leaves_the_hub() -> None:
    house = House(3)
    house.connection.follow("1", "inbox:*", FROM_START)
    house.connection.watch("2", "sessions", None, [])
    await house.transport.has("subscribed", 2)
    for _ in range(2):
        house.connection.end()

    assert not house.hub.connections
    assert not house.hub.is_followed(BOX)
    assert not house.hub.is_watched("sessions")
    house.commit(4, 4)
    assert 4 not in house.transport.seen()

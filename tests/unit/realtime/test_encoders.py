"""Two dialects over one hub: who shares an encoder shares frames, and what a filter leaves out holds nobody up."""

import asyncio
from collections.abc import Iterable

from gateway.domain.streams import Event, Extent, Inbox, Position, ResetReason, Standing
from gateway.realtime.hub import fanout_scheduler as slices
from gateway.realtime.hub.cursors import Cursor
from gateway.realtime.hub.follower import Follower
from gateway.realtime.hub.hub import Hub
from gateway.realtime.hub.tail import TAIL_EVENTS, Encoder
from gateway.realtime.native.connection import Connection
from gateway.realtime.transport.framing import Frame, frame
from tests.unit.realtime.connection_fakes import ADMIN, BOX, SOON, SocketTransport, Streams, encode, events

FROM_TOP = Position(0, "e1")


class Even:
    """An encoder that leaves odd offsets out, and counts."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, event: Event) -> tuple[Frame, ...]:
        self.made.append(event.off)
        return (frame({"type": "even", "off": event.off}),) if event.off % 2 == 0 else ()


class Broken:
    def __call__(self, event: Event) -> tuple[Frame, ...]:
        raise RuntimeError("a bug")


class Stranger(Follower):
    """A client of another dialect, with one cursor."""

    def __init__(self, hub: Hub, streams: Streams, start: Position, encoder: Encoder) -> None:
        self.out = SocketTransport()
        super().__init__("stranger", self.out, hub, streams, SOON)
        self.cursor: Cursor | None = None
        self.is_announced = False
        self.resets: list[ResetReason] = []
        self.cursor = hub.follow(self, BOX, start, "theirs", None, encoder)

    def all_cursors(self) -> Iterable[Cursor]:
        return [self.cursor] if self.cursor else []

    def _has(self, cursor: Cursor) -> bool:
        return self.cursor in (None, cursor)

    def _beside(self, cursor: Cursor, inbox: int) -> Cursor | None:
        return self.cursor

    def _on_reset(self, cursor: Cursor, reason: ResetReason, position: Position) -> None:
        self.resets.append(reason)
        self.is_announced = False

    def _announce(self) -> None:
        if self.cursor is not None and self.cursor.standing is Standing.LIVE and not self.is_announced:
            self.is_announced = True
            self.reply(frame({"type": "announced"}))

    def send_state(self, key: tuple[str, int, str], frame: Frame, expires_at: float | None) -> None: ...
    def appear(self, inbox: Inbox, start: Position) -> None: ...
    def covers(self, inbox: int) -> bool:
        return True

    def sees_link(self) -> bool:
        return False

    def evens(self) -> list[int]:
        return [item["off"] for item in self.out.frames if item["type"] == "even"]


class House:
    def __init__(self, top: int = 0, slice_s: float = slices.SLICE_S) -> None:
        self.hub = Hub(encode, slice_s=slice_s)
        self.hub.advance(BOX, Extent(top, 0, "e1"))
        self.streams = Streams(top)

    async def stranger(self, encoder: Encoder, start: Position = FROM_TOP) -> Stranger:
        made = Stranger(self.hub, self.streams, start, encoder)
        await made.out.has("announced")
        return made

    async def own(self) -> SocketTransport:
        outlet = SocketTransport()
        connection = Connection("own", ADMIN, outlet, self.hub, self.streams, SOON)
        connection.follow("1", "inbox:12", {BOX: FROM_TOP})
        await outlet.has("subscribed")
        return outlet

    async def commit(self, first: int, last: int) -> None:
        self.streams.extent = Extent(last, 0, "e1")
        await self.publish(first, last)

    async def publish(self, first: int, last: int) -> None:
        """Returns when everybody who is live has been reached: on a busy machine that takes several slices."""
        self.hub.publish(BOX, events(first, last))
        while self.hub._streams[BOX].is_walking:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0)


async def test_whoever_shares_an_encoder_gets_the_same_bytes_made_once() -> None:
    house, encoder = House(), Even()
    first, second = [await house.stranger(encoder) for _ in range(2)]
    other = Even()
    third = await house.stranger(other)
    await house.commit(1, 4)

    assert first.evens() == second.evens() == third.evens() == [2, 4]
    assert encoder.made == other.made == [1, 2, 3, 4]


async def test_each_dialect_gets_its_own_frames_of_the_same_events() -> None:
    house = House()
    own, stranger = await house.own(), await house.stranger(Even())
    await house.commit(1, 3)

    assert own.seen() == ["subscribed", 1, 2, 3]
    assert stranger.evens() == [2]


async def test_what_is_left_out_moves_the_cursor_and_keeps_it_live() -> None:
    house = House()
    stranger = await house.stranger(Even())
    await house.commit(1, 1)
    assert stranger.cursor is not None

    assert (stranger.cursor.off, stranger.cursor.standing) == (1, Standing.LIVE)
    assert [item["type"] for item in stranger.out.frames] == ["announced"]


async def test_a_slow_reader_of_another_dialect_catches_up_from_memory() -> None:
    house, encoder = House(), Even()
    stranger = await house.stranger(encoder)
    stranger.out.load = 10**6
    for off in range(1, 11):
        await house.commit(off, off)
    assert stranger.evens() == []
    stranger.out.read_all()
    await stranger.out.has("even", 5)
    await house.commit(11, 12)

    assert stranger.evens() == [2, 4, 6, 8, 10, 12]
    assert not house.streams.asked.is_set()


async def test_a_slow_reader_of_another_dialect_catches_up_from_the_stream_where_memory_ends() -> None:
    house = House()
    stranger = await house.stranger(Even())
    stranger.out.load = 10**6
    last = 3 * TAIL_EVENTS
    for off in range(1, last + 1):
        await house.commit(off, off)
    stranger.out.read_all()
    await stranger.out.has("even", last // 2)

    assert stranger.evens() == list(range(2, last + 1, 2))
    assert house.streams.asked.is_set()


async def test_an_own_reader_is_served_from_memory_what_was_published_to_strangers_only() -> None:
    house = House()
    await house.stranger(Even())
    await house.commit(1, 5)
    own = await house.own()

    assert own.seen() == [1, 2, 3, 4, 5, "subscribed"]
    assert not house.streams.asked.is_set()


async def test_events_are_kept_beside_their_frames_only_while_strangers_follow() -> None:
    house = House()
    await house.own()
    await house.commit(1, 2)
    stranger = await house.stranger(Even(), Position(2, "e1"))
    await house.commit(3, 4)
    assert stranger.cursor is not None
    house.hub.unfollow(stranger.cursor, "theirs")
    await house.commit(5, 6)

    kept = house.hub._tails._tails[BOX].kept
    assert [(item.off, item.event is not None) for item in kept] == [
        (1, False), (2, False), (3, True), (4, True), (5, False), (6, False),
    ]  # fmt: skip


async def test_a_stranger_further_behind_than_kept_events_reads_the_stream_and_misses_nothing() -> None:
    house = House()
    await house.own()
    await house.commit(1, 4)  # in memory as frames of our own dialect only
    encoder = Even()
    stranger = await house.stranger(encoder)
    await house.commit(5, 6)

    assert stranger.evens() == [2, 4, 6]
    assert house.streams.asked.is_set()


async def test_a_history_begun_anew_is_a_reset_in_every_dialect() -> None:
    house = House()
    own, stranger = await house.own(), await house.stranger(Even())
    house.streams.extent = Extent(1, 1, "e2")
    house.hub.advance(BOX, house.streams.extent)
    await stranger.out.has("announced", 2)
    await own.has("subscribed", 2)
    await house.publish(2, 2)

    assert stranger.resets == ["epoch_changed"]
    assert stranger.evens() == [2]
    assert [item["type"] for item in own.frames] == ["subscribed", "reset", "subscribed", "event"]


async def test_a_page_that_was_read_ahead_of_the_feed_is_not_sent_twice_in_any_dialect() -> None:
    house = House(1)
    house.streams.extent = Extent(3, 0, "e1")  # committed; the feed has not read it yet
    stranger = await house.stranger(Even())
    await house.publish(2, 6)

    assert stranger.evens() == [2, 4, 6]


async def test_a_crowd_of_encodings_is_made_in_slices_and_everybody_gets_their_own() -> None:
    house = House(slice_s=0.0)
    encoders = [Even() for _ in range(20)]
    strangers = [await house.stranger(encoder) for encoder in encoders]
    house.hub.publish(BOX, events(1, 4))
    at_once = sum(bool(encoder.made) for encoder in encoders)
    house.hub.publish(BOX, events(5, 6))  # more comes before everybody has been reached
    for stranger in strangers:
        await stranger.out.has("even", 3)

    assert at_once < len(encoders)
    assert [stranger.evens() for stranger in strangers] == [[2, 4, 6]] * len(strangers)
    assert all(encoder.made == [1, 2, 3, 4, 5, 6] for encoder in encoders)
    assert not house.streams.asked.is_set()


async def test_an_encoding_that_fails_stops_nobody_for_good() -> None:
    house = House()
    broken = await house.stranger(Broken())
    own = await house.own()
    await house.commit(1, 2)
    await house.commit(3, 4)
    await own.has("event", 4)

    assert own.seen() == ["subscribed", 1, 2, 3, 4]
    assert broken.evens() == []

"""A fan-out to many goes in slices, and nobody notices: order, completeness, and who has left."""

import asyncio
import itertools
from collections.abc import Callable

import orjson
import pytest

from gateway.domain.streams import Extent, Inbox, Place, Position, Standing
from gateway.realtime.hub.cursors import Cursor
from gateway.realtime.hub.fanout_scheduler import SLICE_S, STEP, FanoutScheduler
from gateway.realtime.hub.hub import Hub
from gateway.realtime.native import protocol
from gateway.realtime.transport.framing import Burst, Frame
from gateway.services.live.state_values import StateValue
from tests.unit.realtime.connection_fakes import BOX, encode, events

MANY = 4 * STEP


class Client:
    """Takes everything; remembers each write."""

    def __init__(self, hub: Hub, topic: str = "inbox:12") -> None:
        self.writes: list[list[int]] = []
        self.words: list[str] = []
        self.is_full = False
        self.falls = 0
        self.cursor: Cursor = hub.follow(self, BOX, Position(0, "e1"), topic, None)
        assert hub.go_live(self.cursor)
        hub.connections.add(self)

    @property
    def offs(self) -> list[int]:
        return [off for write in self.writes for off in write]

    def send(self, burst: Burst) -> bool:
        if not self.is_full:
            self.writes.append([orjson.loads(frame.text)["off"] for frame in burst.frames])
        return not self.is_full

    def send_state(self, key: tuple[str, int, str], frame: Frame, expires_at: float | None) -> None:
        self.words.append(key[0] if key[0] == "truth" else f"{key[0]}@{orjson.loads(frame.text)['version']}")

    def catch_up(self) -> None:
        self.falls += 1

    def appear(self, inbox: Inbox, start: Position) -> None: ...
    def covers(self, inbox: int) -> bool:
        return True

    def has_been_told(self, cursor: Cursor, place: Place) -> bool:
        return True

    def sees_link(self) -> bool:
        return True


@pytest.fixture
def hub() -> Hub:
    """One whose every look at the clock says that the slice is over."""
    made = Hub(encode)
    made._scheduler = FanoutScheduler(_clock(), at_end=made._coalescer.flush_all)
    made.advance(BOX, Extent(0, 0, "e1"))
    return made


def _clock() -> Callable[[], float]:
    ticks = itertools.count()
    return lambda: next(ticks) * SLICE_S * 2


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def reached(clients: list[Client]) -> int:
    return sum(bool(client.writes) for client in clients)


async def test_between_two_slices_the_loop_has_its_turn(hub: Hub) -> None:
    clients = [Client(hub) for _ in range(MANY)]
    counts = []
    hub.publish(BOX, events(1, 1))
    for _ in range(4):
        counts.append(reached(clients))
        await turns(1)

    assert counts == [STEP, 2 * STEP, 3 * STEP, 4 * STEP]


async def test_a_few_are_reached_at_once_and_without_a_loop(hub: Hub) -> None:
    hub._scheduler = FanoutScheduler()
    clients = [Client(hub) for _ in range(STEP)]
    hub.publish(BOX, events(1, 2))

    assert [client.writes for client in clients] == [[[1, 2]]] * STEP


async def test_who_has_not_been_reached_gets_the_older_and_the_newer_in_one_write(hub: Hub) -> None:
    clients = [Client(hub) for _ in range(MANY)]
    hub.publish(BOX, events(1, 1))
    hub.publish(BOX, events(2, 3))
    await turns()

    assert [client.offs for client in clients] == [[1, 2, 3]] * MANY
    in_one = [client for client in clients if client.writes == [[1, 2, 3]]]
    assert len(in_one) == MANY - STEP


async def test_a_fan_out_that_never_rests_keeps_nothing_but_what_is_on_its_way(hub: Hub) -> None:
    clients = [Client(hub) for _ in range(MANY)]
    sizes = []
    for off in range(1, 60):
        hub.publish(BOX, events(off, off))
        await turns(1)
        sizes.append(max((len(news._frames) for news in hub._streams[BOX].pending.values()), default=0))
    await turns()

    assert [client.offs for client in clients] == [list(range(1, 60))] * MANY
    assert max(sizes) <= 2 * MANY // STEP
    assert not hub._streams[BOX].pending


async def test_who_leaves_meanwhile_gets_nothing_more(hub: Hub) -> None:
    clients = [Client(hub) for _ in range(MANY)]
    hub.publish(BOX, events(1, 1))
    late = [client for client in clients if not client.writes]
    assert hub.unfollow(late[0].cursor, "inbox:12")
    hub.forget(late[1], [late[1].cursor])
    await turns()

    assert not late[0].writes
    assert not late[1].writes
    assert reached(clients) == MANY - 2


async def test_who_comes_meanwhile_gets_what_is_published_later_and_no_more(hub: Hub) -> None:
    clients = [Client(hub) for _ in range(MANY)]
    hub.publish(BOX, events(1, 2))
    late = Client.__new__(Client)
    late.writes, late.words, late.is_full, late.falls = [], [], False, 0
    late.cursor = hub.follow(late, BOX, Position(2, "e1"), "inbox:12", None)
    assert hub.go_live(late.cursor)
    hub.publish(BOX, events(3, 3))
    await turns()

    assert late.writes == [[3]]
    assert [client.offs for client in clients] == [[1, 2, 3]] * MANY


async def test_a_new_history_ends_the_fan_out_of_the_old_one(hub: Hub) -> None:
    clients = [Client(hub) for _ in range(MANY)]
    hub.publish(BOX, events(1, 1))
    hub.advance(BOX, Extent(9, 9, "e2"))
    await turns()

    assert reached(clients) == STEP
    assert all(client.cursor.standing is Standing.CATCHING_UP for client in clients)
    for client in clients:
        client.cursor.start_from(Position(9, "e2"))
        assert hub.go_live(client.cursor)
    hub.publish(BOX, events(10, 10))
    await turns()
    assert all(client.offs[-1] == 10 for client in clients)


async def test_a_history_may_begin_and_go_on_before_the_fan_out_of_the_old_one_has_ended(hub: Hub) -> None:
    clients = [Client(hub) for _ in range(MANY)]
    hub.publish(BOX, events(1, 1))
    hub.advance(BOX, Extent(9, 9, "e2"))
    for client in clients:
        client.cursor.start_from(Position(9, "e2"))
        assert hub.go_live(client.cursor)
    hub.publish(BOX, events(10, 10))
    await turns()

    assert [client.offs for client in clients if client.offs != [1, 10]] == [[10]] * (MANY - STEP)


async def test_whoever_was_passed_over_falls_back_instead_of_missing_something(hub: Hub) -> None:
    left_behind, other = Client(hub), Client(hub)
    hub.publish(BOX, events(1, 3))
    await turns()
    left_behind.cursor.off = 1
    hub.publish(BOX, events(4, 4))
    await turns()

    assert left_behind.cursor.standing is Standing.CATCHING_UP
    assert other.offs == [1, 2, 3, 4]


async def test_a_full_client_falls_back_and_holds_up_nobody(hub: Hub) -> None:
    clients = [Client(hub) for _ in range(MANY)]
    clients[STEP + 1].is_full = True
    hub.publish(BOX, events(1, 1))
    await turns()

    assert reached(clients) == MANY - 1
    assert clients[STEP + 1].cursor.standing is Standing.CATCHING_UP


async def test_a_word_to_all_comes_after_what_was_published_before_it(hub: Hub) -> None:
    clients = [Client(hub) for _ in range(MANY)]
    hub.publish(BOX, events(1, 1))
    hub.broadcast("truth", Frame(b"{}"))
    while not any(client.words for client in clients):
        await turns(1)

    assert reached(clients) == MANY
    await turns()
    assert all(client.words == ["truth"] for client in clients)


async def test_values_of_a_state_keep_their_order_and_spare_who_has_left(hub: Hub) -> None:
    clients = [Client(hub) for _ in range(MANY)]
    for client in clients:
        hub.watch_state(client, "sessions", protocol.state_frame)
    for version in (1, 2):
        hub.publish_state(StateValue(12, "session", version, "session.status", "", {}))
    gone = next(client for client in clients if not client.words)
    hub.unwatch_state(gone, "sessions")
    await turns(40)

    assert not gone.words
    assert all(client.words == ["sessions@1", "sessions@2"] for client in clients if client is not gone)


async def test_a_state_is_put_once_for_all_who_brought_the_same_encoder(hub: Hub) -> None:
    made: list[str] = []

    def encoder(name: str) -> Callable[[str, StateValue], Frame]:
        def encode_state(topic: str, value: StateValue) -> Frame:
            made.append(name)
            return Frame(orjson.dumps({"version": f"{name} {value.version}"}))

        return encode_state

    one, other = encoder("one"), encoder("other")
    clients = [Client(hub) for _ in range(3)]
    for client, encode_state in zip(clients, (one, one, other), strict=True):
        hub.watch_state(client, "sessions", encode_state)
    hub.publish_state(StateValue(12, "session", 1, "session.status", "", {}))
    await turns()
    hub.unwatch_state(clients[2], "sessions")
    hub.publish_state(StateValue(12, "session", 2, "session.status", "", {}))
    await turns()

    assert made == ["one", "other", "one"]
    assert [client.words for client in clients] == [
        ["sessions@one 1", "sessions@one 2"], ["sessions@one 1", "sessions@one 2"], ["sessions@other 1"],
    ]  # fmt: skip


async def test_a_walk_that_breaks_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    slices = FanoutScheduler()
    done: list[int] = []

    def broken() -> object:
        yield None
        raise RuntimeError("a bug")

    def fine() -> object:
        yield None
        done.append(1)

    slices.start(broken())  # type: ignore[arg-type]
    slices.start(fine())  # type: ignore[arg-type]

    assert done == [1]
    assert "hub.fanout_failed" in caplog.text

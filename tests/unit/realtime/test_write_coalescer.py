"""Several inboxes move at once: whoever follows more than one of them gets one write."""

import asyncio

import orjson
import pytest

from gateway.domain.streams import Event, Extent, Inbox, Place, Position, Standing
from gateway.realtime.hub.cursors import Cursor
from gateway.realtime.hub.hub import Hub
from gateway.realtime.transport.framing import Burst, Frame, frame

BOXES = [Inbox(number) for number in (1, 2, 3)]
WHOLE_S = 60.0
"""A slice that holds any fan-out, also on a machine that stands still in between."""


def encode(event: Event) -> tuple[Frame]:
    return (frame({"at": [event.inbox, event.off]}),)


def event(inbox: Inbox, off: int) -> Event:
    return Event(inbox, off, "t", "INSERT", "", {}, {})


class Client:
    """Remembers each write; `is_full` refuses the next ones."""

    def __init__(self, hub: Hub, boxes: list[Inbox]) -> None:
        self.writes: list[list[list[int]]] = []
        self.wires: list[bytes] = []
        self.words: list[int] = []
        self.is_full = False
        self.cursors: list[Cursor] = [
            hub.follow(self, box, Position(0, "e"), "inbox:*", None) for box in boxes
        ]
        assert all(map(hub.go_live, self.cursors))
        hub.connections.add(self)

    def send(self, burst: Burst) -> bool:
        if not self.is_full:
            self.writes.append([orjson.loads(each.text)["at"] for each in burst.frames])
            self.wires.append(burst.wire)
        return not self.is_full

    def send_state(self, key: tuple[str, int, str], frame: Frame, expires_at: float | None) -> None:
        self.words.append(len(self.writes))

    def catch_up(self) -> None: ...
    def appear(self, inbox: Inbox, start: Position) -> None: ...
    def covers(self, inbox: int) -> bool:
        return True

    def has_been_told(self, cursor: Cursor, place: Place) -> bool:
        return True

    def sees_link(self) -> bool:
        return True


@pytest.fixture
def hub() -> Hub:
    return hub_with_boxes()


def hub_with_boxes(slice_s: float = WHOLE_S) -> Hub:
    made = Hub(encode, slice_s=slice_s)
    for box in BOXES:
        made.advance(box, Extent(0, 0, "e"))
    return made


def move(hub: Hub, *offs: int) -> None:
    with hub.together():
        for box, off in zip(BOXES, offs, strict=False):
            hub.publish(box, [event(box, off)])


async def test_who_follows_all_gets_all_in_one_write_joined_once(hub: Hub) -> None:
    first, second = Client(hub, BOXES), Client(hub, BOXES)
    move(hub, 1, 1, 1)

    assert first.writes == second.writes == [[[1, 1], [2, 1], [3, 1]]]
    assert first.wires[0] is second.wires[0]
    assert [cursor.off for cursor in first.cursors] == [1, 1, 1]


async def test_each_gets_only_what_it_follows(hub: Hub) -> None:
    some, one, none = Client(hub, BOXES[1:]), Client(hub, BOXES[:1]), Client(hub, [])
    move(hub, 1, 1, 1)
    move(hub, 2)

    assert some.writes == [[[2, 1], [3, 1]]]
    assert one.writes == [[[1, 1]], [[1, 2]]]
    assert none.writes == []


async def test_a_full_client_keeps_its_place_in_all_of_them(hub: Hub) -> None:
    full, other = Client(hub, BOXES), Client(hub, BOXES)
    full.is_full = True
    move(hub, 1, 1, 1)

    assert [(cursor.off, cursor.standing) for cursor in full.cursors] == [(0, Standing.CATCHING_UP)] * 3
    assert len(other.writes) == 1


async def test_a_word_to_all_is_not_faster_than_what_was_gathered(hub: Hub) -> None:
    client = Client(hub, BOXES)
    with hub.together():
        move(hub, 1, 1, 1)
        hub.broadcast("truth", Frame(b"{}"))

    assert client.words == [1]
    assert client.writes == [[[1, 1], [2, 1], [3, 1]]]


async def test_many_clients_and_inboxes_lose_nothing_over_slices() -> None:
    hub = hub_with_boxes(slice_s=0.0)
    clients = [Client(hub, BOXES) for _ in range(100)]
    for off in range(1, 6):
        move(hub, off, off, off)
        await asyncio.sleep(0)
    for _ in range(200):
        await asyncio.sleep(0)

    for client in clients:
        seen = [at for write in client.writes for at in write]
        for box in BOXES:
            assert [off for inbox, off in seen if inbox == box] == [1, 2, 3, 4, 5]

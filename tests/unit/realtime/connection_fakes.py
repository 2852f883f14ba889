"""A connection between a real hub, an outlet that can be full, and streams whose answers can be held back."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.domain.access import Principal, Role
from gateway.domain.errors import StoreUnavailable
from gateway.domain.streams import Event, Extent, Inbox, Position, Snapshot
from gateway.realtime.hub.hub import Hub
from gateway.realtime.native.connection import Connection
from gateway.realtime.pace import SocketPace
from gateway.realtime.transport.framing import Burst, Frame, frame
from gateway.realtime.transport.socket_transport import MAX_BURST_BYTES, WRITE_LIMIT_BYTES

BOX = Inbox(12)


class SocketTransport:
    """Takes everything; `load` is what it says is still on its way."""

    hears_pongs = True

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.load = 0
        self.heard_at = 0.0
        self.wrote = asyncio.Event()
        self.empty = asyncio.Event()

    def heard(self) -> None: ...
    def release_handshake(self) -> None: ...
    def buffered(self) -> int:
        return self.load

    def write(self, burst: Burst) -> None:
        self.frames.extend(orjson.loads(item.text) for item in burst.frames)
        self.wrote.set()

    def try_write(self, burst: Burst) -> bool:
        if self.load > WRITE_LIMIT_BYTES or len(burst) > MAX_BURST_BYTES:
            return False
        self.write(burst)
        return True

    def ping(self) -> None: ...
    async def drained(self) -> None:
        await self.empty.wait()

    def close(self, code: int, reason: str) -> None:
        self.frames.append({"type": "close", "code": code})
        self.wrote.set()

    def is_gone(self) -> bool:
        return any(item["type"] == "close" for item in self.frames)

    def abort(self) -> None: ...
    def release(self) -> None: ...

    def read_all(self) -> None:
        self.load = 0
        self.empty.set()

    async def has(self, kind: str, count: int = 1) -> None:
        async with asyncio.timeout(5):
            while len([item for item in self.frames if item["type"] == kind]) < count:
                self.wrote.clear()
                await self.wrote.wait()

    def seen(self) -> list[Any]:
        """Offsets of events; kinds of everything else."""
        return [item["off"] if item["type"] == "event" else item["type"] for item in self.frames]


class Streams:
    """A stream whose answers can be held back."""

    def __init__(self, top: int) -> None:
        self.extent = Extent(top, 0, "e1")
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.answer.set()
        self.is_away = False

    async def extents(self, inboxes: Sequence[int] | None = None) -> dict[int, Extent]:
        return {BOX: self.extent}

    async def moved_since(self, snapshot: Snapshot) -> dict[int, Position] | None:
        raise AssertionError("nobody asks for a snapshot here")

    async def ensure(self, inbox: int) -> Extent:
        return self.extent

    async def read_after(
        self, offsets: Mapping[int, int], limit: int, max_bytes: int | None = None
    ) -> list[Event]:
        self.asked.set()
        await self.answer.wait()
        if self.is_away:
            raise StoreUnavailable("away")
        first = max(offsets[BOX], self.extent.floor) + 1
        return events(first, min(first + limit - 1, self.extent.top))


def events(first: int, last: int) -> list[Event]:
    return [Event(BOX, off, "t", "INSERT", "", {}, {}) for off in range(first, last + 1)]


def encode(event: Event) -> tuple[Frame]:
    return (frame({"type": "event", "off": event.off}),)


ADMIN = Principal("a", "A", Role.ADMIN, None)
SOON = SocketPace(retry_s=0.001)
FROM_START = {BOX: Position(0, "e1")}


class House:
    def __init__(self, top: int, pace: SocketPace = SOON) -> None:
        self.hub = Hub(encode)
        self.hub.advance(BOX, Extent(top, 0, "e1"))
        self.streams = Streams(top)
        self.transport = SocketTransport()
        self.connection = Connection("c", ADMIN, self.transport, self.hub, self.streams, pace)
        self.hub.connections.add(self.connection)

    def commit(self, first: int, last: int) -> None:
        """These events are stored and published."""
        self.streams.extent = Extent(last, self.streams.extent.floor, self.streams.extent.epoch)
        self.hub.publish(BOX, events(first, last))

    def begin_anew(self) -> None:
        """The store has a new history; the hub has not heard of it."""
        top = self.streams.extent.top + 1
        self.streams.extent = Extent(top, top, "e2")

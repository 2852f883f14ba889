"""A gateway's core in memory, a client that believes nothing, and the whole truth: for trying any order of events.

Real are the feed, the hub, the connection and the endpoint's rules of where to begin; the streams are lists that can
be written, pruned, begun anew, brought back from a backup, or away.
"""

import asyncio
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from gateway.domain.access import Principal, Role
from gateway.domain.errors import StoreUnavailable
from gateway.domain.streams import Event, Extent, Inbox, Position, Snapshot
from gateway.realtime.context import EndpointContext
from gateway.realtime.hub.hub import Hub
from gateway.realtime.native.connection import Connection
from gateway.realtime.native.endpoint import Realtime
from gateway.realtime.pace import SocketPace
from gateway.realtime.transport.framing import Burst, Frame, frame
from gateway.realtime.transport.socket_transport import WRITE_LIMIT_BYTES, SocketTransport
from gateway.services.live.feed import Feed
from gateway.services.presence.presence import Presence
from gateway.services.signals import Signal, Signals

ADMIN = Principal("a", "A", Role.ADMIN, None)
MOST_BYTES = 256 * 1024
_contents = itertools.count(1)


@dataclass
class Stream:
    epoch: str
    floor: int = 0
    events: dict[int, int] = field(default_factory=dict)
    """Offset → what happened there, a number that is given out once."""
    top: int = 0


class Streams:
    """What Postgres holds, and every history there has ever been."""

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}
        self.staleness: dict[tuple[int, str], dict[int, int]] = {}
        self.is_away = False

    def write(self, inbox: int, count: int) -> None:
        stream = self.streams.setdefault(inbox, Stream(f"{inbox}:0"))
        history = self.staleness.setdefault((inbox, stream.epoch), {})
        for _ in range(count):
            stream.top += 1
            stream.events[stream.top] = history[stream.top] = next(_contents)

    def flood(self, inbox: int) -> None:
        stream = self.streams[inbox]
        stream.top += 1
        stream.floor = stream.top
        stream.epoch += "+"
        stream.events.clear()
        self.staleness[inbox, stream.epoch] = {}

    def prune(self, inbox: int, share: float) -> None:
        stream = self.streams[inbox]
        stream.floor += int((stream.top - stream.floor) * share)
        stream.events = {off: what for off, what in stream.events.items() if off > stream.floor}

    def go_back(self, count: int) -> None:
        """An older backup; it is noticed by whichever stream is shorter than somebody knows it."""
        for stream in self.streams.values():
            stream.top = max(stream.floor, stream.top - count)
            stream.events = {off: what for off, what in stream.events.items() if off <= stream.top}

    # ------------------------------------------------------------------------------------------ as the feed asks

    def _extent(self, inbox: int) -> Extent:
        stream = self.streams[inbox]
        return Extent(stream.top, stream.floor, stream.epoch)

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailable("away")

    async def extents(self, inboxes: Sequence[int] | None = None) -> dict[int, Extent]:
        await self._answer()
        return {inbox: self._extent(inbox) for inbox in self.streams if inboxes is None or inbox in inboxes}

    async def moved_since(self, snapshot: Snapshot) -> dict[int, Position] | None:
        raise AssertionError("nobody asks for a snapshot here")

    async def ensure(self, inbox: int) -> Extent:
        await self._answer()
        self.write(inbox, 0)
        return self._extent(inbox)

    async def read_after(
        self, offsets: Mapping[int, int], limit: int, max_bytes: int | None = None
    ) -> list[Event]:
        await self._answer()
        return [
            Event(Inbox(inbox), number, "t", "INSERT", "", {"what": self.streams[inbox].events[number]}, {})
            for inbox, off in sorted(offsets.items())
            for number in sorted(number for number in self.streams[inbox].events if number > off)[:limit]
        ]

    async def read_unread(
        self, offsets: Mapping[int, int | None], limit: int, max_bytes: int
    ) -> tuple[dict[int, Extent], list[Event]]:
        extents = await self.extents(list(offsets))
        wanted = {inbox: off for inbox, off in offsets.items() if off is not None and inbox in extents}
        return extents, await self.read_after(wanted, limit)

    async def check_history(self) -> bool:
        return False

    async def begin_anew(self, inbox: int, epoch: str) -> bool:
        await self._answer()
        if self.streams[inbox].epoch != epoch:
            return False
        for number, stream in self.streams.items():
            stream.epoch += "'"
            self.staleness[number, stream.epoch] = dict(stream.events)
        return True


class Pipe:
    """An outlet whose client may stop reading."""

    hears_pongs = True
    heard_at = 0.0

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.load = 0
        self.most = 0
        self.is_stalled = False
        self._read = asyncio.Event()

    def buffered(self) -> int:
        return self.load

    def write(self, burst: Burst) -> None:
        self.frames.extend(orjson.loads(item.text) for item in burst.frames)
        self.load += len(burst)
        self.most = max(self.most, self.load)
        if not self.is_stalled:
            self.read()

    def try_write(self, burst: Burst) -> bool:
        if self.load > WRITE_LIMIT_BYTES:
            return False
        self.write(burst)
        return True

    def read(self) -> None:
        self.load = 0
        self._read.set()

    async def drained(self) -> None:
        self._read.clear()
        await self._read.wait()

    def heard(self) -> None: ...
    def ping(self) -> None: ...
    def close(self, code: int, reason: str) -> None:
        raise AssertionError(f"closed with {code}: {reason}")

    def abort(self) -> None: ...
    def is_gone(self) -> bool:
        return False

    def release(self) -> None: ...


class Marking(Connection):
    """Puts a mark between the frames where a subscription begins, so that the client knows what belongs to which."""

    def follow(
        self,
        ref: str | None,
        name: str,
        starts: dict[Inbox, Position],
        named: Collection[int] | None = None,
        on_answered: Callable[[], None] = lambda: None,
        *,
        has_rest: bool = False,
    ) -> None:
        begun = {str(inbox): [start.off, start.epoch] for inbox, start in starts.items()}
        cast(Pipe, self.transport).frames.append({"type": "mark", "topic": name, "starts": begun})
        super().follow(ref, name, starts, named, on_answered, has_rest=has_rest)


PADDING = "x" * 300


def encode(event: Event) -> tuple[Frame]:
    what = (event.record or {})["what"]
    topic = f"inbox:{event.inbox}"
    return (frame({"type": "event", "topic": topic, "off": event.off, "what": what, "padding": PADDING}),)


AT_ONCE = SocketPace(retry_s=0)


class Nobody:
    """States that know no session, a staleness that is none, connections without rates."""

    stale_since = None
    rates = None

    def session(self, session_id: int) -> None:
        return None


class Core:
    def __init__(self) -> None:
        self.streams = Streams()
        self.streams.write(0, 0)
        followed: Signal[[int | None]] = Signal()
        self.hub = Hub(encode, on_followed=followed)
        self.feed = Feed(self.streams, self.hub)
        followed.connect(self.feed.attend)
        nobody = cast(Any, Nobody())
        context = EndpointContext(
            hub=self.hub,
            feed=self.feed,
            streams=self.streams,
            staleness=nobody,
            connections=nobody,
            presence=Presence(nobody, "g", has_pages=lambda: False, on_change=Signals().presence_changed),
            origins=nobody,
        )
        self._endpoint = Realtime(
            context,
            states=nobody,
            values=nobody,
            login=nobody,
            cookie=nobody,
            max_topics=2000,
        )
        self.connection, self.pipe = self._connect()

    def _connect(self) -> tuple[Connection, Pipe]:
        pipe = Pipe()
        connection = Marking("c", ADMIN, cast(SocketTransport, pipe), self.hub, self.streams, AT_ONCE)
        self.hub.connections.add(connection)
        return connection, pipe

    def reconnect(self) -> None:
        self.connection.end()
        self.connection, self.pipe = self._connect()

    async def ask(self, **wish: Any) -> None:
        await self._endpoint._hear(self.connection, orjson.dumps(wish).decode())

    async def turn(self) -> None:
        """The pump's next turn, as after a bell or a tick; a store that is away is tried again later."""
        try:
            await self.feed._read(self.feed._overdue())
        except StoreUnavailable:
            pass
        await quiet()


async def quiet() -> None:
    """Lets everything run that can."""
    for _ in range(40):
        await asyncio.sleep(0)


class Client:
    """Follows what it is told, and complains about anything that contract §3 does not allow."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.at: dict[str, tuple[int, str]] = {}
        self.announced: set[str] = set()

    def take(self, frames: list[dict[str, Any]]) -> None:
        for item in frames:
            getattr(self, f"_on_{item['type']}")(item)
        frames.clear()

    def _on_mark(self, item: dict[str, Any]) -> None:
        self.announced.discard(item["topic"])
        for inbox, (off, epoch) in item["starts"].items():
            self.at[inbox] = (off, epoch)

    def _on_event(self, item: dict[str, Any]) -> None:
        inbox = item["topic"].removeprefix("inbox:")
        if inbox not in self.at:  # it has appeared meanwhile, and begins with what is kept of it
            stream = self._streams.streams[int(inbox)]
            assert item["off"] <= stream.floor + 1, f"{inbox} does not begin at its beginning"
            self.at[inbox] = (item["off"] - 1, stream.epoch)
        off, epoch = self.at[inbox]
        assert item["off"] == off + 1, f"gap or double in {inbox}: {off} → {item['off']}"
        assert self._streams.staleness[int(inbox), epoch].get(item["off"]) == item["what"], (
            "of another history"
        )
        self.at[inbox] = (item["off"], epoch)

    def _on_reset(self, item: dict[str, Any]) -> None:
        inbox = item["topic"].removeprefix("inbox:")
        assert (int(inbox), item["epoch"]) in self._streams.staleness
        self.at[inbox] = (item["off"], item["epoch"])

    def _on_subscribed(self, item: dict[str, Any]) -> None:
        own = item["topic"].removeprefix("inbox:")
        tops = item.get("tops", {own: {"off": item.get("off"), "epoch": item.get("epoch")}})
        for inbox, top in tops.items():
            here = self.at.setdefault(inbox, (top["off"], top["epoch"]))
            assert here == (top["off"], top["epoch"]), f"announced before it was sent: {inbox}"
        self.announced.add(item["topic"])

    def _on_heartbeat(self, item: dict[str, Any]) -> None:
        for topic, off in item["tops"].items():
            assert self.at[topic.removeprefix("inbox:")][0] >= off, f"a beat is ahead of {topic}"

    def _on_unsubscribed(self, item: dict[str, Any]) -> None:
        self.announced.discard(item["topic"])

    def _on_error(self, item: dict[str, Any]) -> None:
        assert item["code"] == "unavailable", item

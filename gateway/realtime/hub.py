"""Topics → subscriptions, in process: who gets an event, and how far each has come.

The hub never waits. Events reach it in the order of their inbox from the feed; it writes them to every cursor
that is LIVE and leaves the others to their connection's catch-up, which reads the same frames from the tail or
the stream. A cursor turns LIVE only in a step without `await`, so nothing falls between the two ways.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from gateway.domain.stream import Event, Extent, Inbox, Position, Standing
from gateway.realtime import protocol
from gateway.realtime.framing import Burst, Frame
from gateway.services.states import StateValue

TAIL_EVENTS = 256
TAIL_BYTES = 32 * 1024 * 1024


class Listener(Protocol):
    """What the hub asks of a connection."""

    def send(self, burst: Burst) -> bool:
        """Writes, or says False: over its write limit (the cursor then falls back to CATCHING_UP)."""

    def send_state(self, key: tuple[str, int, str], frame: Frame, expires_at: float | None) -> None: ...
    def catch_up(self) -> None:
        """Some cursor of this connection is CATCHING_UP now."""

    def appear(self, inbox: Inbox, start: Position) -> None:
        """An inbox came into being after this connection subscribed to `inbox:*`."""

    def covers(self, inbox: int) -> bool: ...
    def sees_link(self) -> bool: ...


class Cursor:
    """How far one connection has come in one inbox. An inbox covered by two topics has one cursor."""

    __slots__ = ("connection", "epoch", "inbox", "off", "since", "standing", "topics")

    def __init__(self, connection: Listener, inbox: Inbox, start: Position) -> None:
        self.connection = connection
        self.inbox = inbox
        self.standing = Standing.CATCHING_UP
        self.topics: set[str] = set()
        self.start_from(start)

    def start_from(self, start: Position) -> None:
        """Everything after `since` up to `off` has been sent."""
        self.since = self.off = start.off
        self.epoch = start.epoch


class _Stream:
    """What the hub knows of an inbox: what has been published, the newest frames, and who follows."""

    __slots__ = ("cursors", "epoch", "off", "tail", "tail_bytes")

    def __init__(self, off: int, epoch: str) -> None:
        self.off = off
        self.epoch = epoch
        self.cursors: set[Cursor] = set()
        self.tail: deque[tuple[int, Frame]] = deque()
        self.tail_bytes = 0


class Hub:
    def __init__(self, encode: Callable[[Event], Frame]) -> None:
        self.encode = encode
        self._streams: dict[int, _Stream] = {}
        self._wild: set[Listener] = set()
        self._states: dict[str, set[Listener]] = {}
        self._tail_bytes = 0
        self.connections: set[Listener] = set()

    # ------------------------------------------------------------------------------------------ streams

    def position(self, inbox: int) -> Position | None:
        """Everything up to here has been published; None for an inbox the feed has not seen yet."""
        stream = self._streams.get(inbox)
        return Position(stream.off, stream.epoch) if stream else None

    def positions(self) -> dict[int, Position]:
        return {inbox: Position(stream.off, stream.epoch) for inbox, stream in self._streams.items()}

    def is_followed(self, inbox: int) -> bool:
        """Whether publishing this inbox's events would reach anybody here."""
        stream = self._streams.get(inbox)
        return bool(stream and stream.cursors) or any(wild.covers(inbox) for wild in self._wild)

    def publish(self, inbox: Inbox, events: Sequence[Event]) -> None:
        """Events right after the published position, in order, to everybody who is LIVE."""
        stream = self._streams[inbox]
        ready = [(event.off, self.encode(event)) for event in events]
        self._keep(stream, ready)
        stream.off = ready[-1][0]
        whole = Burst([frame for _, frame in ready])
        first = ready[0][0]
        # A connection that fails may leave the set while we walk over it.
        for cursor in tuple(stream.cursors):
            if cursor.standing is not Standing.LIVE or cursor.off >= stream.off:
                continue
            burst = whole
            if cursor.off >= first:  # read ahead of the feed: it has seen a part of these already
                burst = Burst([frame for off, frame in ready if off > cursor.off])
            if cursor.connection.send(burst):
                cursor.off = stream.off
            else:
                self._fall_back(cursor)

    def advance(self, inbox: Inbox, extent: Extent) -> None:
        """Takes note of an inbox's top without frames: it is new, nobody here follows it, or its epoch is new."""
        stream = self._streams.get(inbox)
        if stream is None:
            self._streams[inbox] = _Stream(extent.top, extent.epoch)
            for connection in tuple(self._wild):
                if connection.covers(inbox):
                    # Created after the subscription: its history from the beginning is news to this client.
                    connection.appear(inbox, Position(extent.floor, extent.epoch))
            return
        stream.off, stream.epoch = extent.top, extent.epoch
        self._drop_tail(stream)
        for cursor in stream.cursors:
            if cursor.epoch != extent.epoch or cursor.off < extent.top:
                self._fall_back(cursor)

    def follow(
        self, connection: Listener, inbox: Inbox, start: Position, topic: str, cursor: Cursor | None
    ) -> Cursor:
        """A cursor from `start`; it is CATCHING_UP until the connection has caught it up.

        `cursor` is the one this connection has on the inbox already. It is moved only if this topic alone asked
        for it, or if it has not been sent what comes right after `start`: covered twice is sent once.
        """
        if cursor is None:
            cursor = Cursor(connection, inbox, start)
            self._streams[inbox].cursors.add(cursor)
        elif cursor.topics == {topic} or (start.epoch == cursor.epoch and start.off < cursor.since):
            cursor.start_from(start)
        cursor.topics.add(topic)
        self._fall_back(cursor)
        return cursor

    def unfollow(self, cursor: Cursor, topic: str) -> bool:
        """Takes one topic off a cursor; True when that was the last and the cursor is gone."""
        cursor.topics.discard(topic)
        if cursor.topics:
            return False
        self._streams[cursor.inbox].cursors.discard(cursor)
        return True

    def go_live(self, cursor: Cursor) -> bool:
        """LIVE if the cursor has reached what is published; False if there is more to read."""
        stream = self._streams[cursor.inbox]
        if cursor.epoch != stream.epoch or cursor.off < stream.off:
            return False
        cursor.standing = Standing.LIVE
        return True

    def from_tail(self, inbox: Inbox, after: int, max_bytes: int) -> list[tuple[int, Frame]] | None:
        """The published frames right after `after`, at least one; None if the tail does not reach back so far."""
        tail = self._streams[inbox].tail
        if not tail or tail[0][0] > after + 1:
            return None
        page: list[tuple[int, Frame]] = []
        size = 0
        for off, ready in tail:
            if off > after:
                page.append((off, ready))
                size += len(ready)
                if size >= max_bytes:
                    break
        return page or None

    def _fall_back(self, cursor: Cursor) -> None:
        cursor.standing = Standing.CATCHING_UP
        cursor.connection.catch_up()

    def _keep(self, stream: _Stream, events: Sequence[tuple[int, Frame]]) -> None:
        if stream.tail and events[0][0] != stream.tail[-1][0] + 1:
            self._drop_tail(stream)
        for off, ready in events:
            stream.tail.append((off, ready))
            self._count(stream, len(ready))
        while len(stream.tail) > TAIL_EVENTS:
            self._count(stream, -len(stream.tail.popleft()[1]))
        if self._tail_bytes > TAIL_BYTES:
            self._drop_tail(max(self._streams.values(), key=lambda item: item.tail_bytes))

    def _drop_tail(self, stream: _Stream) -> None:
        stream.tail.clear()
        self._count(stream, -stream.tail_bytes)

    def _count(self, stream: _Stream, change: int) -> None:
        stream.tail_bytes += change
        self._tail_bytes += change

    # ------------------------------------------------------------------------------------------ wildcards

    def watch_all(self, connection: Listener) -> None:
        """`inbox:*`: also inboxes that appear later."""
        self._wild.add(connection)

    def unwatch_all(self, connection: Listener) -> None:
        self._wild.discard(connection)

    # ------------------------------------------------------------------------------------------ states

    def watch_state(self, connection: Listener, topic: str) -> None:
        self._states.setdefault(topic, set()).add(connection)

    def unwatch_state(self, connection: Listener, topic: str) -> None:
        watchers = self._states.get(topic)
        if watchers:
            watchers.discard(connection)
            if not watchers:
                del self._states[topic]

    def is_watched(self, topic: str) -> bool:
        return topic in self._states

    def publish_state(self, value: StateValue) -> None:
        """A newer value of one part of a state, to everybody who watches and may see it."""
        topics = [f"session:{value.session_id}"]
        if value.part == "session":
            topics.append("sessions")
        for topic in topics:
            watchers = self._states.get(topic)
            if not watchers:
                continue
            ready = protocol.state_frame(topic, value)
            for connection in tuple(watchers):
                if connection.covers(value.session_id) and (value.part != "link" or connection.sees_link()):
                    connection.send_state((topic, value.session_id, value.part), ready, value.expires_at)

    # ------------------------------------------------------------------------------------------ everybody

    def broadcast(self, kind: str, ready: Frame) -> None:
        """A word to all; whoever cannot take it now gets the newest of its kind later."""
        for connection in tuple(self.connections):
            connection.send_state((kind, 0, ""), ready, None)

    def forget(self, connection: Listener, cursors: Iterable[Cursor], topics: Iterable[str]) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        self._wild.discard(connection)
        for topic in topics:
            self.unwatch_state(connection, topic)
        for cursor in cursors:
            self._streams[cursor.inbox].cursors.discard(cursor)

"""Topics → subscriptions, in process: who gets an event, and how far each has come.

The hub never waits. Events reach it in the order of their inbox from the feed; it writes them to every cursor
that is LIVE and leaves the others to their connection's catch-up, which reads the same events from the tail or
the stream. A cursor turns LIVE only in a step without `await`, so nothing falls between the two ways.

Dialects differ in one thing only: what they make of an event. Each cursor has an encoder; cursors that share one
get the same frames, made once. An encoder may make no frame of an event (a filter leaves it out): the cursor goes
on all the same.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from gateway.domain.stream import Event, Extent, Inbox, Position, Standing
from gateway.realtime import protocol
from gateway.realtime.framing import Burst, Frame
from gateway.realtime.tail import Encoder, Frames, Page, Tails
from gateway.services.states import StateValue


class Listener(Protocol):
    """What the hub asks of whoever follows streams."""

    def send(self, burst: Burst) -> bool:
        """Writes, or says False: over its write limit (the cursor then falls back to CATCHING_UP)."""

    def catch_up(self) -> None:
        """Some cursor of this connection is CATCHING_UP now."""

    def appear(self, inbox: Inbox, start: Position) -> None:
        """An inbox came into being after this connection said that it wants to know of new ones."""

    def covers(self, inbox: int) -> bool: ...


class Watcher(Listener, Protocol):
    """What it asks of whoever watches states, too."""

    def send_state(self, key: tuple[str, int, str], frame: Frame, expires_at: float | None) -> None: ...
    def sees_link(self) -> bool: ...


class Cursor:
    """How far one connection has come in one inbox. An inbox covered by two topics of ours has one cursor."""

    __slots__ = ("connection", "encode", "epoch", "inbox", "off", "since", "standing", "topics")

    def __init__(self, connection: Listener, inbox: Inbox, start: Position, encode: Encoder) -> None:
        self.connection = connection
        self.encode = encode
        self.inbox = inbox
        self.standing = Standing.CATCHING_UP
        self.topics: set[str] = set()
        self.start_from(start)

    def start_from(self, start: Position) -> None:
        """Everything after `since` up to `off` has been sent."""
        self.since = self.off = start.off
        self.epoch = start.epoch


class _Stream:
    """What the hub knows of an inbox: what has been published, and who follows, in which encoding."""

    __slots__ = ("cursors", "epoch", "off")

    def __init__(self, off: int, epoch: str) -> None:
        self.off = off
        self.epoch = epoch
        self.cursors: dict[Encoder, set[Cursor]] = {}

    def add(self, cursor: Cursor) -> None:
        self.cursors.setdefault(cursor.encode, set()).add(cursor)

    def discard(self, cursor: Cursor) -> None:
        same = self.cursors.get(cursor.encode)
        if same is not None:
            same.discard(cursor)
            if not same:
                del self.cursors[cursor.encode]

    def all_cursors(self) -> list[Cursor]:
        return [cursor for same in self.cursors.values() for cursor in same]


class Hub:
    def __init__(self, encode: Encoder) -> None:
        """`encode` is our own dialect's; its frames are kept ready in the tail."""
        self._encode = encode
        self._streams: dict[int, _Stream] = {}
        self._wild: set[Listener] = set()
        self._states: dict[str, set[Watcher]] = {}
        self._tails = Tails(encode)
        self.connections: set[Watcher] = set()

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
        stream.off = events[-1].off
        own: list[Frames] | None = None
        # A connection that fails may leave while we walk over it.
        for encode, cursors in tuple(stream.cursors.items()):
            frames = [encode(event) for event in events]
            if encode is self._encode:
                own = frames
            self._deliver(stream, tuple(cursors), events, frames)
        self._tails.keep(inbox, events, own, with_events=len(stream.cursors) > 1)

    def _deliver(
        self,
        stream: _Stream,
        cursors: Sequence[Cursor],
        events: Sequence[Event],
        frames: list[Frames],
    ) -> None:
        first, last = events[0].off, events[-1].off
        whole = burst_of(frames)
        for cursor in cursors:
            if cursor.standing is not Standing.LIVE or cursor.off >= last:
                continue
            burst = whole
            if cursor.off >= first:  # read ahead of the feed: it has seen a part of these already
                burst = burst_of(frames[cursor.off - first + 1 :])
            if burst is None or cursor.connection.send(burst):
                cursor.off = last
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
        self._tails.drop(inbox)
        for cursor in stream.all_cursors():
            if cursor.epoch != extent.epoch or cursor.off < extent.top:
                self._fall_back(cursor)

    def follow(
        self,
        connection: Listener,
        inbox: Inbox,
        start: Position,
        topic: str,
        cursor: Cursor | None,
        encode: Encoder | None = None,
    ) -> Cursor:
        """A cursor from `start`; it is CATCHING_UP until the connection has caught it up.

        `cursor` is the one this connection has on the inbox already. It is moved only if this topic alone asked
        for it, or if it has not been sent what comes right after `start`: covered twice is sent once. `encode` is
        the encoder of a new one; our own dialect's if there is none.
        """
        if cursor is None:
            cursor = Cursor(connection, inbox, start, encode or self._encode)
            self._streams[inbox].add(cursor)
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
        self._streams[cursor.inbox].discard(cursor)
        return True

    def go_live(self, cursor: Cursor) -> bool:
        """LIVE if the cursor has reached what is published; False if there is more to read."""
        stream = self._streams[cursor.inbox]
        if cursor.epoch != stream.epoch or cursor.off < stream.off:
            return False
        cursor.standing = Standing.LIVE
        return True

    def from_tail(self, cursor: Cursor, max_bytes: int) -> Page | None:
        """What was published right after the cursor, at least one event; None if it is not in memory."""
        return self._tails.after(cursor.inbox, cursor.off, cursor.encode, max_bytes)

    def _fall_back(self, cursor: Cursor) -> None:
        cursor.standing = Standing.CATCHING_UP
        cursor.connection.catch_up()

    # ------------------------------------------------------------------------------------------ wildcards

    def watch_all(self, connection: Listener) -> None:
        """`inbox:*`: also inboxes that appear later."""
        self._wild.add(connection)

    def unwatch_all(self, connection: Listener) -> None:
        self._wild.discard(connection)

    # ------------------------------------------------------------------------------------------ states

    def watch_state(self, connection: Watcher, topic: str) -> None:
        self._states.setdefault(topic, set()).add(connection)

    def unwatch_state(self, connection: Watcher, topic: str) -> None:
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

    def forget(self, connection: Listener, cursors: Iterable[Cursor]) -> None:
        """A connection has ended."""
        self._wild.discard(connection)
        for cursor in cursors:
            self._streams[cursor.inbox].discard(cursor)

    def forget_watcher(self, connection: Watcher, topics: Iterable[str]) -> None:
        self.connections.discard(connection)
        for topic in topics:
            self.unwatch_state(connection, topic)


def burst_of(frames: Iterable[Frames]) -> Burst | None:
    """The frames of some events as one burst; None if there are none."""
    flat = [frame for made in frames for frame in made]
    return Burst(flat) if flat else None

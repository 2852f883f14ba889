"""Topics → subscriptions, in process: who gets an event, and how far each has come.

The hub never waits. Events reach it in the order of their inbox from the feed; it writes them to every cursor
that is LIVE and leaves the others to their connection's catch-up, which reads the same events from the tail or
the stream. A cursor turns LIVE only in a step without `await`, so nothing falls between the two ways.

The hub knows no dialect: what is made of an event or a state, a dialect says with the encoder that it hands in.
Subscribers that share one get the same frames, made once. An encoder may make no frame of an event (a filter leaves it
out): the cursor goes on all the same.

Many subscribers are written to in slices. An inbox may move again meanwhile: a connection that has not been reached
yet gets the older and the newer events in one write.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from gateway.domain.streams import Event, Extent, Inbox, Position, Standing
from gateway.realtime.hub.cursors import (
    Cursor,
    RestSubscriber,
    StateEncoder,
    StateSubscriber,
    Stream,
    StreamSubscriber,
)
from gateway.realtime.hub.fanout_scheduler import SLICE_S, FanoutScheduler, each, steps
from gateway.realtime.hub.pending_frames import PendingFrames
from gateway.realtime.hub.tail import Encoder, Frames, Page, Tails
from gateway.realtime.hub.write_coalescer import WriteCoalescer
from gateway.realtime.transport.framing import Burst, Frame
from gateway.services.live.state_values import StateValue

_LIVE = Standing.LIVE


class Hub:
    """Hands events and states to the subscribers of this process."""

    def __init__(
        self,
        encode: Encoder,
        on_followed: Callable[[int | None], None] = lambda inbox: None,
        on_written: Callable[[str], None] = lambda at: None,
        *,
        slice_s: float = SLICE_S,
    ) -> None:
        """`encode` is the encoder of cursors that bring none: its frames are kept ready in the tail.

        `on_followed` is called with an inbox that gets a follower, and with None when a connection follows all inboxes.
        `on_written` is called when events have been written to all who are LIVE, with the commit time of the first.
        `slice_s` is how long a fan-out may hold the loop.
        """
        self._encode = encode
        self._streams: dict[int, Stream] = {}
        self._wild: set[StreamSubscriber] = set()
        self._rest: set[RestSubscriber] = set()
        self._rest_version = 0
        self._notes: list[dict[Inbox, Position]] = []
        self._states: dict[str, dict[StateEncoder, set[StateSubscriber]]] = {}
        self._tails = Tails(encode)
        self._coalescer = WriteCoalescer(self._fall_back)
        self._scheduler = FanoutScheduler(at_end=self._coalescer.flush_all, slice_s=slice_s)
        self._on_followed = on_followed
        self._on_written = on_written
        self.deliveries = 0
        """Events written to connections so far, each counted for each of them."""
        self.connections: set[StateSubscriber] = set()

    # ------------------------------------------------------------------------------------------ streams

    def position(self, inbox: int) -> Position | None:
        """Everything up to here has been published; None for an inbox the feed has not seen yet."""
        stream = self._streams.get(inbox)
        return Position(stream.off, stream.epoch) if stream else None

    def positions(self) -> dict[int, Position]:
        """Offset and epoch up to which each inbox has been published."""
        return {inbox: Position(stream.off, stream.epoch) for inbox, stream in self._streams.items()}

    def is_followed(self, inbox: int) -> bool:
        """Whether a connection of this gateway follows the inbox."""
        stream = self._streams.get(inbox)
        return bool(stream and stream.cursors) or any(wild.covers(inbox) for wild in self._wild)

    def standings(self) -> tuple[int, int]:
        """How many cursors are LIVE, and how many catch up."""
        live = waiting = 0
        for stream in self._streams.values():
            for same in stream.cursors.values():
                for cursor in same:
                    if cursor.standing is _LIVE:
                        live += 1
                    else:
                        waiting += 1
        return live, waiting

    def publish(self, inbox: Inbox, events: Sequence[Event]) -> None:
        """Sends events right after the published position, in order, to every cursor that is LIVE.

        They are sent now, or within a few turns of the loop if the cursors are many."""
        stream = self._streams[inbox]
        if self._notes or stream.rest_version != self._rest_version:
            self._before_move(inbox, stream)
        first, stream.off = events[0].off, events[-1].off
        if stream.unwritten_since is None and stream.cursors:
            stream.unwritten_since = events[0].at
        own: list[Frames] | None = None
        for encode in stream.cursors:
            pending = stream.pending.get(encode)
            if pending is None or pending.end != first:  # no walk under way has this encoding
                pending = stream.pending[encode] = PendingFrames(first, encode)
            if encode is self._encode:
                own = [encode(event) for event in events]
                pending.add_made(own)
            else:
                pending.add(events)
        self._tails.keep(inbox, events, own, with_events=len(stream.cursors) > 1)
        if not stream.is_walking:
            stream.is_walking = True
            self._scheduler.start(self._walk(stream))

    def together(self) -> AbstractContextManager[None]:
        """What is published within the block leaves at its end: one write for who follows several of the inboxes."""
        return self._scheduler.together()

    def _walk(self, stream: Stream) -> Iterator[None]:
        try:
            reached = -1
            while stream.pending and stream.off != reached:
                reached, epoch = stream.off, stream.epoch
                for encode in tuple(stream.pending):
                    # A connection that fails may leave while we walk over them.
                    for some in steps(tuple(stream.cursors.get(encode, ()))):
                        pending = stream.pending.get(encode)
                        if pending is None:  # another history has begun meanwhile
                            break
                        self._deliver(stream, some, pending)
                        yield
                if stream.epoch != epoch:
                    reached = -1  # an offset of the history before: what has come since is walked anew
                    continue
                for pending in stream.pending.values():
                    pending.drop(reached)
        finally:
            since, stream.unwritten_since = stream.unwritten_since, None
            if since is not None:
                self._on_written(since)
            stream.pending = {}
            stream.is_walking = False

    def _deliver(self, stream: Stream, cursors: Sequence[Cursor], pending: PendingFrames) -> None:
        off, is_shared = stream.off, self._scheduler.is_shared
        begin, burst, written = -1, None, 0
        for cursor in cursors:
            after = cursor.off
            if cursor.standing is not _LIVE or after >= off:
                continue
            if after != begin:
                if after + 1 < pending.first or cursor.epoch != stream.epoch:
                    self._fall_back(cursor)  # it was passed over: the catch-up knows what it needs
                    continue
                begin, burst = after, pending.after(after)
            if burst is not None and burst.after and not self._is_in_order(cursor, burst):
                self._fall_back(cursor)  # the catch-up waits for the other inbox
                continue
            if is_shared:
                self._coalescer.add(cursor, off, burst)
                written += off - after
            elif burst is None or cursor.send(burst):
                cursor.off = off
                written += off - after
            else:
                self._fall_back(cursor)
        self.deliveries += written

    def _is_in_order(self, cursor: Cursor, burst: Burst) -> bool:
        """Whether the connection has been told what the burst comes after, in other inboxes."""
        self._coalescer.flush(cursor.connection)
        return all(cursor.connection.has_been_told(cursor, place) for place in burst.after)

    def advance(self, inbox: Inbox, extent: Extent) -> None:
        """Takes note of an inbox's top without frames.

        The inbox is new, no connection here follows it, or its epoch is new."""
        stream = self._streams.get(inbox)
        if stream is None:
            self._streams[inbox] = Stream(extent.top, extent.epoch)
            for notes in self._notes:
                notes.setdefault(inbox, Position(extent.floor, extent.epoch))
            for connection in tuple(self._wild):
                if connection.covers(inbox):
                    # Created after the subscription: this client knows nothing of its history.
                    connection.appear(inbox, Position(extent.floor, extent.epoch))
            return
        if (stream.off, stream.epoch) != (extent.top, extent.epoch):
            self._before_move(inbox, stream)
        stream.off, stream.epoch = extent.top, extent.epoch
        stream.pending.clear()  # a cursor that has not been reached falls back
        self._tails.drop(inbox)
        for cursor in stream.all_cursors():
            if cursor.epoch != extent.epoch or cursor.off < extent.top:
                self._fall_back(cursor)

    def follow(
        self,
        connection: StreamSubscriber,
        inbox: Inbox,
        start: Position,
        topic: str,
        cursor: Cursor | None,
        encode: Encoder | None = None,
    ) -> Cursor:
        """A cursor from `start`; it is CATCHING_UP until the connection has caught it up.

        `cursor` is the one this connection has on the inbox already. It is moved only if this topic alone asked
        for it, or if it has not been sent what comes right after `start`: covered twice is sent once. `encode` is
        the encoder of a new one; the hub's if there is none.
        """
        if cursor is None:
            cursor = Cursor(connection, inbox, start, encode or self._encode)
            self._streams[inbox].add(cursor)
            self._on_followed(inbox)
        elif cursor.topics == {topic} or (start.epoch == cursor.epoch and start.off < cursor.since):
            cursor.start_from(start)
        cursor.topics.add(topic)
        self._fall_back(cursor)
        return cursor

    def follow_live(self, connection: StreamSubscriber, inbox: Inbox, topic: str) -> Cursor:
        """A cursor that is LIVE at once: the connection has been told everything that is published."""
        stream = self._streams[inbox]
        cursor = Cursor(connection, inbox, Position(stream.off, stream.epoch), self._encode)
        cursor.standing = _LIVE
        cursor.topics.add(topic)
        stream.add(cursor)
        return cursor

    def unfollow(self, cursor: Cursor, topic: str) -> bool:
        """Takes one topic off a cursor; True when that was the last and the cursor is gone."""
        cursor.topics.discard(topic)
        if cursor.topics:
            return False
        self._let_go(cursor)
        return True

    def _let_go(self, cursor: Cursor) -> None:
        cursor.standing = Standing.CATCHING_UP  # a walk under way passes it over
        self._streams[cursor.inbox].discard(cursor)

    def go_live(self, cursor: Cursor) -> bool:
        """LIVE if the cursor has reached what is published; False if there is more to read."""
        stream = self._streams[cursor.inbox]
        if cursor.epoch != stream.epoch or cursor.off < stream.off:
            return False
        cursor.standing = _LIVE
        return True

    def from_tail(self, cursor: Cursor, max_bytes: int) -> Page | None:
        """What was published right after the cursor, at least one event; None if it is not in memory."""
        return self._tails.after(cursor.inbox, cursor.off, cursor.encode, max_bytes)

    def remember(self, cursor: Cursor, events: Sequence[Event]) -> None:
        """Keeps in memory what has been read for this cursor from the stream: others will come for the same."""
        stream = self._streams[cursor.inbox]
        if cursor.epoch == stream.epoch:
            foreign = any(encode is not self._encode for encode in stream.cursors)
            self._tails.put_before(cursor.inbox, events, stream.off, with_events=foreign)

    def _fall_back(self, cursor: Cursor) -> None:
        cursor.standing = Standing.CATCHING_UP
        cursor.connection.catch_up()

    # ------------------------------------------------------------------------------------------ wildcards

    def watch_all(self, connection: StreamSubscriber) -> None:
        """`inbox:*`: also inboxes that appear later."""
        self._wild.add(connection)
        self._on_followed(None)

    def watch_rest(self, connection: RestSubscriber) -> None:
        """The connection stands at the published position of each inbox that it has no cursor for.

        It joins an inbox just before that one moves: of 10,000 inboxes few do.
        """
        self._rest.add(connection)
        self._rest_version += 1

    def unwatch_all(self, connection: StreamSubscriber) -> None:
        """No longer tells the connection of inboxes that come into being, nor of those it has no cursor for."""
        self._wild.discard(connection)
        self._rest = {other for other in self._rest if other is not connection}

    @contextmanager
    def noting(self) -> Iterator[dict[Inbox, Position]]:
        """Yields where each inbox stood before it moved within the block; a new one stands at its beginning."""
        notes: dict[Inbox, Position] = {}
        self._notes.append(notes)
        try:
            yield notes
        finally:
            self._notes = [other for other in self._notes if other is not notes]

    def _before_move(self, inbox: Inbox, stream: Stream) -> None:
        for notes in self._notes:
            notes.setdefault(inbox, Position(stream.off, stream.epoch))
        if stream.rest_version != self._rest_version:
            stream.rest_version = self._rest_version
            for connection in tuple(self._rest):
                connection.join(inbox)

    # ------------------------------------------------------------------------------------------ states

    def watch_state(self, connection: StateSubscriber, topic: str, encode: StateEncoder) -> None:
        """Sends the topic's new values to the connection from now on, as `encode` puts them."""
        self._states.setdefault(topic, {}).setdefault(encode, set()).add(connection)

    def unwatch_state(self, connection: StateSubscriber, topic: str) -> None:
        """No longer sends the topic's values to the connection."""
        by_encoder = self._states.get(topic, {})
        for encode, watchers in tuple(by_encoder.items()):
            watchers.discard(connection)
            if not watchers:
                del by_encoder[encode]
        if not by_encoder:
            self._states.pop(topic, None)

    def is_watched(self, topic: str) -> bool:
        """Whether a connection watches the topic."""
        return topic in self._states

    def publish_state(self, value: StateValue) -> None:
        """A newer value of one part of a state, to every connection that watches it and may see it."""
        topics = [f"session:{value.session_id}"]
        if value.part == "session":
            topics.append("sessions")
        for topic in topics:
            for encode, watchers in tuple(self._states.get(topic, {}).items()):
                send = partial(self._send_state, topic, value, watchers, encode(topic, value))
                self._scheduler.start(each(tuple(watchers), send))

    def _send_state(
        self,
        topic: str,
        value: StateValue,
        watchers: Set[StateSubscriber],
        ready: Frame,
        connection: StateSubscriber,
    ) -> None:
        # It may have left since; who has come since has got the newest value with its answer.
        if connection not in watchers or not connection.covers(value.session_id):
            return
        if value.part != "link" or connection.sees_link():
            self._coalescer.flush(connection)
            connection.send_state((topic, value.session_id, value.part), ready, value.expires_at)

    # ------------------------------------------------------------------------------------------ an inbox's readers

    def tell_followers(self, inbox: int, kind: str, part: str, ready: Frame) -> None:
        """One frame, of no offset, to the connections of the hub's own dialect that follow the inbox.

        One that cannot take it now gets the newest frame of its `kind` and `part` later.
        """
        stream = self._streams.get(inbox)
        cursors = stream.cursors.get(self._encode, ()) if stream else ()
        # An inbox without an event has no stream, and is followed by `inbox:*` all the same.
        followers = dict.fromkeys(cursor.connection for cursor in cursors)
        followers |= dict.fromkeys(wild for wild in self._wild if wild.covers(inbox))

        def send(connection: StreamSubscriber) -> None:
            if connection in self.connections:
                self._coalescer.flush(connection)
                connection.send_state((kind, inbox, part), ready, None)

        self._scheduler.start(each(tuple(followers), send))

    # ------------------------------------------------------------------------------------------ all connections

    def broadcast(self, kind: str, ready: Frame) -> None:
        """One frame to all connections; one that cannot take it now gets the newest frame of its `kind` later."""

        def send(connection: StateSubscriber) -> None:
            if connection in self.connections:
                self._coalescer.flush(connection)
                connection.send_state((kind, 0, ""), ready, None)

        self._scheduler.start(each(tuple(self.connections), send))

    def forget(self, connection: StreamSubscriber, cursors: Iterable[Cursor]) -> None:
        """A connection has ended."""
        self.unwatch_all(connection)
        for cursor in cursors:
            self._let_go(cursor)

    def forget_watcher(self, connection: StateSubscriber, topics: Iterable[str]) -> None:
        """Forgets a connection that is closed, with the state topics it watched."""
        self.connections.discard(connection)
        for topic in topics:
            self.unwatch_state(connection, topic)

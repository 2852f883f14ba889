"""One WebSocket of our own dialect from accept to close: its subscriptions, and what each is told.

How it catches up is in `follower`. Over its write limit, of its states only the newest value is kept.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from gateway.domain.access import Act, Principal
from gateway.domain.errors import Unauthenticated
from gateway.domain.streams import Inbox, Position, ResetReason, Standing
from gateway.realtime import close_codes
from gateway.realtime.hub.cursors import Cursor
from gateway.realtime.hub.follower import Follower
from gateway.realtime.hub.hub import Hub
from gateway.realtime.native import protocol
from gateway.realtime.pace import USUAL_PACE, SocketPace
from gateway.realtime.transport.framing import Burst, Frame
from gateway.realtime.transport.socket_transport import WRITE_LIMIT_BYTES, SocketTransport
from gateway.services.live.tail_source import StreamReader

MAX_VALUES_BYTES = 200 * 1024
"""Of the values inside one `subscribed`; the rest follows as frames of their own."""

MAX_TOPS = 1000
"""Inboxes in one frame: 100 bytes each at the most, and a frame holds 256 KiB. A client merges the frames."""

StateKey = tuple[str, int, str]
"""Topic, session, part: a newer value replaces an unsent older one of the same key."""


@dataclass(slots=True)
class Subscription:
    """A stream topic of this connection; `is_announced` once `subscribed` has been sent for where it stands.

    `untold` are inboxes that further frames of the same `subscribed` are still to name.
    """

    ref: str | None
    name: str
    cursors: dict[int, Cursor] = field(default_factory=dict)
    is_announced: bool = False
    is_answered: bool = False
    """Whether its ref has been; announced again after a reset, it has been already."""
    untold: list[int] = field(default_factory=list)
    named: Collection[int] | None = None
    """The inboxes that `subscribed` names; None for all."""
    has_rest: bool = False
    """Whether it also holds, without cursors, each inbox at its published position."""
    unanswered: list[str | None] = field(default_factory=list)
    """Refs of earlier wishes for the same topic that had no answer yet: this one's is theirs, too."""
    on_answered: Callable[[], None] = lambda: None
    """Says what comes right after `subscribed`."""

    @property
    def refs(self) -> list[str | None]:
        """The refs of its subscribes that wait for an answer, the newest one last."""
        return [*self.unanswered, self.ref]

    def note_answered(self) -> None:
        """Notes that all of its subscribes have been answered."""
        self.is_answered = True
        self.unanswered = []
        tell, self.on_answered = self.on_answered, lambda: None
        tell()


class Connection(Follower):
    """A client of our own dialect: its subscriptions, its states and its login."""

    dialect = "native"

    def __init__(
        self,
        name: str,
        principal: Principal,
        transport: SocketTransport,
        hub: Hub,
        streams: StreamReader,
        pace: SocketPace = USUAL_PACE,
    ) -> None:
        super().__init__(name, transport, hub, streams, pace)
        self.principal = principal
        self._cursors: dict[int, Cursor] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._states: dict[str, int | None] = {}
        self._pending: dict[StateKey, tuple[Frame, float | None]] = {}
        self._told: dict[int, int] = {}

    # ------------------------------------------------------------------------------------------ hub's side

    def covers(self, inbox: int) -> bool:
        """Whether the client's `inbox:*` holds the inbox: negative ones are of other tables."""
        return inbox >= 0 and self.principal.covers(inbox)

    def sees_link(self) -> bool:
        """Whether the client may see codes that link a phone."""
        return self.principal.can(Act.SEE_QR)

    def appear(self, inbox: Inbox, start: Position) -> None:
        """Follows an inbox that came into being, for the client's `inbox:*`."""
        everything = self._subscriptions["inbox:*"]
        self._told.setdefault(inbox, start.off)
        self._point(everything, inbox, start)
        # Its events name no epoch: without this a client could not come back to it by position.
        if everything.is_announced:
            news = protocol.subscribed_all(everything.ref, {inbox: start}, has_more=bool(everything.untold))
            self.reply(news)

    def send_state(self, key: StateKey, frame: Frame, expires_at: float | None) -> None:
        """Sends a state's newest value now, or as soon as the client reads again."""
        if not self._pending and self.send(Burst([frame])):
            return
        self._pending[key] = (frame, expires_at)
        self.catch_up()

    # ------------------------------------------------------------------------------------------ own side

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
        """Subscribes to a stream topic from these positions; `subscribed` is sent once all are LIVE.

        It names all of them, or only those that are `named`. Right after it `on_answered` is called. With the rest,
        `inbox:*` holds every other inbox from its published position on.
        """
        with self.beginning():
            for inbox in starts:
                self.join(inbox)
            subscription = Subscription(ref, name, named=named, has_rest=has_rest, on_answered=on_answered)
            previous = self._subscriptions.get(name)
            if previous is not None and not previous.is_answered:
                subscription.unanswered = [*previous.unanswered, previous.ref]
            self._subscriptions[name] = subscription
            for inbox, start in starts.items():
                self._point(subscription, inbox, start)
            for number, cursor in previous.cursors.items() if previous else ():
                if number not in subscription.cursors:
                    self._unfollow(cursor, name)
            if name == "inbox:*":
                self._hub.watch_all(self)
                if has_rest:
                    self._hub.watch_rest(self)

    def join(self, inbox: Inbox) -> None:
        """Takes a cursor for an inbox that `inbox:*` holds as one of the rest, where the inbox stands now."""
        everything = self._subscriptions.get("inbox:*")
        if everything is None or not everything.has_rest or inbox in everything.cursors:
            return
        if not self.covers(inbox) or self._hub.position(inbox) is None:
            return
        cursor = self._cursors.get(inbox) or self._hub.follow_live(self, inbox, everything.name)
        cursor.topics.add(everything.name)
        self._cursors[inbox] = everything.cursors[inbox] = cursor

    def _point(self, subscription: Subscription, inbox: Inbox, start: Position) -> None:
        cursor = self._hub.follow(self, inbox, start, subscription.name, self._cursors.get(inbox))
        self._cursors[inbox] = subscription.cursors[inbox] = cursor

    def watch(self, ref: str | None, name: str, session_id: int | None, values: Sequence[Frame]) -> None:
        """Subscribes to a state topic (of one session, or of all) and sends its value."""
        self._states[name] = session_id
        self._hub.watch_state(self, name, protocol.state_frame)
        self._drop_pending(name)  # older than `values`
        fits: list[Frame] = []
        size = 0
        for value in values:
            size += len(value)
            if size > MAX_VALUES_BYTES:
                break
            fits.append(value)
        self.reply(protocol.subscribed_state(ref, name, fits))
        for value in values[len(fits) :]:
            self.reply(value)

    def leave(self, name: str) -> bool:
        """Ends a subscription; False if there is none of that name."""
        if name in self._states:
            del self._states[name]
            self._hub.unwatch_state(self, name)
            self._drop_pending(name)
            return True
        subscription = self._subscriptions.pop(name, None)
        if subscription is None:
            return False
        if name == "inbox:*":
            self._hub.unwatch_all(self)
        for cursor in subscription.cursors.values():
            self._unfollow(cursor, name)
        return True

    def _drop_pending(self, name: str) -> None:
        for key in [key for key in self._pending if key[0] == name]:
            del self._pending[key]

    def _unfollow(self, cursor: Cursor, name: str) -> None:
        if self._hub.unfollow(cursor, name):
            self._cursors.pop(cursor.inbox, None)
            self._told.pop(cursor.inbox, None)

    def heartbeat(self) -> None:
        """The heartbeat: how far each inbox that moved since the last one has been sent, and a ping."""
        # Not the hub's top: a client that is catching up would take what is still to come for lost.
        # Nor a start that `subscribed` has still to name: a client that begins now would take it for a gap.
        moved = (
            (inbox, item.off)
            for inbox, item in self._cursors.items()
            if self._told.get(inbox) != item.off and (inbox in self._told or item.off != item.since)
        )
        tops = dict(islice(moved, MAX_TOPS))  # the others come with the next one
        if self.send(Burst([protocol.heartbeat(tops)])):
            self._told.update(tops)
            self.transport.ping()

    def look_at_clock(self, now: float) -> None:
        """Closes the socket if its login has expired; `now` is unix seconds."""
        if self.principal.expires_at is not None and self.principal.expires_at <= now:
            self.close(close_codes.UNAUTHORISED, "this login has expired")

    def look_at_login(self, current: Callable[[Principal], Principal]) -> None:
        """Closes the socket if its login has been ended, and narrows or widens what it covers."""
        try:
            now = current(self.principal)
        except Unauthenticated as error:
            self.close(close_codes.UNAUTHORISED, error.message)
            return
        if now != self.principal:
            self.renew(now)

    def warn(self, reconnect_after_ms: int) -> None:
        """Tells the client to come back after so many milliseconds."""
        self.reply(protocol.drain(reconnect_after_ms))

    def renew(self, principal: Principal) -> None:
        """A new token for the same connection. What it no longer covers ends, also what is still to be sent."""
        before, self.principal = self.principal, principal
        lost = [inbox for inbox in self._cursors if not self.covers(inbox)]
        ended = [f"inbox:{inbox}" for inbox in lost if f"inbox:{inbox}" in self._subscriptions]
        ended += [name for name, id_ in self._states.items() if id_ is not None and not self.covers(id_)]
        for name in ended:
            self.leave(name)
            self.reply(protocol.error(None, "forbidden", f"{name} is not covered by the new login."))
            self.reply(protocol.unsubscribed(None, name))
        for key in [key for key in self._pending if not self._may_see(key)]:
            del self._pending[key]
        everything = self._subscriptions.get("inbox:*")
        if everything is None:
            return
        for inbox in lost:
            if inbox in everything.cursors:
                self._unfollow(everything.cursors.pop(inbox), everything.name)
        for number, position in self._hub.positions().items():
            if number in everything.cursors or not self.covers(number):
                continue
            if everything.has_rest and before.covers(number):
                continue
            everything.is_announced = False  # its tops are news
            if everything.named is not None:
                everything.named = {*everything.named, number}
            self._point(everything, Inbox(number), position)
        if everything.has_rest:
            self._hub.watch_rest(self)

    def _may_see(self, key: StateKey) -> bool:
        _, session_id, part = key
        if not part:  # not about a session
            return True
        return self.covers(session_id) and (part != "link" or self.sees_link())

    def end(self) -> None:
        """The socket is gone: leaves the hub, too. Idempotent."""
        super().end()
        self._hub.forget(self, self._cursors.values())
        self._hub.forget_watcher(self, self._states)
        self._cursors.clear()
        self._pending.clear()

    @property
    def inboxes(self) -> list[Inbox]:
        """The inboxes that the connection has a cursor for."""
        return [Inbox(inbox) for inbox in self._cursors]

    @property
    def topics(self) -> int:
        """How many topics the client is subscribed to."""
        return len(self._subscriptions) + len(self._states)

    # ------------------------------------------------------------------------------------------ catching up

    def all_cursors(self) -> Iterable[Cursor]:
        """Of all its subscriptions."""
        return self._cursors.values()

    def _beside(self, cursor: Cursor, inbox: int) -> Cursor | None:
        self.join(Inbox(inbox))
        return self._cursors.get(inbox)

    def _has(self, cursor: Cursor) -> bool:
        return self._cursors.get(cursor.inbox) is cursor

    def _send_pending(self) -> bool:
        now = time.time()
        while self._pending and self.transport.buffered() <= WRITE_LIMIT_BYTES:
            key = next(iter(self._pending))
            frame, expires_at = self._pending.pop(key)
            if expires_at is None or expires_at > now:
                self.transport.write(Burst([frame]))
        everything = self._subscriptions.get("inbox:*")
        while everything and everything.untold and self.transport.buffered() <= WRITE_LIMIT_BYTES:
            self._tell_tops(everything)
        return bool(self._pending) or bool(everything and everything.untold)

    def _on_reset(self, cursor: Cursor, reason: ResetReason, position: Position) -> None:
        self.reset(cursor.inbox, reason, position)
        for name in cursor.topics:
            self._subscriptions[name].is_announced = False

    def reset(self, inbox: Inbox, reason: ResetReason, position: Position) -> None:
        """Tells the client that the position it came with is of no use."""
        self.reply(protocol.reset(inbox, reason, position))

    def _announce(self) -> None:
        """`subscribed` for every topic whose inboxes are all LIVE: everything up to here has been sent."""
        for subscription in self._subscriptions.values():
            cursors = subscription.cursors.values()
            if subscription.is_announced or any(item.standing is not Standing.LIVE for item in cursors):
                continue
            subscription.is_announced = True
            if subscription.name == "inbox:*":
                wanted = subscription.cursors if subscription.named is None else subscription.named
                subscription.untold = sorted(wanted, reverse=True)
                self._tell_tops(subscription)
                if subscription.untold:
                    self.catch_up()
            else:
                (item,) = cursors
                self._told[item.inbox] = item.off
                top = Position(item.off, item.epoch)
                for ref in subscription.refs:
                    self.reply(protocol.subscribed(ref, subscription.name, top))
                subscription.note_answered()

    def _tell_tops(self, subscription: Subscription) -> None:
        """The next frame of `subscribed`: each top as it is at this moment, which is what has been sent."""
        names, subscription.untold = subscription.untold[-MAX_TOPS:], subscription.untold[:-MAX_TOPS]
        told = [subscription.cursors[name] for name in reversed(names) if name in subscription.cursors]
        self._told.update({item.inbox: item.off for item in told})
        tops = {item.inbox: Position(item.off, item.epoch) for item in told}
        for ref in subscription.refs:
            self.reply(protocol.subscribed_all(ref, tops, has_more=bool(subscription.untold)))
        if not subscription.untold:
            subscription.note_answered()

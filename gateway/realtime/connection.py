"""One WebSocket from accept to close: its subscriptions, and how it catches up.

There is no queue: what the transport has not taken yet is the outbox. Over the write limit a connection gets
nothing more; its cursors fall back to CATCHING_UP, of its states only the newest value is kept, and a task that
lives only as long as there is something to catch up writes page after page as the client reads. A client that
makes no progress for a minute is closed with 4008.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.domain.access import Act, Principal
from gateway.domain.errors import StoreUnavailable
from gateway.domain.stream import Inbox, Position, ResetReason, Standing
from gateway.realtime import protocol
from gateway.realtime.framing import Burst, Frame
from gateway.realtime.hub import Cursor, Hub
from gateway.realtime.outlet import WRITE_LIMIT_BYTES, Outlet, wait_until_read
from gateway.realtime.pages import Lost, next_page
from gateway.services.feed import StreamReader

logger = logging.getLogger(__name__)

RETRY_S = 1.0
MAX_VALUES_BYTES = 200 * 1024
"""Of the values inside one `subscribed`; the rest follows as frames of their own."""

StateKey = tuple[str, int, str]
"""Topic, session, part: a newer value replaces an unsent older one of the same key."""


@dataclass(slots=True)
class Subscription:
    """A stream topic of this connection; `is_announced` once `subscribed` has been sent for where it stands."""

    ref: str | None
    name: str
    cursors: dict[int, Cursor] = field(default_factory=dict)
    is_announced: bool = False


class Connection:
    def __init__(
        self, name: str, principal: Principal, outlet: Outlet, hub: Hub, streams: StreamReader
    ) -> None:
        self.name = name
        self.principal = principal
        self.outlet = outlet
        self._hub = hub
        self._streams = streams
        self._cursors: dict[int, Cursor] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._states: dict[str, int | None] = {}
        self._pending: dict[StateKey, tuple[Frame, float | None]] = {}
        self._told: dict[int, int] = {}
        self._catcher: asyncio.Task[None] | None = None
        self._is_open = True

    # ------------------------------------------------------------------------------------------ hub's side

    def covers(self, inbox: int) -> bool:
        return inbox >= 0 and self.principal.covers(inbox)

    def sees_link(self) -> bool:
        return self.principal.can(Act.SEE_QR)

    def appear(self, inbox: Inbox, start: Position) -> None:
        self._told.setdefault(inbox, start.off)
        self._point(self._subscriptions["inbox:*"], inbox, start)

    def send(self, burst: Burst) -> bool:
        if self.outlet.buffered() > WRITE_LIMIT_BYTES:
            return False
        self.outlet.write(burst)
        return True

    def send_state(self, key: StateKey, frame: Frame, expires_at: float | None) -> None:
        if not self._pending and self.send(Burst([frame])):
            return
        self._pending[key] = (frame, expires_at)
        self.catch_up()

    def catch_up(self) -> None:
        if self._is_open and self._catcher is None:
            self._catcher = asyncio.create_task(self._catch_up(), name=f"catch-up-{self.name}")

    # ------------------------------------------------------------------------------------------ own side

    def reply(self, frame: Frame) -> None:
        """An answer to the client's own frame. They are small, and reading stops while they pile up."""
        self.outlet.write(Burst([frame]))

    def follow(self, ref: str | None, name: str, starts: dict[Inbox, Position]) -> None:
        """Subscribes to a stream topic from these positions; `subscribed` is sent once all are LIVE."""
        subscription = Subscription(ref, name)
        previous = self._subscriptions.get(name)
        self._subscriptions[name] = subscription
        for inbox, start in starts.items():
            self._point(subscription, inbox, start)
        for number, cursor in previous.cursors.items() if previous else ():
            if number not in subscription.cursors:
                self._unfollow(cursor, name)
        if name == "inbox:*":
            self._hub.watch_all(self)
        self.catch_up()

    def _point(self, subscription: Subscription, inbox: Inbox, start: Position) -> None:
        cursor = self._hub.follow(self, inbox, start, subscription.name, self._cursors.get(inbox))
        self._cursors[inbox] = subscription.cursors[inbox] = cursor

    def watch(self, ref: str | None, name: str, session_id: int | None, values: Sequence[Frame]) -> None:
        """Subscribes to a state topic (of one session, or of all) and sends its value."""
        self._states[name] = session_id
        self._hub.watch_state(self, name)
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

    def beat(self) -> None:
        """The heartbeat: how far each inbox that moved since the last one has been sent, and a ping."""
        # Not the hub's top: a client that is catching up would take what is still to come for lost.
        tops = {inbox: item.off for inbox, item in self._cursors.items() if self._told.get(inbox) != item.off}
        if self.send(Burst([protocol.heartbeat(tops)])):
            self._told.update(tops)
            self.outlet.ping()

    def renew(self, principal: Principal) -> None:
        """A new token for the same connection. What it no longer covers ends, also what is still to be sent."""
        self.principal = principal
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
            if number not in everything.cursors and self.covers(number):
                everything.is_announced = False  # its tops are news
                self._point(everything, Inbox(number), position)

    def _may_see(self, key: StateKey) -> bool:
        _, session_id, part = key
        if not part:  # not about a session
            return True
        return self.covers(session_id) and (part != "link" or self.sees_link())

    def close(self, code: int, reason: str) -> None:
        if self._is_open:
            logger.info("connection.closing connection=%s code=%d reason=%s", self.name, code, reason)
            self.outlet.close(code, reason)

    def end(self) -> None:
        """The socket is gone: leaves the hub and stops catching up. Idempotent."""
        self._is_open = False
        if self._catcher is not None:
            self._catcher.cancel()
        self._hub.forget(self, self._cursors.values(), self._states)
        self._cursors.clear()
        self._pending.clear()

    @property
    def topics(self) -> int:
        return len(self._subscriptions) + len(self._states)

    # ------------------------------------------------------------------------------------------ catching up

    async def wait_until_read(self) -> None:
        """Returns when the client has taken what is on its way to it; closes the connection if it takes nothing."""
        try:
            await wait_until_read(self.outlet)
        except ConnectionError:
            pass  # the next receive says so
        except TimeoutError:
            self._give_up()

    def _give_up(self) -> None:
        self.close(protocol.NO_PROGRESS, "nothing was read for a minute")
        self.outlet.abort()

    async def _catch_up(self) -> None:
        try:
            while True:
                await wait_until_read(self.outlet)
                self._send_pending()
                behind = [item for item in self._cursors.values() if item.standing is Standing.CATCHING_UP]
                if not behind and not self._pending:
                    self._announce()
                    self._catcher = None
                    return
                for cursor in behind:
                    await self._advance(cursor)
                    await wait_until_read(self.outlet)
                self._announce()
        except ConnectionError:
            pass  # the receiving side of this connection notices, too
        except TimeoutError:
            self._give_up()
        except Exception:
            logger.exception("connection.catch_up_failed connection=%s", self.name)
            self.close(1011, "internal error")

    def _send_pending(self) -> None:
        now = time.time()
        while self._pending and self.outlet.buffered() <= WRITE_LIMIT_BYTES:
            key = next(iter(self._pending))
            frame, expires_at = self._pending.pop(key)
            if expires_at is None or expires_at > now:
                self.outlet.write(Burst([frame]))

    async def _advance(self, cursor: Cursor) -> None:
        """One page of one inbox, or LIVE, or a reset."""
        known = self._hub.position(cursor.inbox)
        assert known is not None  # the hub forgets no inbox
        before = Position(cursor.off, cursor.epoch)
        if cursor.epoch != known.epoch:
            self._reset(cursor, "epoch_changed", known)
            return
        if self._hub.go_live(cursor):
            return
        try:
            page = await next_page(self._hub, self._streams, cursor)
        except StoreUnavailable:
            page = None
        if page is None:
            await asyncio.sleep(RETRY_S)
            return
        # Unsubscribed or subscribed anew while we were reading: the page is not wanted any more.
        if self._cursors.get(cursor.inbox) is not cursor or Position(cursor.off, cursor.epoch) != before:
            return
        if isinstance(page, Lost):
            self._reset(cursor, page.reason, page.position)
        else:
            self.outlet.write(Burst([frame for _, frame in page]))
            cursor.off = page[-1][0]

    def _reset(self, cursor: Cursor, reason: ResetReason, position: Position) -> None:
        cursor.start_from(position)
        self.reply(protocol.reset(cursor.inbox, reason, position))
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
            tops = {item.inbox: Position(item.off, item.epoch) for item in cursors}
            self._told.update({inbox: top.off for inbox, top in tops.items()})
            if subscription.name == "inbox:*":
                self.reply(protocol.subscribed_all(subscription.ref, tops))
            else:
                (top,) = tops.values()
                self.reply(protocol.subscribed(subscription.ref, subscription.name, top))

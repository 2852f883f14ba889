"""One client of the hub, whatever its dialect: what it is sent while it reads, and how it catches up when it did not.

There is no queue: what the transport has not taken yet is the outbox. Over the write limit a client gets nothing
more; its cursors fall back to CATCHING_UP, and a task that lives only as long as there is something to catch up
writes page after page as the client reads. A client that makes no progress for a minute is closed with 4008.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import Counter

from gateway.domain.errors import StoreUnavailable
from gateway.domain.streams import Place, Position, ResetReason, Standing
from gateway.realtime import close_codes
from gateway.realtime.hub.catch_up_reads import Lost, next_page
from gateway.realtime.hub.cursors import Cursor
from gateway.realtime.hub.hub import Hub
from gateway.realtime.hub.pending_frames import burst_of
from gateway.realtime.hub.tail import Frames, Page
from gateway.realtime.pace import USUAL_PACE, SocketPace
from gateway.realtime.transport.framing import Burst, Frame
from gateway.realtime.transport.socket_transport import WRITE_LIMIT_BYTES, SocketTransport, wait_until_read
from gateway.services.live.tail_source import StreamReader

logger = logging.getLogger(__name__)

WAIT_S = 0.01
"""Between two looks whether another inbox has come as far as a moved row needs it."""

CATCH_UPS = Counter("gateway_catch_ups", "Times that a connection began to catch up from the streams.")
RESETS = Counter("gateway_resets", "Clients that had to load an inbox anew, by reason.", ["reason"])


@dataclass(frozen=True, slots=True)
class _Wait:
    off: int
    """Where the cursor stands meanwhile."""
    place: Place
    until: float


class Follower(ABC):
    """A dialect adds its subscriptions, and says what they are told."""

    def __init__(
        self,
        name: str,
        transport: SocketTransport,
        hub: Hub,
        streams: StreamReader,
        pace: SocketPace = USUAL_PACE,
    ) -> None:
        self.name = name
        self.pace = pace
        self.transport = transport
        self.send: Callable[[Burst], bool] = transport.try_write
        self._hub = hub
        self._streams = streams
        self._catcher: asyncio.Task[None] | None = None
        self._is_open = True
        self._is_beginning = False
        """Cursors are being added: what they need is looked at once, when all are there."""
        self._waiting: dict[Cursor, _Wait] = {}
        """Cursors whose next event has to be told after one of another inbox."""

    # ------------------------------------------------------------------------------------------ the dialect's

    @abstractmethod
    def all_cursors(self) -> Iterable[Cursor]:
        """Of all its subscriptions."""

    @abstractmethod
    def _has(self, cursor: Cursor) -> bool:
        """Whether the cursor is still one of them."""

    @abstractmethod
    def _beside(self, cursor: Cursor, inbox: int) -> Cursor | None:
        """The cursor on that inbox whose frames reach the same listener."""

    @abstractmethod
    def _on_reset(self, cursor: Cursor, reason: ResetReason, position: Position) -> None:
        """What the cursor needed is gone; it goes on from `position`, and the client has to load anew."""

    @abstractmethod
    def _announce(self) -> None:
        """Some cursors may have become LIVE."""

    def _send_pending(self) -> bool:
        """Writes what waits beside the streams, as far as the client reads; whether something is left."""
        return False

    # ------------------------------------------------------------------------------------------ the hub's

    def has_been_told(self, cursor: Cursor, place: Place) -> bool:
        """Whether this connection has been told of the place, or does not follow its inbox."""
        other = self._beside(cursor, place.inbox)
        return other is None or other.off >= place.off

    def catch_up(self) -> None:
        """Begins to catch up, unless that is under way."""
        if self._is_open and self._catcher is None and not self._is_beginning:
            CATCH_UPS.inc()
            self._catcher = asyncio.create_task(self._catch_up(), name=f"catch-up-{self.name}")

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """Cursors are added within the block. At its end those that have nothing to catch up are LIVE, at once.

        Nearly all clients come to where the inbox stands: a task for each would find nothing to do.
        """
        self._is_beginning = True
        try:
            yield
        finally:
            self._is_beginning = False
        if self._is_open and self._catcher is None and self._all_go_live():
            self._announce()
        else:
            self.catch_up()

    def _all_go_live(self) -> bool:
        """Makes cursors LIVE that have nothing to catch up; whether all are, and nothing waits to be written."""
        if self._waiting or self.transport.buffered() > WRITE_LIMIT_BYTES or self._send_pending():
            return False
        behind = (item for item in self.all_cursors() if item.standing is Standing.CATCHING_UP)
        return all(self._hub.go_live(item) for item in behind)

    # ------------------------------------------------------------------------------------------ of every dialect

    def reply(self, frame: Frame) -> None:
        """An answer to the client's own frame. They are small, and reading stops while they pile up."""
        self.transport.write(Burst([frame]))

    async def wait_until_read(self) -> None:
        """Returns when the client has taken what is on its way to it; closes the connection if it takes nothing."""
        try:
            await wait_until_read(self.transport, self.pace.progress_s)
        except ConnectionError:
            pass  # the next receive says so
        except TimeoutError:
            self._give_up()

    def close(self, code: int, reason: str) -> None:
        """Closes the socket with this code and reason. Nothing happens if it is closed."""
        if self._is_open:
            logger.debug("connection.closing connection=%s code=%d reason=%s", self.name, code, reason)
            self.transport.close(code, reason)

    def end(self) -> None:
        """The socket is gone: stops catching up. Idempotent."""
        self._is_open = False
        if self._catcher is not None:
            self._catcher.cancel()

    def _give_up(self) -> None:
        self.close(close_codes.NO_PROGRESS, "nothing was read for a minute")
        self.transport.abort()

    # ------------------------------------------------------------------------------------------ catching up

    async def _catch_up(self) -> None:
        try:
            while True:
                await wait_until_read(self.transport, self.pace.progress_s)
                is_pending = self._send_pending()
                behind = [item for item in self.all_cursors() if item.standing is Standing.CATCHING_UP]
                if not behind and not is_pending:
                    self._waiting.clear()
                    self._catcher = None  # before: what is announced may leave something to be sent
                    self._announce()
                    return
                knows_all = True
                for cursor in behind:
                    try:
                        knows_all &= await self._advance(cursor)
                    except StoreUnavailable:
                        knows_all = False
                        break
                    await wait_until_read(self.transport, self.pace.progress_s)
                self._announce()
                if self._waiting:
                    await asyncio.sleep(WAIT_S)
                if not knows_all:  # once for all of them: who follows hundreds would wait for minutes
                    await asyncio.sleep(self.pace.retry_s)
        except ConnectionError:
            pass  # the receiving side of this connection notices, too
        except TimeoutError:
            self._give_up()
        except Exception:
            logger.exception("connection.catch_up_failed connection=%s", self.name)
            self.close(1011, "internal error")

    async def _advance(self, cursor: Cursor) -> bool:
        """One page of one inbox, or LIVE, or a reset; False: to be asked again in a moment. Raises StoreUnavailable."""
        if not self._has(cursor) or not self._may_go_on(cursor):
            return True
        known = self._hub.position(cursor.inbox)
        assert known is not None  # the hub forgets no inbox
        before = Position(cursor.off, cursor.epoch)
        if cursor.epoch != known.epoch:
            self._reset(cursor, "epoch_changed", known)
            return True
        if self._hub.go_live(cursor):
            return True
        page = await next_page(self._hub, self._streams, cursor)
        if page is None:
            return False
        # Unsubscribed or subscribed anew while we were reading: the page is not wanted any more.
        if not self._has(cursor) or Position(cursor.off, cursor.epoch) != before:
            return True
        if isinstance(page, Lost):
            self._reset(cursor, page.reason, page.position)
        else:
            self._write_page(cursor, page)
        return True

    def _may_go_on(self, cursor: Cursor) -> bool:
        """Whether the other inbox has come as far as the cursor's next event needs it."""
        wait = self._waiting.get(cursor)
        if wait is None:
            return True
        if cursor.off != wait.off or self.has_been_told(cursor, wait.place):
            del self._waiting[cursor]
            return True
        return asyncio.get_running_loop().time() >= wait.until

    def _write_page(self, cursor: Cursor, page: Page) -> None:
        """Writes the page up to the first event that has to wait for another inbox."""
        waited = self._waiting.pop(cursor, None)
        ready: list[Frames] = []
        for off, frames in page:
            place = next((item.after for item in frames if item.after is not None), None)
            if place is not None and not self.has_been_told(cursor, place):
                if waited is None or waited.place != place:
                    until = asyncio.get_running_loop().time() + self.pace.order_s
                    self._waiting[cursor] = _Wait(cursor.off, place, until)
                    break
                logger.warning("connection.order_given_up connection=%s inbox=%d", self.name, cursor.inbox)
            ready.append(frames)
            cursor.off = off
        burst = burst_of(ready)
        if burst is not None:
            self.transport.write(burst)

    def _reset(self, cursor: Cursor, reason: ResetReason, position: Position) -> None:
        cursor.start_from(position)
        RESETS.labels(reason).inc()
        self._on_reset(cursor, reason, position)

"""Every open socket of this process, whatever its dialect, and the one timer for all of them."""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Protocol

from prometheus_client import Counter
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.domain.access import Principal
from gateway.realtime import close_codes
from gateway.realtime.drain import drain
from gateway.realtime.transport.socket_transport import EXTENSION, AsgiTransport, SocketTransport
from gateway.services.log_context import log_about
from gateway.services.rates import Rates

logger = logging.getLogger(__name__)

_LEFT = (1000, 1001, 1005, 1006)
"""The client has left or was lost, as pages and phones do all day."""

UNHEARD_S = 90.0

CLOSED = Counter("gateway_closed_connections", "Sockets that have ended, by close code.", ["code"])

_TOLD_CODES = frozenset(
    {1000, 1001, 1002, 1005, 1006, 1007, 1009, 1011, 1012, 1013}
    | {value for name, value in vars(close_codes).items() if name.isupper() and value >= 1000}
)
"""The others a client makes up: they are counted together."""

REFUSED_AS = {
    close_codes.FORBIDDEN: "socket_origin",
    close_codes.UNAUTHORISED: "socket_login",
    close_codes.BAD_FRAME: "socket_frame",
    close_codes.TOO_MANY: "sockets_of_all",
    close_codes.OVERLOAD: "socket_put_off",
}
"""The kind of refusal, by the code that a socket of our own dialect is closed with."""


@functools.cache
def _closed(code: int) -> Counter:
    return CLOSED.labels(str(code) if code in _TOLD_CODES else "other")


class Member(Protocol):
    """What the sockets of both dialects have in common."""

    name: str
    dialect: str
    principal: Principal
    transport: SocketTransport

    async def wait_until_read(self) -> None:
        """Returns once the client has read what was written to it, or is gone."""

    def heartbeat(self) -> None:
        """Its turn has come: once in HEARTBEAT_S."""

    def look_at_clock(self, now: float) -> None:
        """`now` is unix time: logins expire."""

    def look_at_login(self, current: Callable[[Principal], Principal]) -> None:
        """`current` gives a principal the rights it has now, or raises Unauthenticated: its login has been ended."""

    def warn(self, reconnect_after_ms: int) -> None:
        """The gateway restarts, and the socket is about to be closed."""

    def close(self, code: int, reason: str) -> None:
        """Closes the socket with this code and reason, after what is written already."""

    def end(self) -> None:
        """Lets everything of the connection go: it is closed."""


class transport_of:
    """The way out of a socket while the block runs.

    The block ends quietly when the client is gone."""

    __slots__ = ("_life", "_socket", "_transport")

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._life: asyncio.Timeout | None = None

    async def __aenter__(self) -> SocketTransport:
        ours: SocketTransport | None = self._socket.scope.get("extensions", {}).get(EXTENSION)
        if ours is None:
            # A server without our extension can abort nothing; the end of this task closes the socket there.
            life = self._life = asyncio.timeout(None)
            await life.__aenter__()
            ours = AsgiTransport(self._socket.send, on_abort=lambda: life.reschedule(0))
        self._transport = ours
        return ours

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._transport.release()
        if self._life is not None:
            try:
                await self._life.__aexit__(kind, error, trace)
            except TimeoutError:
                return True
        return isinstance(error, WebSocketDisconnect | TimeoutError)


class Seat:
    """The place of one socket among those of its person; `leave` gives it back, once."""

    __slots__ = ("_address", "_rates", "_sub")

    def __init__(self, rates: Rates, sub: str, address: str) -> None:
        self._rates = rates
        self._sub = sub
        self._address = address

    def leave(self) -> None:
        """Gives the seat back."""
        self._rates.leave_seat(self._sub, self._address)


class Connections:
    """Keeps every open socket of the process, serves it and beats its heart."""

    def __init__(
        self,
        max_connections: int,
        rates: Rates,
        *,
        wake: Callable[[], Awaitable[None]],
        current: Callable[[Principal], Principal],
    ) -> None:
        """`wake` returns once the gateway hears Postgres, which it may have let sleep, or cannot for the moment.

        `current` gives a principal the rights it has now, or raises Unauthenticated: its login has been ended.
        """
        self._wake = wake
        self.rates = rates
        self.open: set[Member] = set()
        self._max_connections = max_connections
        self._heartbeats: list[set[Member]] = [set() for _ in range(close_codes.HEARTBEAT_S)]
        self._second = 0
        self.is_draining = False
        self._current = current

    def note_refused(self, socket: WebSocket, code: int, reason: str) -> None:
        """A socket is about to be closed with this code, before it was let in."""
        kind = REFUSED_AS.get(code, "socket_login")
        self.rates.refusals.socket(kind, socket.client.host if socket.client else "", reason)

    @property
    def is_busy(self) -> bool:
        """Whether any socket is open."""
        return bool(self.open)

    @property
    def is_full(self) -> bool:
        """Whether there are as many sockets as may be."""
        return len(self.open) >= self._max_connections

    def take_seat(self, socket: WebSocket, sub: str) -> Seat | None:
        """A seat for one more socket of this person; None if all of them are taken."""
        address = socket.client.host if socket.client else ""
        return Seat(self.rates, sub, address) if self.rates.take_seat(sub, address) else None

    async def serve(
        self,
        socket: WebSocket,
        member: Member,
        greet: Callable[[], None],
        hear: Callable[[Message], Awaitable[None]],
    ) -> None:
        """From the greeting to the end of the socket: each message is heard before the next is taken."""
        address = socket.client.host if socket.client else ""
        log_about(connection=member.name, address=address)
        began = time.monotonic()
        member.transport.release_handshake()
        slot = min(self._heartbeats, key=len)
        self.open.add(member)
        code, reason = 1006, ""
        try:
            await self._wake()
            greet()
            logger.debug("connection.opened connection=%s sub=%s", member.name, member.principal.sub)
            member.look_at_login(self._current)  # it may have been ended since it was let in
            slot.add(member)  # not sooner: nothing comes before the greeting
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    code, reason = message.get("code", 1005), message.get("reason") or ""
                    return
                member.transport.heard()
                await hear(message)
                # Who asks and does not read the answers is not listened to until it does.
                await member.wait_until_read()
        finally:
            self.open.discard(member)
            slot.discard(member)
            member.end()
            _closed(code).inc()
            logger.log(
                logging.DEBUG if code in _LEFT else logging.INFO,
                "connection.closed connection=%s dialect=%s address=%s sub=%s role=%s code=%s reason=%r seconds=%.1f",
                member.name, member.dialect, address, member.principal.sub, member.principal.role.word, code,
                reason[:120], time.monotonic() - began,
            )  # fmt: skip

    async def run(self) -> None:
        """One timer for all sockets."""
        while True:
            await asyncio.sleep(1.0)
            self.tick()

    def tick(self) -> None:
        """One second has passed: heartbeats spread over the seconds, silence, and expired logins."""
        self._second = (self._second + 1) % close_codes.HEARTBEAT_S
        for member in tuple(self._heartbeats[self._second]):
            member.heartbeat()
        now, silent_since = time.time(), asyncio.get_running_loop().time() - UNHEARD_S
        for member in tuple(self.open):
            member.look_at_clock(now)
            if member.transport.hears_pongs and member.transport.heard_at < silent_since:
                member.close(close_codes.UNHEARD, "nothing heard for 90 seconds")

    def recheck(self) -> None:
        """Logins were ended, or may do other things now: every socket looks at its own, at once and at its start."""
        for member in tuple(self.open):
            member.look_at_login(self._current)

    async def drain(self, hasten: asyncio.Event) -> None:
        """Lets no socket in any more, and returns when all have gone: told when to come back, closed one by one."""
        self.is_draining = True
        await drain(tuple(self.open), lambda member, after_ms: member.warn(after_ms), hasten)

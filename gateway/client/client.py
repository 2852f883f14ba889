"""One connection that comes back by itself, and the topics that live on it.

Lifecycle: `async with connect(…)` starts a task that connects and keeps connecting until the block is left, or
until the server says that coming back is of no use (4500–4999); iterations then raise Closed.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import websockets
from websockets.asyncio.client import ClientConnection

from gateway.client.backoff import backoff_s, may_return
from gateway.client.errors import Closed, Refused
from gateway.client.items import Position, PositionMap
from gateway.client.login import Login, TokenSource
from gateway.client.subscription import Inbox, States, Subscription
from gateway.client.visit import UNAUTHORISED, Visit

logger = logging.getLogger(__name__)

STEADY_S = 5.0
"""A connection that held this long makes the next wait short again."""

Status = Literal["reconnecting", "online", "stale", "closed"]
"""stale: connected, but the gateway cannot hear its database; what you show may be old."""

S = TypeVar("S", Inbox, States)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """What a client keeps for a reader that is slow, and how often it looks at its connection and its login."""

    queue_items: int = 1024
    """Of each topic: a reader that is further behind costs no more memory."""

    check_every_s: float = 5.0


USUAL_LIMITS = ClientLimits()

Dial = Callable[[str, str], AbstractAsyncContextManager[ClientConnection]]


def connect(
    url: str, *, token: TokenSource, on_status: Callable[[Status], None] = lambda status: None
) -> "Client":
    """A client of the gateway at `url` (http, https, ws or wss; a path is where a proxy serves it), for `async with`.

    `token` is a JWT, or an async function that returns one: it is called when one is needed, and again before it
    expires, to renew the login of the open connection in place.
    """
    return Client(socket_url(url), Login(token), on_status)


def socket_url(url: str) -> str:
    """The WebSocket address of the gateway at `url`. Raises ValueError if that is no address."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.netloc:
        raise ValueError(
            f"{url!r} is not the address of a gateway; it looks like https://gateway.example.com"
        )
    path = parts.path.rstrip("/")
    return urlunsplit((scheme, parts.netloc, path if path.endswith("/ws") else f"{path}/ws", parts.query, ""))


@asynccontextmanager
async def dial(url: str, token: str) -> AsyncIterator[ClientConnection]:
    """An open connection for as long as the block lasts."""
    # Its own keepalive is off: heartbeats tell more, as they also come from the gateway's own loop.
    async with websockets.connect(
        url,
        additional_headers={"Authorization": f"Bearer {token}"},
        ping_interval=None,
        close_timeout=1,
        max_size=1 << 20,
    ) as raw:
        yield raw


class Client:
    """Made by `connect`. Closed when the `async with` block ends."""

    def __init__(
        self,
        url: str,
        login: Login,
        on_status: Callable[[Status], None],
        dial: Dial = dial,
        chance: Callable[[], float] = random.random,
        limits: ClientLimits = USUAL_LIMITS,
    ) -> None:
        self._limits = limits
        self._url = url
        self._login = login
        self._on_status = on_status
        self._dial = dial
        self._chance = chance
        self.status: Status = "reconnecting"
        self._subscriptions: dict[str, Inbox | States] = {}
        self._visit: Visit | None = None
        self._task: asyncio.Task[None] | None = None
        self._end: Exception | None = None

    # ------------------------------------------------------------------------------------------ topics

    def inbox(
        self,
        inbox: str | int,
        after: Position | Mapping[str, Position] | None = None,
    ) -> Inbox:
        """Events of an inbox, or of `"*"`: all that the login may read, also ones created later.

        `after` is where you stand: `position` of a REST reply, or of an earlier iteration; a single inbox also takes
        its own entry of it. Without it the stream starts now. Raises ValueError if this client follows the inbox
        already.
        """
        name = f"inbox:{inbox}"
        for other in self._subscriptions:
            if other == name or (other.startswith("inbox:") and "inbox:*" in (other, name)):
                raise ValueError(f"This client follows {other} already; {name} needs a client of its own.")
        start = _position_map(str(inbox), after)
        return self._add(Inbox(name, self, self._release, start, self._limits.queue_items))

    def sessions(self) -> States:
        """The `session` part of every session that the login covers."""
        return self._states("sessions")

    def session(self, session_id: int) -> States:
        """Both parts of one session; viewers get no `link` part."""
        return self._states(f"session:{session_id}")

    def _states(self, name: str) -> States:
        if name in self._subscriptions:
            raise ValueError(f"This client follows {name} already.")
        return self._add(States(name, self, self._release, self._limits.queue_items))

    def _add(self, reading: S) -> S:
        if self._end is not None:
            reading.fail(self._end)
            return reading
        self._subscriptions[reading.topic.name] = reading
        if self._visit is not None and self._visit.is_welcomed:
            reading.topic.join()
        return reading

    def _release(self, reading: Subscription[Any]) -> None:
        if self._subscriptions.get(reading.topic.name) is reading:
            del self._subscriptions[reading.topic.name]
            self.send({"type": "unsubscribe", "topic": reading.topic.name})

    # ------------------------------------------------------------------------------------------ lifecycle

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="gateway-client")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        try:
            await asyncio.wait([self._task])
        finally:  # also when we are cancelled: another task may still iterate
            self._finish(Closed(1000, "the client was closed"))

    async def _run(self) -> None:
        try:
            await self._keep_connected()
        except Closed as closed:
            self._finish(closed)
        except Exception as bug:
            logger.exception("client.failed")
            self._finish(bug)

    async def _keep_connected(self) -> None:
        attempt, was_refused = 0, False
        loop = asyncio.get_running_loop()
        while True:
            visit = Visit(self._login, self._receive, self._join_all, self._limits.check_every_s)
            code, reason = await self._try(visit)
            self._lose()
            if visit.is_welcomed:
                was_refused = False
            if not may_return(code):
                # Once per login: the token may have expired on the way, and its source may have a new one.
                if code != UNAUTHORISED or was_refused or not self._login.can_renew:
                    raise Closed(code, reason)
                was_refused = True
                self._login.forget()
                continue
            if visit.is_welcomed and loop.time() - visit.welcomed_at >= STEADY_S:
                attempt = 0
            # A server that drains says when to return, so that its clients come back spread over time.
            wait_s = backoff_s(attempt, self._chance())
            if visit.return_at is not None:
                wait_s = max(0.0, visit.return_at - loop.time())
            attempt += 1
            logger.info("client.lost code=%d reason=%s retry_in_s=%.1f", code, reason, wait_s)
            await asyncio.sleep(wait_s)

    async def _try(self, visit: Visit) -> tuple[int, str]:
        """One connection, from connect to close; its close code, 1006 if it did not come to that."""
        try:
            token = await self._login.token()
        except Exception as error:  # the caller's token function may raise anything
            logger.warning("client.no_token error=%r", error)
            return 1006, f"no token: {error!r}"
        try:
            async with self._dial(self._url, token) as raw:
                self._visit = visit
                return await visit.stay(raw)
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            return 1006, str(error) or type(error).__name__

    def _lose(self) -> None:
        self._visit = None
        self._become("reconnecting")
        for reading in self._subscriptions.values():
            reading.topic.lose()

    def _finish(self, error: Exception) -> None:
        if self._end is None:
            self._end = error
            self._visit = None
            self._become("closed")
            for reading in tuple(self._subscriptions.values()):
                reading.fail(error)
            self._subscriptions.clear()

    def _become(self, status: Status) -> None:
        if status != self.status:
            self.status = status
            self._on_status(status)

    # ------------------------------------------------------------------------------------------ frames

    def send(self, frame: dict[str, Any]) -> str:
        """Called by topics: sends the frame on the open connection. Returns its ref; '' without a connection."""
        return "" if self._visit is None else self._visit.send(frame)

    def later(self, retry: Callable[[], None]) -> None:
        """Called by topics after the error `unavailable`: calls `retry` after a pause."""
        asyncio.get_running_loop().call_later(backoff_s(1, self._chance()), retry)

    def _join_all(self) -> None:
        self._become("online")
        for reading in tuple(self._subscriptions.values()):
            reading.topic.join()

    def _receive(self, frame: Mapping[str, Any]) -> None:
        if frame.get("type") in ("stale", "fresh"):
            self._become("stale" if frame["type"] == "stale" else "online")
            return
        for reading in tuple(self._subscriptions.values()):
            try:
                reading.topic.receive(frame)
            except Refused as refusal:
                del self._subscriptions[reading.topic.name]
                reading.fail(refusal)


def _position_map(inbox: str, after: Position | Mapping[str, Position] | None) -> PositionMap | None:
    match after:
        case None:
            return None
        case {"off": int(off), "epoch": epoch}:
            return {inbox: Position(off=off, epoch=None if epoch is None else str(epoch))}
    named: PositionMap = {}
    for name, position in after.items():
        if inbox in ("*", name):
            match position:
                case {"off": int(off), "epoch": epoch}:
                    named[name] = Position(off=off, epoch=None if epoch is None else str(epoch))
                case _:
                    raise ValueError(
                        f"`after` has {position!r} for inbox {name}; it looks like {{'off': 184, 'epoch': '…'}}"
                    )
    return named

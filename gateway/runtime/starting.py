"""What a gateway answers between the opening of its port and its being built.

The port is open first: a second gateway fails there, and callers find out what goes on instead of waiting for an
answer. A migration may take minutes, and what asks for health must not kill what migrates. Postgres may be away for
longer: webhooks of sessions that were known are kept until it is back.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from gateway.domain.backoff import Backoff
from gateway.domain.errors import ConfigError, DatabaseAway, StoreUnavailable, Unavailable
from gateway.http.errors import error_reply
from gateway.http.health import alive_reply
from gateway.http.pages import SecurityHeaders
from gateway.http.prefix import Prefix
from gateway.http.responses import json_reply
from gateway.http.webhooks import WEBHOOKS
from gateway.realtime.close_codes import OVERLOAD, RESTART
from gateway.runtime.early_webhooks import EarlyWebhooks
from gateway.runtime.service_manager import ServiceManager

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 2
"""When a caller should come again: WasenderAPI gives a webhook up only after several tries."""

BACKOFF = Backoff(first_s=0.2, most_s=2.0)
"""Between two tries while Postgres is away."""

SAY_EVERY_S = 60.0

STARTING = "The gateway is starting."
RESTARTS = "The gateway restarts."
MIGRATING = "The gateway brings the database up to date."

T = TypeVar("T")


def migrating(line: str, tell: Callable[[str], None]) -> None:
    """Logs what a migration reports, and tells it to those who ask why the gateway is not ready."""
    logger.info("migrate %s", line)
    tell(f"{MIGRATING} {line}")


async def _cut_short(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells the client to come again, if it has had no answer; what has begun just ends."""
    if scope["type"] == "websocket":
        with contextlib.suppress(Exception):
            await send({"type": "websocket.accept"})  # a close code needs it; it may be accepted already
        with contextlib.suppress(Exception):
            await send({"type": "websocket.close", "code": RESTART, "reason": RESTARTS})
    elif scope["type"] == "http":
        with contextlib.suppress(Exception):
            reply = error_reply(Unavailable(f"{RESTARTS} Send it again.", retry_after_s=RETRY_AFTER_S))
            await reply(scope, receive, send)


class StartingApp:
    """Says that the gateway is alive and not ready, and why; from `hand_over` on it is the gateway's own app."""

    def __init__(self, prefix: Prefix, manager: ServiceManager) -> None:
        """`manager` is told what the start waits for, and when webhooks can be kept."""
        self.why = STARTING
        """What the start waits for, in a sentence."""
        self.early: EarlyWebhooks | None = None
        """What keeps webhooks by now, where sessions are known."""
        self._is_away = False
        self._manager = manager
        self._app: ASGIApp | None = None
        self._handed_over: asyncio.Event | None = None
        self._prefix = prefix
        self._security = SecurityHeaders()

    def tell(self, why: str) -> None:
        """Takes the sentence that `/readyz` says from now on."""
        self.why, self._is_away = why, False
        self._manager.status(why)

    def tell_away(self, why: str) -> None:
        """The same while Postgres is away: then the gateway is as ready as its disk."""
        self.why, self._is_away = why, True
        self._manager.status(why)
        if self.early is not None:
            self._manager.ready()

    @property
    def can_wait(self) -> bool:
        """Whether the database is known to have been there: then it is waited for."""
        return self.early is not None

    async def hand_over(self, app: ASGIApp) -> None:
        """Lets `app` answer everything that comes from now on. What was kept before is safe when it begins."""
        if self.early is not None:
            self._handed_over = asyncio.Event()
            await self.early.close()
        self._app = app
        self._manager.status("The gateway runs.")
        self._manager.ready()
        if self._handed_over is not None:
            self._handed_over.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None and self._handed_over is not None and scope["type"] == "http":
            await self._handed_over.wait()
        if self._app is not None:
            try:
                await self._app(scope, receive, send)
            except asyncio.CancelledError:
                # The gateway has to end, and this waits for something that does not come: Postgres, most of the time.
                await _cut_short(scope, receive, send)
        elif scope["type"] == "websocket":
            websocket = WebSocket(scope, receive, send)
            await websocket.accept()
            await websocket.close(OVERLOAD, STARTING)
        elif scope["type"] == "http":
            self._prefix.take_off(scope)
            if self.early is not None and is_webhook(scope):
                await self.early.app(scope, receive, send)
            else:
                reply = self._answer(Request(scope, receive))
                await reply(scope, receive, self._security.added_to(send, scope))

    def _answer(self, request: Request) -> Response:
        if request.method in ("GET", "HEAD") and request.url.path == "/healthz":
            return alive_reply(request)
        if request.method in ("GET", "HEAD") and request.url.path == "/readyz":
            is_ready, said = self._judge()
            reply = json_reply(said, 200 if is_ready else 503)
            if not is_ready:
                reply.headers["Retry-After"] = str(RETRY_AFTER_S)
            return reply
        return error_reply(Unavailable(f"{STARTING} Send it again.", retry_after_s=RETRY_AFTER_S))

    def _judge(self) -> tuple[bool, dict[str, object]]:
        if self._is_away and self.early is not None:
            return self.early.judge(self.why)
        return False, {"status": "starting", "why": self.why}


def is_webhook(scope: Scope) -> bool:
    """Whether the request brings a webhook."""
    return bool(scope["method"] == "POST" and scope["path"].startswith(WEBHOOKS))


async def until_there(attempt: Callable[[], Awaitable[T]], app: StartingApp) -> T:
    """What the attempt returns, tried again while Postgres is away, if it is known to have been there.

    Raises what the attempt raises otherwise: an address that has never answered is a mistake.
    """
    loop = asyncio.get_running_loop()
    failures, said_at = 0, float("-inf")
    while True:
        try:
            return await attempt()
        except (DatabaseAway, StoreUnavailable) as error:
            if not _may_come_back(error, app.can_wait):
                raise
            app.tell_away(error.message)
            if loop.time() - said_at >= SAY_EVERY_S:
                said_at = loop.time()
                logger.warning("start.waits error=%s", error.message)
        failures += 1
        await asyncio.sleep(BACKOFF.pause_s(failures, random.random()))


def _may_come_back(error: DatabaseAway | StoreUnavailable, can_wait: bool) -> bool:
    if isinstance(error, DatabaseAway):
        return can_wait or error.is_there
    return can_wait and not isinstance(error, ConfigError)  # a right or a table that is missing

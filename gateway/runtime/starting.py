"""What a gateway answers between the opening of its port and its being built.

The port is open first: a second gateway fails there, and callers find out what goes on instead of waiting for an
answer. A migration may take minutes, and what asks for health must not kill what migrates.
"""

import logging
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from gateway.domain.errors import Unavailable
from gateway.http.errors import error_reply
from gateway.http.health import alive_reply
from gateway.http.pages import SecurityHeaders
from gateway.http.responses import json_reply
from gateway.realtime.close_codes import OVERLOAD

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 2
"""When a caller should come again: WasenderAPI gives a webhook up only after several tries."""

STARTING = "The gateway is starting."
MIGRATING = "The gateway brings the database up to date."


def migrating(line: str, tell: Callable[[str], None]) -> None:
    """Logs what a migration reports, and tells it to those who ask why the gateway is not ready."""
    logger.info("migrate %s", line)
    tell(f"{MIGRATING} {line}")


class StartingApp:
    """Says that the gateway is alive and not ready, and why; from `hand_over` on it is the gateway's own app."""

    def __init__(self) -> None:
        self.why = STARTING
        """What the start waits for, in a sentence."""
        self._app: ASGIApp | None = None
        self._security = SecurityHeaders()

    def tell(self, why: str) -> None:
        """Takes the sentence that `/readyz` says from now on."""
        self.why = why

    def hand_over(self, app: ASGIApp) -> None:
        """Lets `app` answer everything that comes from now on."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            websocket = WebSocket(scope, receive, send)
            await websocket.accept()
            await websocket.close(OVERLOAD, STARTING)
        elif scope["type"] == "http":
            request = Request(scope, receive)
            await self._answer(request)(scope, receive, self._security.added_to(send, scope))

    def _answer(self, request: Request) -> Response:
        if request.method in ("GET", "HEAD") and request.url.path == "/healthz":
            return alive_reply(request)
        if request.method in ("GET", "HEAD") and request.url.path == "/readyz":
            reply = json_reply({"status": "starting", "why": self.why}, 503)
            reply.headers["Retry-After"] = str(RETRY_AFTER_S)
            return reply
        return error_reply(Unavailable(f"{STARTING} Send it again.", retry_after_s=RETRY_AFTER_S))

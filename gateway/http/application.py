"""The routes as one ASGI application, with what holds for every answer."""

import functools
import time
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from gateway.domain.errors import GatewayError, Unavailable
from gateway.domain.origins import frame_sources, sent_origins
from gateway.http.errors import HANDLERS, error_reply, unexpected
from gateway.http.health import CompatibilityView
from gateway.http.hosts import wrong_host
from gateway.http.limits import RequestLimits, has_body
from gateway.http.observed import RequestObserver
from gateway.http.pages import SecurityHeaders
from gateway.http.prefix import Prefix
from gateway.http.webhooks import WEBHOOKS
from gateway.services.auth.origins import Hosts

_OF_SUPABASE = (
    "accept-profile", "apikey", "content-profile", "prefer", "range", "range-unit", "x-client-info", "x-retry-count",
    "x-supabase-api-version",
)  # fmt: skip
"""What Supabase's clients add to `.from()`: let through, so that the page's console shows why it is answered 404."""


_OF_OPERATORS = ("/healthz", "/readyz", "/metrics")
RETRY_AFTER_S = 5
"""When a client of an outdated gateway should ask again: another one answers by then."""


class Application(Starlette):
    """Sockets and webhooks go straight to their endpoints.

    What stands around the routes is for browsers' requests. On the stack of a socket it would stay as long as that is
    open, 6 kB of it; of what a webhook costs before Postgres it was a fifth.
    """

    security: SecurityHeaders
    observer: RequestObserver | None = None
    hosts: Hosts | None = None
    limits: RequestLimits | None = None
    compatibility: CompatibilityView | None = None
    prefix: Prefix | None = None

    @functools.cached_property
    def _sockets(self) -> dict[str, WebSocketRoute]:
        return {route.path: route for route in reversed(self.routes) if isinstance(route, WebSocketRoute)}

    @functools.cached_property
    def _webhooks(self) -> list[Route]:
        return [
            route for route in self.routes if isinstance(route, Route) and route.path.startswith(WEBHOOKS)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.prefix is not None:
            if (redirect := self.prefix.redirect(scope)) is not None:
                await redirect(scope, receive, self.security.added_to(send, scope))
                return
            self.prefix.take_off(scope)
        if scope["type"] != "http":
            await self._pass_on(scope, receive, send)
        elif self.observer is None:
            await self._answer_http(scope, receive, send)
        else:
            began = time.perf_counter()
            self.observer.begin(scope)
            try:
                await self._answer_http(scope, receive, send)
            finally:
                self.observer.end(scope, began)

    async def _answer_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Around everything, so that errors, webhooks and what is not there say the same as the page.
        send = self.security.added_to(send, scope)
        refused = wrong_host(scope, self.hosts) if self.hosts is not None else None
        refused = refused or self._outdated(scope)
        if refused is not None:
            await refused(scope, receive, send)
        elif self.limits is None or not has_body(scope):
            await self._pass_on(scope, receive, send)
        else:
            lease, receive = self.limits.metered(scope, receive)
            try:
                await self._pass_on(scope, receive, send)
            finally:
                lease.end()

    def _outdated(self, scope: Scope) -> Response | None:
        """The answer of a gateway that may not serve the schema any more.

        Webhooks are taken as long as the sender does not go elsewhere: what Postgres refuses waits in the spool.
        """
        why = self.compatibility.complaint if self.compatibility is not None else None
        if why is None or scope["path"] in _OF_OPERATORS or scope["path"].startswith(WEBHOOKS):
            return None
        return error_reply(Unavailable(why, retry_after_s=RETRY_AFTER_S))

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            socket = self._sockets.get(scope["path"])
            if socket is not None:
                await socket.endpoint(WebSocket(scope, receive, send))
                return
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith(WEBHOOKS):
            for route in self._webhooks:
                match, more = route.matches(scope)
                if match is Match.FULL:
                    scope.update(more)
                    await _answer(route.endpoint, Request(scope, receive), send)
                    return
        await super().__call__(scope, receive, send)


async def _answer(endpoint: Callable[[Request], Awaitable[Response]], request: Request, send: Send) -> None:
    try:
        response = await endpoint(request)
    except GatewayError as error:
        response = error_reply(error)
    except Exception as error:  # `unexpected` logs it
        response = await unexpected(request, error)
    await response(request.scope, request.receive, send)


def application(
    routes: Sequence[BaseRoute],
    *,
    allowed_origins: tuple[str, ...],
    limits: RequestLimits,
    hosts: Hosts | None = None,
    is_https: bool = False,
    compatibility: CompatibilityView | None = None,
    prefix: Prefix | None = None,
) -> Starlette:
    """The application, with what holds for every answer.

    `allowed_origins` are foreign pages that may call us and may show our page in a frame. `limits` hold for all routes.
    `hosts` are the names that we answer to; any, if left out. `is_https`: browsers reach us by https.
    `compatibility` says whether this version may serve the schema.
    `prefix` is taken off addresses that come with it.
    """
    limits.count_open(routes)
    made = Application(
        routes=list(routes),
        exception_handlers=HANDLERS,
        middleware=[_cors(allowed_origins)],
    )
    made.security = SecurityHeaders(frame_sources(allowed_origins), is_https=is_https)
    made.observer = RequestObserver(routes)
    made.hosts = hosts
    made.limits = limits
    made.compatibility = compatibility
    made.prefix = prefix
    made.router.default = limits.counted(made.router.default)
    # A redirect would have no sentence in it, and the address in it would be what the caller calls us.
    made.router.redirect_slashes = False
    return made


def _cors(allowed_origins: tuple[str, ...]) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=list(sent_origins(allowed_origins)),
        allow_credentials=True,
        allow_methods=["GET", "POST", "PATCH", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-Id", *_OF_SUPABASE],
        # By `Date` an embedded page compares the clocks.
        expose_headers=["Date", "Retry-After", "X-Request-Id"],
    )

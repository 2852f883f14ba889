"""What one request may cost, decided around the routes and not in them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.domain.access import Principal
from gateway.domain.errors import RateLimited, Unavailable
from gateway.http.errors import error_reply
from gateway.services.addresses import VISITOR
from gateway.services.body_budget import BODY, BodyBudget, BodyLease
from gateway.services.rates import Rates, key_of
from gateway.services.refusals import Refusals

SEARCHES_OF_ALL = 2
"""At the same time in this process, of all callers: reads of others find connections, and Postgres a core."""

SEARCH_WAIT_S = 5.0

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
_UNCOUNTED = ("/healthz", "/readyz", "/api/whatsapp/webhook", "/ui/")
_ASKS_UPSTREAM = ("/refresh", "/sync", "/sync.php")


class RequestLimits:
    """Holds requests to the rates of people, and their bodies to the memory there is."""

    def __init__(self, rates: Rates, bodies: BodyBudget, refusals: Refusals) -> None:
        self.rates = rates
        self._bodies = bodies
        self._refusals = refusals
        self._searching = asyncio.Semaphore(SEARCHES_OF_ALL)

    # ------------------------------------------------------------------------------------------ people

    def come(self, request: Request, principal: Principal) -> None:
        """The request has shown who sends it. Raises RateLimited."""
        address = address_of(request.scope)
        know(request.scope, key_of(principal.sub, address))
        self.rates.request(principal, address)

    def come_unknown(self, request: Request) -> None:
        """The request has shown no login that counts. Raises RateLimited."""
        self.rates.request(None, address_of(request.scope))

    @contextlib.asynccontextmanager
    async def work(self, request: Request, principal: Principal) -> AsyncIterator[None]:
        """While the request is answered: searches, and calls that make upstream work, have limits of their own."""
        address, query = address_of(request.scope), request.query_params
        path = request.scope["path"]
        with contextlib.ExitStack() as stack:
            if (query and (query.get("refresh") or query.get("upstream"))) or path.endswith(_ASKS_UPSTREAM):
                stack.enter_context(self.rates.upstream(principal, address))
            if query and (query.get("search") or path.endswith("/search")):
                stack.enter_context(self.rates.search(principal, address))
                await self._await_search(address)
                stack.callback(self._searching.release)
            yield

    async def _await_search(self, address: str) -> None:
        try:
            async with asyncio.timeout(SEARCH_WAIT_S):
                await self._searching.acquire()
        except TimeoutError:
            self._refusals.count("searches", address)
            raise Unavailable("Too many searches at once. Try again in a moment.", retry_after_s=2) from None

    # ------------------------------------------------------------------------------------------ bodies

    def metered(self, scope: Scope, receive: Receive) -> tuple[BodyLease, Receive]:
        """The lease of a request's body, to be ended with the request; and `receive`, which asks it first."""
        lease = scope[BODY] = self._bodies.open(address_of(scope))
        announced = 0
        for name, value in scope["headers"]:
            if name == b"content-length":
                announced = int(value) if value.isdigit() else 0
        read = 0

        async def metered_receive() -> Message:
            nonlocal read
            if read == 0 and announced and not lease.is_streamed:
                await lease.grow_to(min(announced, lease.most))
            message = await receive()
            body = message.get("body")
            if body:
                read = len(body) if lease.is_streamed else read + len(body)
                await lease.grow_to(read)
            return message

        return lease, metered_receive

    # ------------------------------------------------------------------------------------------ open routes

    def count_open(self, routes: Iterable[BaseRoute]) -> None:
        """Holds routes that ask for no login to the rate of an address. What the page is made of does not count:
        it comes in one go, and costs a read of a file."""
        for route in routes:
            if isinstance(route, Route) and not route.path.startswith(_UNCOUNTED) and not is_guarded(route):
                route.app = self.counted(route.app)

    def counted(self, app: ASGIApp) -> ASGIApp:
        """The same, held to the rate of an address."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                self.rates.request(None, address_of(scope))
            except RateLimited as error:
                await error_reply(error)(scope, receive, send)
                return
            await app(scope, receive, send)

        return counted


def is_guarded(route: Route) -> bool:
    """Whether the route asks for a login."""
    return getattr(route.endpoint, "is_guarded", False)


def has_body(scope: Scope) -> bool:
    """Whether the request may have a body."""
    return scope["method"] not in _BODILESS


def address_of(scope: Scope) -> str:
    """The client's; our server class has looked behind the proxies that are trusted."""
    client = scope.get("client")
    return client[0] if client else ""


def know(scope: Scope, who: str = "", *, is_webhook: bool = False) -> None:
    """The request has shown the login of `who`, or a webhook's secret: connection and body are no stranger's."""
    lease = scope.get(BODY)
    if lease is not None:
        lease.know(who, is_webhook=is_webhook)
    visitor = scope.get("extensions", {}).get(VISITOR)
    if visitor is not None:
        visitor.know(is_webhook=is_webhook)

"""What is known of every request from outside its route: its id, what it came to, and how long it took."""

import time
from collections.abc import Iterable

from prometheus_client import Counter, Histogram
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Scope

from gateway.services.log_context import REQUEST_ID, log_about, new_request_id

REQUESTS = Counter(
    "gateway_http_requests",
    "Requests that were answered, by route and status.",
    ["route", "method", "status"],
)
SECONDS = Histogram(
    "gateway_http_request_seconds",
    "From the head of a request to the end of its answer, by route.",
    ["route"],
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

STATUS = "gateway.status"
"""Key of the scope: the status that the answer began with."""

NAME = "gateway.request"
"""Key of the scope: the id of the request."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADER = REQUEST_ID.encode()


class RequestObserver:
    """Names requests, and counts them under the path of their route: never under what a client wrote."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._paths: dict[int, str] = {}
        """By the identity of the endpoint: not all of them can be hashed."""
        self._note(routes, "")
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def _note(self, routes: Iterable[BaseRoute], prefix: str) -> None:
        for route in routes:
            if isinstance(route, Route):
                self._paths.setdefault(id(route.endpoint), prefix + route.path)
            elif isinstance(route, Mount):
                self._paths.setdefault(id(route.app), f"{prefix}{route.path}/…")
                self._note(route.routes, prefix + route.path)

    def begin(self, scope: Scope) -> None:
        """Gives the request its id; what is logged in this task is about it from now on."""
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER), None)
        client = scope.get("client")
        scope[NAME] = request_id = new_request_id(given)
        log_about(request=request_id, address=client[0] if client else "")

    def end(self, scope: Scope, began: float) -> None:
        """The request has been answered, or its client is gone; `began` is of `time.perf_counter`."""
        route = self._paths.get(id(scope.get("endpoint")), "other")
        method, status = scope["method"], scope.get(STATUS, 499)
        key = (route, method if method in _METHODS else "other", status)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = REQUESTS.labels(*key)
        counter.inc()
        timer = self._timers.get(route)
        if timer is None:
            timer = self._timers[route] = SECONDS.labels(route)
        timer.observe(time.perf_counter() - began)

"""Is it alive, is it ready, and what does it count."""

import hmac
import ipaddress
from collections.abc import Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import __version__
from gateway.domain.errors import Unauthenticated
from gateway.http.responses import json_reply
from gateway.services.addresses import VISITOR, says_forwarded
from gateway.services.auth.origins import is_loopback_host


class HealthRoutes:
    """Serves what a load balancer and Prometheus ask."""

    def __init__(
        self, readiness: Callable[[], tuple[bool, dict[str, Any]]], metrics_token: str | None = None
    ) -> None:
        """`readiness()`: whether webhooks can be made safe now, and what to say about it.

        `metrics_token` opens /metrics from elsewhere than this machine.
        """
        self._readiness = readiness
        self._metrics_token = metrics_token

    def routes(self) -> list[Route]:
        """The routes, open to every caller."""
        return [
            Route("/healthz", self._alive, methods=["GET"]),
            Route("/readyz", self._ready, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
        ]

    async def _alive(self, request: Request) -> Response:
        said = {"status": "ok", "version": __version__}
        if says_forwarded(request.scope["headers"]):
            visitor = request.scope.get("extensions", {}).get(VISITOR)
            said["proxy"] = "trusted" if visitor is not None and visitor.is_proxied else "unnamed"
        return json_reply(said)

    async def _ready(self, request: Request) -> Response:
        is_ready, body = self._readiness()
        return json_reply(body, 200 if is_ready else 503)

    async def _metrics(self, request: Request) -> Response:
        if not (_is_from_here(request) or self._has_token(request)):
            raise Unauthenticated(
                "Metrics are for this machine only, or for those who send GATEWAY_METRICS_TOKEN as their Bearer."
            )
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    def _has_token(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not self._metrics_token or scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(token.strip().encode(), self._metrics_token.encode())


_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


def _is_from_here(request: Request) -> bool:
    """Whether it comes from this machine, and not through a proxy on it nor from a page of another name.

    A browser on this machine comes from here too: a page whose name is made to point here says that name as its host.
    """
    hosts = request.headers.getlist("host")
    if (
        any(name in request.headers for name in _FORWARDED)
        or len(hosts) != 1
        or not is_loopback_host(hosts[0])
    ):
        return False
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False

"""Is it alive, is it ready, and what does it count."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import __version__
from gateway.http.responses import json_reply
from gateway.services.addresses import VISITOR, says_forwarded


class HealthRoutes:
    """Serves what a load balancer and Prometheus ask."""

    def __init__(self, readiness: Callable[[], tuple[bool, dict[str, Any]]]) -> None:
        """`readiness()`: whether webhooks can be made safe now, and what to say about it."""
        self._readiness = readiness

    def routes(self) -> list[Route]:
        """The routes, open to everybody."""
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
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

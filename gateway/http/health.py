"""Is it alive, is it ready, and what does it count."""

import hmac
import ipaddress
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import __version__
from gateway.domain.errors import Unauthenticated
from gateway.http.responses import json_reply
from gateway.services.addresses import VISITOR, says_forwarded
from gateway.services.auth.origins import is_loopback_host

AWAY = "Postgres does not take anything at the moment"


class Draining(Protocol):
    """The sockets of this process."""

    is_draining: bool
    """Whether they are being sent away: the gateway is about to stop."""


class Hearing(Protocol):
    """Whether the gateway hears all of Postgres."""

    def is_stale(self) -> bool:
        """Whether it may have missed something."""


class ListenerView(Protocol):
    """The connection that hears Postgres."""

    complaint: str | None
    """Why Postgres is not heard, as half a sentence; None while it is."""


class Committing(Protocol):
    """What writes webhooks."""

    is_away: bool
    """Whether the last attempt to commit anything failed for no fault of the data."""


class SpoolView(Protocol):
    """Where webhooks wait for Postgres."""

    def count(self) -> int:
        """How many wait."""

    def complaint(self) -> str | None:
        """Why it would take nothing; None while it does."""


class Metrics(Protocol):
    """The numbers of all workers."""

    async def text(self) -> bytes:
        """All of them, in Prometheus' text format."""


class TriggersView(Protocol):
    """Whether the triggers that tell of changes are as they were made."""

    complaint: str | None
    """Why changes are not told to browsers; None while they are."""


class CompatibilityView(Protocol):
    """Whether this version may serve the schema."""

    complaint: str | None
    """Why it may not; None while it may."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Can webhooks be made safe now, by commit or by spool?"""

    connections: Draining
    staleness: Hearing
    ingest: Committing
    spool: SpoolView
    triggers: TriggersView
    compatibility: CompatibilityView
    listener: ListenerView

    def judge(self) -> tuple[bool, dict[str, Any]]:
        """Whether to send webhooks here, and what to say about it."""
        if self.compatibility.complaint is not None:
            return False, {"status": "draining", "why": self.compatibility.complaint}
        return judge_readiness(
            is_draining=self.connections.is_draining,
            can_commit=not self.staleness.is_stale() and not self.ingest.is_away,
            spooled=self.spool.count(),
            complaint=self.spool.complaint(),
            untold=self.triggers.complaint,
            away=self.listener.complaint,
        )


class HealthRoutes:
    """Serves what a load balancer and Prometheus ask."""

    def __init__(self, readiness: Readiness, metrics: Metrics, metrics_token: str | None = None) -> None:
        """`metrics_token` opens /metrics from elsewhere than this machine."""
        self._readiness = readiness
        self._metrics_of_all = metrics
        self._metrics_token = metrics_token

    def routes(self) -> list[Route]:
        """The routes, open to every caller."""
        return [
            Route("/healthz", self._alive, methods=["GET"]),
            Route("/readyz", self._ready, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
        ]

    async def _alive(self, request: Request) -> Response:
        return alive_reply(request)

    async def _ready(self, request: Request) -> Response:
        is_ready, body = self._readiness.judge()
        return json_reply(body, 200 if is_ready else 503)

    async def _metrics(self, request: Request) -> Response:
        if not (_is_from_here(request) or self._has_token(request)):
            raise Unauthenticated(
                "Metrics are for this machine only, or for those who send GATEWAY_METRICS_TOKEN as their Bearer."
            )
        return Response(await self._metrics_of_all.text(), media_type=CONTENT_TYPE_LATEST)

    def _has_token(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not self._metrics_token or scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(token.strip().encode(), self._metrics_token.encode())


def alive_reply(request: Request) -> Response:
    """That this process answers, which version it is, and whether the proxy before it is named."""
    said = {"status": "ok", "version": __version__}
    if says_forwarded(request.scope["headers"]):
        visitor = request.scope.get("extensions", {}).get(VISITOR)
        said["proxy"] = "trusted" if visitor is not None and visitor.is_proxied else "unnamed"
    return json_reply(said)


def judge_readiness(
    *,
    is_draining: bool,
    can_commit: bool,
    spooled: int,
    complaint: str | None,
    untold: str | None = None,
    away: str | None = None,
) -> tuple[bool, dict[str, Any]]:
    """Whether to send webhooks here, and what to say.

    `complaint` is why the spool would take nothing, `untold` why changes of the tables are not told to browsers,
    `away` why Postgres takes nothing.
    """
    if is_draining:
        return False, {"status": "draining"}
    postgres = f"{AWAY}: {away}." if away else f"{AWAY}."
    if not can_commit and complaint:
        return False, {"status": "unavailable", "why": f"{postgres} {complaint}", "spooled": spooled}
    if not can_commit:
        return True, {
            "status": "degraded",
            "why": f"{postgres} Webhooks are kept on the gateway's disk until it does.",
            "spooled": spooled,
        }
    if complaint:
        why = f"{complaint} While that is so, an outage of Postgres would send webhooks back."
        return True, {"status": "degraded", "why": why, "spooled": spooled}
    if spooled:
        why = "Webhooks that were kept on the gateway's disk are on their way to Postgres."
        return True, {"status": "degraded", "why": why, "spooled": spooled}
    if untold:
        return True, {"status": "degraded", "why": untold}
    return True, {"status": "ready"}


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

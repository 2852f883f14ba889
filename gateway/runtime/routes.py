"""Every way in: both sockets, the REST routes, the page."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute

from gateway.domain.linking import Attempt
from gateway.http.account import AccountRoutes
from gateway.http.api import openapi
from gateway.http.application import application
from gateway.http.audit_log import AuditLogRoutes
from gateway.http.auth import COOKIE, AuthRoutes, Gate
from gateway.http.docs import DocsRoutes
from gateway.http.health import HealthRoutes
from gateway.http.inbox import InboxRoutes
from gateway.http.journal import JournalRoutes
from gateway.http.limits import RequestLimits
from gateway.http.pages import PageRoutes
from gateway.http.people import PeopleRoutes
from gateway.http.search import SearchRoutes
from gateway.http.sessions import SessionRoutes
from gateway.http.webhooks import WebhookRoutes
from gateway.postgres.inbox.inbox import InboxTable
from gateway.realtime.connections import Connections
from gateway.realtime.hub.catch_up_reads import SharedReads
from gateway.realtime.hub.hub import Hub
from gateway.realtime.native import asyncapi
from gateway.realtime.native.endpoint import Realtime
from gateway.realtime.supabase.endpoint import SupabaseRealtime
from gateway.realtime.supabase.tables import Tables
from gateway.runtime.access import Access
from gateway.runtime.repositories import Repositories
from gateway.runtime.upstream import UpstreamAccess
from gateway.services.linking.service import Linking
from gateway.services.live.feed import Feed
from gateway.services.live.idle import IdleMonitor
from gateway.services.live.session_states import SessionStates
from gateway.services.live.staleness import Staleness
from gateway.services.sessions.audit_log import AuditLog
from gateway.services.sessions.reconcile import Reconciler
from gateway.services.sessions.service import Sessions
from gateway.services.webhooks.authenticator import WebhookAuthenticator
from gateway.services.webhooks.ingest import Ingest
from gateway.services.webhooks.journal import Journal
from gateway.settings import Settings
from gateway.wasender import qr, webhook

UI = Path(__file__).parents[1] / "ui"


@dataclass(frozen=True, slots=True)
class Pictures:
    """QR codes as the routes show them."""

    states: SessionStates

    def code_data(self, attempt: Attempt) -> dict[str, Any]:
        """The attempt's code as REST and sockets show it."""
        return self.states.code_data(attempt)

    def svg(self, code: str) -> str:
        """The code as an SVG picture."""
        return qr.svg(code)

    def png(self, code: str) -> bytes:
        """The code as a PNG picture."""
        return qr.png(code)


class WebSockets:
    """Both dialects over one hub and one set of connections."""

    def __init__(
        self,
        settings: Settings,
        repositories: Repositories,
        access: Access,
        *,
        hub: Hub,
        feed: Feed,
        states: SessionStates,
        staleness: Staleness,
        connections: Connections,
    ) -> None:
        reads = SharedReads(repositories.streams)
        self.ours = Realtime(
            hub=hub,
            feed=feed,
            states=states,
            streams=reads,
            login=access.login,
            origins=access.origins,
            cookie=access.cookie,
            staleness=staleness,
            connections=connections,
            max_topics=settings.subscriptions,
        )
        self.supabase = SupabaseRealtime(
            hub=hub,
            feed=feed,
            streams=reads,
            keys=access.keys,
            origins=access.origins,
            tables=Tables(repositories.columns),
            staleness=staleness,
            connections=connections,
            limits=settings.limits,
        )

    def routes(self) -> list[BaseRoute]:
        """The routes of both dialects."""
        return [
            WebSocketRoute("/ws", self.ours.serve),
            WebSocketRoute("/realtime/v1/websocket", self.supabase.serve),
        ]

    def tell_stale(self, since: str) -> None:
        """Tells all clients that they may miss something since then (ISO 8601)."""
        self.ours.tell_stale(since)
        self.supabase.tell_stale()

    def tell_fresh(self) -> None:
        """Tells all clients that they have everything again."""
        self.ours.tell_fresh()
        self.supabase.tell_fresh()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services that the routes call."""

    access: Access
    authenticator: WebhookAuthenticator
    ingest: Ingest
    idle: IdleMonitor
    sessions: Sessions
    reconciler: Reconciler
    linking: Linking
    states: SessionStates
    audit_log: AuditLog
    journal: Journal
    inbox: InboxTable


@functools.cache
def descriptions() -> tuple[bytes, bytes]:
    """OpenAPI and AsyncAPI as JSON: the same for every gateway of this version, and 0.1 s of work to make."""
    rest = openapi.document()
    websockets = asyncapi.document(openapi.schemas(), COOKIE)
    return orjson.dumps(rest), orjson.dumps(websockets)


def _access_routes(gate: Gate, access: Access, about: dict[str, Any]) -> list[Route]:
    """The ways to log in, and what people do with their logins."""
    auth = AuthRoutes(gate, access.login, access.logins, access.log, UI, about, prefix=access.prefix)
    people, account = PeopleRoutes(gate, access.people), AccountRoutes(gate, access.logins)
    return [*auth.routes(), *people.routes(), *account.routes()]


def _inbox_routes(gate: Gate, services: Services) -> list[Route]:
    """Conversations, and what is done with them."""
    return [*InboxRoutes(gate, services.inbox).routes(), *SearchRoutes(gate, services.inbox).routes()]


def build_app(
    settings: Settings,
    repositories: Repositories,
    services: Services,
    websockets: WebSockets,
    upstream_access: UpstreamAccess,
    readiness: Callable[[], tuple[bool, dict[str, Any]]],
    limits: RequestLimits,
) -> Starlette:
    """The whole application; the first route that fits an address answers."""
    access = services.access
    gate = Gate(access.login, access.origins, limits, access.cookie, access.logins, access.log)
    about = {"timezone": settings.timezone, "simulator": settings.simulator, "can_send": False}
    pictures = Pictures(services.states)
    hooks = WebhookRoutes(webhook, services.authenticator, services.ingest, limits, services.idle.touch)
    return application(
        [
            *hooks.routes(),
            *_access_routes(gate, access, about),
            *SessionRoutes(
                gate,
                services.sessions,
                services.reconciler,
                services.linking,
                repositories.attempts,
                pictures,
            ).routes(),
            *AuditLogRoutes(gate, services.audit_log).routes(),
            *JournalRoutes(gate, services.journal).routes(),
            *_inbox_routes(gate, services),
            *HealthRoutes(readiness, settings.metrics_token).routes(),
            *DocsRoutes(UI, *descriptions()).routes(),
            *websockets.routes(),
            *upstream_access.routes(),
            *PageRoutes(gate, UI, access.prefix).routes(),
        ],
        allowed_origins=settings.allowed_origins,
        limits=limits,
        hosts=access.hosts,
        is_https=access.is_https,
    )

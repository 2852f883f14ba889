"""Every way in: both sockets, the REST routes, the page."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, WebSocketRoute

from gateway.domain.linking import Attempt
from gateway.http.api import openapi
from gateway.http.application import application
from gateway.http.audit_log import TrailRoutes
from gateway.http.auth import COOKIE, AuthRoutes, Gate
from gateway.http.docs import DocsRoutes
from gateway.http.health import HealthRoutes
from gateway.http.inbox import InboxRoutes
from gateway.http.journal import JournalRoutes
from gateway.http.pages import PageRoutes
from gateway.http.sessions import SessionRoutes
from gateway.http.webhooks import WebhookRoutes
from gateway.postgres.inbox.inbox import InboxTable
from gateway.realtime.connections import Roster
from gateway.realtime.hub.catch_up_reads import SharedReads
from gateway.realtime.hub.hub import Hub
from gateway.realtime.native import asyncapi
from gateway.realtime.native.endpoint import Realtime
from gateway.realtime.supabase.endpoint import SupabaseRealtime
from gateway.realtime.supabase.tables import Tables
from gateway.runtime.repositories import Stores
from gateway.runtime.upstream import Outside
from gateway.services.auth.login import Login
from gateway.services.auth.origins import Origins
from gateway.services.auth.supabase_keys import SupabaseKeys
from gateway.services.linking.service import Linking
from gateway.services.live.feed import Feed
from gateway.services.live.idle import Slumber
from gateway.services.live.session_states import States
from gateway.services.live.staleness import Truth
from gateway.services.sessions.audit_log import Trail
from gateway.services.sessions.reconcile import Reconciler
from gateway.services.sessions.service import Sessions
from gateway.services.webhooks.authenticator import Senders
from gateway.services.webhooks.ingest import Ingest
from gateway.services.webhooks.journal import Journal
from gateway.settings import Settings
from gateway.wasender import qr, webhook

UI = Path(__file__).parents[1] / "ui"


@dataclass(frozen=True, slots=True)
class Pictures:
    """QR codes as the routes show them."""

    states: States

    def code_data(self, attempt: Attempt) -> dict[str, Any]:
        return self.states.code_data(attempt)

    def svg(self, code: str) -> str:
        return qr.svg(code)

    def png(self, code: str) -> bytes:
        return qr.png(code)


class Sockets:
    """Both dialects over one hub, one roster."""

    def __init__(
        self,
        settings: Settings,
        secret: str,
        stores: Stores,
        login: Login,
        *,
        hub: Hub,
        feed: Feed,
        states: States,
        truth: Truth,
        roster: Roster,
    ) -> None:
        origins = Origins(settings.allowed_origins)
        reads = SharedReads(stores.streams)
        self.ours = Realtime(
            hub=hub,
            feed=feed,
            states=states,
            streams=reads,
            login=login,
            origins=origins,
            cookie=COOKIE,
            truth=truth,
            roster=roster,
        )
        self.supabase = SupabaseRealtime(
            hub=hub,
            feed=feed,
            streams=reads,
            keys=SupabaseKeys(secret, settings.supabase_jwt_secret),
            origins=origins,
            tables=Tables(stores.columns),
            truth=truth,
            roster=roster,
        )

    def routes(self) -> list[BaseRoute]:
        return [
            WebSocketRoute("/ws", self.ours.serve),
            WebSocketRoute("/realtime/v1/websocket", self.supabase.serve),
        ]

    def tell_stale(self, since: str) -> None:
        self.ours.tell_stale(since)
        self.supabase.tell_stale()

    def tell_fresh(self) -> None:
        self.ours.tell_fresh()
        self.supabase.tell_fresh()


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """The services that the routes call."""

    login: Login
    senders: Senders
    ingest: Ingest
    slumber: Slumber
    sessions: Sessions
    reconciler: Reconciler
    linking: Linking
    states: States
    trail: Trail
    journal: Journal
    inbox: InboxTable


def open_doors(
    settings: Settings,
    stores: Stores,
    jobs: Jobs,
    sockets: Sockets,
    outside: Outside,
    readiness: Callable[[], tuple[bool, dict[str, Any]]],
) -> Starlette:
    """The whole application; the first route that fits an address answers."""
    gate = Gate(jobs.login, Origins(settings.allowed_origins))
    about = {"timezone": settings.timezone, "simulator": settings.simulator, "can_send": False}
    is_https = (settings.public_url or "").startswith("https:")
    pictures = Pictures(jobs.states)
    return application(
        [
            *WebhookRoutes(webhook, jobs.senders, jobs.ingest, jobs.slumber.touch).routes(),
            *AuthRoutes(gate, jobs.login, UI, about, is_https=is_https).routes(),
            *SessionRoutes(
                gate, jobs.sessions, jobs.reconciler, jobs.linking, stores.attempts, pictures
            ).routes(),
            *TrailRoutes(gate, jobs.trail).routes(),
            *JournalRoutes(gate, jobs.journal).routes(),
            *InboxRoutes(gate, jobs.inbox).routes(),
            *HealthRoutes(readiness).routes(),
            *DocsRoutes(UI, asyncapi.document(openapi.schemas(), COOKIE)).routes(),
            *sockets.routes(),
            *outside.routes(),
            *PageRoutes(gate, UI).routes(),
        ],
        allowed_origins=settings.allowed_origins,
    )

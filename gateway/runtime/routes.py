"""Every way in: both sockets, the REST routes, the page."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.domain.linking import Attempt
from gateway.domain.networks import network_of
from gateway.http.account import AccountRoutes
from gateway.http.admin import AdminRoutes
from gateway.http.api import openapi
from gateway.http.application import application
from gateway.http.audit_log import AuditLogRoutes
from gateway.http.auth import COOKIE, AuthRoutes, Gate, PageSettings
from gateway.http.docs import DocsRoutes
from gateway.http.health import HealthRoutes, Readiness
from gateway.http.inbox import InboxRoutes
from gateway.http.journal import JournalRoutes
from gateway.http.limits import RequestLimits
from gateway.http.old_clients import OldClientRoutes
from gateway.http.page_files import PageFiles
from gateway.http.pages import PageRoutes
from gateway.http.people import PeopleRoutes
from gateway.http.prefix import Prefix
from gateway.http.search import SearchRoutes
from gateway.http.sending import SendingRoutes
from gateway.http.sessions import SessionRoutes
from gateway.http.templates import TemplateRoutes
from gateway.http.webhook_targets import WebhookTargetRoutes
from gateway.http.webhooks import WebhookRoutes
from gateway.postgres.inbox.export import ExportTable
from gateway.postgres.templates.templates import TemplateTable
from gateway.realtime.native import asyncapi
from gateway.runtime.access import Access
from gateway.runtime.examination import Examination
from gateway.runtime.limiters import Limiters
from gateway.runtime.live import Live
from gateway.runtime.media import Media
from gateway.runtime.observation import Observation
from gateway.runtime.repositories import Repositories
from gateway.runtime.services import Services
from gateway.runtime.upstream import Upstream
from gateway.runtime.websockets import WebSockets
from gateway.services.erasure.service import Erasure
from gateway.services.export.export import Export
from gateway.services.live.state_values import StateValues
from gateway.services.templates.service import Templates
from gateway.services.webhook_targets.service import WebhookTargets
from gateway.services.webhook_targets.trail import TargetTrail
from gateway.settings import Settings
from gateway.wasender import qr, webhook
from gateway.wasender.old_request import read_request

UI = Path(__file__).parents[1] / "ui"


@dataclass(frozen=True, slots=True)
class Pictures:
    """QR codes as the routes show them."""

    values: StateValues

    def code_data(self, attempt: Attempt) -> dict[str, Any]:
        """The attempt's code as REST and sockets show it."""
        return self.values.code_data(attempt)

    def svg(self, code: str) -> str:
        """The code as an SVG picture."""
        return qr.svg(code)

    def png(self, code: str) -> bytes:
        """The code as a PNG picture."""
        return qr.png(code)


@functools.cache
def descriptions() -> tuple[bytes, bytes]:
    """OpenAPI and AsyncAPI as JSON: the same for every gateway of this version, and 0.1 s of work to make."""
    rest = openapi.document()
    websockets = asyncapi.document(openapi.schemas(), COOKIE)
    return orjson.dumps(rest), orjson.dumps(websockets)


def _about(settings: Settings, media: Media) -> dict[str, Any]:
    """What the page should know of this gateway."""
    simulator = settings.simulator
    return {
        "timezone": settings.timezone, "simulator": simulator, "can_send": True, "can_record": media.can_record
    }  # fmt: skip


def _gate(access: Access, limits: RequestLimits) -> Gate:
    return Gate(access.login, access.origins, limits, access.cookie, access.logins, access.access_log)


def _access_routes(gate: Gate, access: Access, files: PageFiles, about: dict[str, Any]) -> list[Route]:
    """The ways to log in, and what people do with their logins."""
    auth = AuthRoutes(
        gate, access.login, access.logins, access.access_log, PageSettings(files, about, access.prefix)
    )
    people, account = PeopleRoutes(gate, access.people, access.login), AccountRoutes(gate, access.logins)
    return [*auth.routes(), *people.routes(), *account.routes()]


def _inbound_webhook_routes(services: Services, limits: RequestLimits, live: Live) -> list[Route]:
    """Where WasenderAPI's webhooks come in."""
    authenticator, ingest, refused = services.authenticator, services.ingest, services.refused_webhooks
    return WebhookRoutes(webhook, authenticator, ingest, limits, refused, live.waker.touch).routes()


def _operator_routes(
    gate: Gate, settings: Settings, upstream: Upstream, readiness: Readiness, observation: Observation
) -> list[Route]:
    """What load balancers, Prometheus and admins look at."""
    doctor = Examination(settings, upstream)
    return [
        *HealthRoutes(readiness, observation.sampler, settings.metrics_token).routes(),
        *AdminRoutes(gate, observation.overview, doctor, observation.gateway_id).routes(),
    ]


def _inbox_routes(
    gate: Gate, tables: Repositories, services: Services, media: Media, address: str
) -> list[Route]:
    """Conversations, and what is done with them."""
    inbox, sessions = tables.inbox, tables.sessions
    erasure = Erasure(tables.erasure, media.media_keeper, tables.erasure.digests, tables.audit_log.log)
    export = Export(inbox, ExportTable(tables.pool, media.files))
    return [
        *SendingRoutes(gate, services.outbox, services.numbers, inbox, sessions).routes(),
        *OldClientRoutes(
            gate, services.outbox, inbox, sessions, read_request, media.own_files(address)
        ).routes(),
        *InboxRoutes(gate, inbox, services.marks, erasure, export).routes(),
        *SearchRoutes(gate, inbox).routes(),
        *TemplateRoutes(gate, Templates(TemplateTable(tables.pool))).routes(),
    ]


def _webhook_routes(
    gate: Gate, settings: Settings, tables: Repositories, services: Services, access: Access
) -> list[Route]:
    """What became of webhooks that came, and who else is sent what happens here."""

    targets = WebhookTargets(
        tables.targets,
        [network_of(item) for item in settings.target_networks],
        TargetTrail(access.access_log, tables.audit_log.log, tables.sessions.known_ids),
        services.webhook_delivery.targets_changed,
        services.target_client,
        tables.sessions.secrets,
    )
    return [*JournalRoutes(gate, services.journal).routes(), *WebhookTargetRoutes(gate, targets).routes()]


def _readiness(
    repositories: Repositories, live: Live, services: Services, websockets: WebSockets
) -> Readiness:
    """What decides whether webhooks are to be sent here."""
    return Readiness(
        websockets.connections,
        live.staleness,
        services.ingest,
        repositories.spool,
        live.triggers,
        live.compatibility,
        live.listener,
    )


def build_app(
    settings: Settings,
    repositories: Repositories,
    upstream: Upstream,
    live: Live,
    access: Access,
    media: Media,
    services: Services,
    websockets: WebSockets,
    limiters: Limiters,
    observation: Observation,
) -> Starlette:
    """The whole application; the first route that fits an address answers."""
    limits, files = limiters.requests, PageFiles(UI, access.prefix)
    gate = _gate(access, limits)
    sessions, linking, attempts = services.sessions, services.linking, repositories.attempts
    readiness = _readiness(repositories, live, services, websockets)
    return application(
        [
            *_inbound_webhook_routes(services, limits, live),
            *_access_routes(gate, access, files, _about(settings, media)),
            *SessionRoutes(
                gate, sessions, services.reconciler, linking, attempts, Pictures(live.state_values)
            ).routes(),
            *AuditLogRoutes(gate, services.audit_log).routes(),
            *_webhook_routes(gate, settings, repositories, services, access),
            *_inbox_routes(gate, repositories, services, media, upstream.address),
            *media.routes(gate, access, upstream.address),
            *_operator_routes(gate, settings, upstream, readiness, observation),
            *DocsRoutes(files, *descriptions()).routes(),
            *websockets.routes(),
            *upstream.routes(),
            *PageRoutes(gate, files, access.prefix).routes(),
        ],
        allowed_origins=settings.allowed_origins,
        limits=limits,
        hosts=access.hosts,
        is_https=access.is_https,
        compatibility=live.compatibility,
        prefix=Prefix(settings.public_url),
    )

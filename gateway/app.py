"""The composition root: opens everything in order, closes it in reverse. The one file that knows all rooms."""

import asyncio
import logging
import uuid
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, WebSocketRoute

from gateway.domain.access import Principal, Role
from gateway.domain.errors import ConfigError
from gateway.domain.linking import Attempt, Limits
from gateway.domain.message import CodeReported, SessionChange, StatusReported
from gateway.ground import (
    close_pool,
    data_dir,
    is_pooled,
    open_database,
    open_spool,
    open_vault,
    read_secret,
)
from gateway.http import openapi
from gateway.http.application import application
from gateway.http.auth import COOKIE, AuthRoutes, Gate
from gateway.http.docs import DocsRoutes
from gateway.http.health import HealthRoutes
from gateway.http.inbox import InboxRoutes
from gateway.http.journal import JournalRoutes
from gateway.http.pages import PageRoutes
from gateway.http.sessions import SessionRoutes
from gateway.http.trail import TrailRoutes
from gateway.http.webhooks import WebhookRoutes
from gateway.postgres.attempts import AttemptTable
from gateway.postgres.clock import DatabaseClock
from gateway.postgres.columns import ColumnTable
from gateway.postgres.credentials import CredentialTable
from gateway.postgres.deliveries import DeliveryTable
from gateway.postgres.inbox import InboxTable
from gateway.postgres.journal import JournalTable
from gateway.postgres.listener import Listener
from gateway.postgres.migrate import migrate
from gateway.postgres.pool import open_pool
from gateway.postgres.projection import ProjectionTable
from gateway.postgres.retention import RetentionTable
from gateway.postgres.sessions import SessionTable
from gateway.postgres.streams import StreamStore
from gateway.postgres.trail import TrailTable
from gateway.postgres.upkeep import UpkeepTable
from gateway.realtime import asyncapi, protocol
from gateway.realtime.endpoint import Realtime
from gateway.realtime.hub import Hub
from gateway.realtime.pages import SharedReads
from gateway.realtime.roster import Roster
from gateway.realtime.supabase.endpoint import SupabaseRealtime
from gateway.realtime.supabase.tables import Tables
from gateway.services.account import AccountToken
from gateway.services.feed import Feed
from gateway.services.ingest import Ingest
from gateway.services.journal import Journal
from gateway.services.linking import Linking
from gateway.services.login import Login
from gateway.services.origins import Origins
from gateway.services.projection import Projection
from gateway.services.readiness import readiness
from gateway.services.reconcile import Reconciler
from gateway.services.replay import Replay
from gateway.services.retention import Retention
from gateway.services.senders import Senders
from gateway.services.sessions import Sessions
from gateway.services.slumber import Slumber
from gateway.services.states import States
from gateway.services.supabase_keys import SupabaseKeys
from gateway.services.trail import Trail
from gateway.services.truth import Truth
from gateway.services.upkeep import Upkeep
from gateway.settings import Settings
from gateway.wasender import payloads, qr, webhook
from gateway.wasender.client import WasenderClient
from gateway.wasender.orders import BACKGROUND, PATIENT
from gateway.wasender.simulator.simulator import Simulator

logger = logging.getLogger(__name__)

UI = Path(__file__).parent / "ui"
OWNER = Principal(sub="owner", name="Owner", role=Role.ADMIN, sessions=None)
"""Whom the login link of `gateway demo` logs in."""

LOGIN_LINK_LIFE_S = 3600.0
CLOSE_S = 8.0


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


class Gateway:
    """A running gateway: `async with Gateway(settings, url) as gateway: serve(gateway.asgi)`.

    `url` is our own address on this machine; it stands in for GATEWAY_PUBLIC_URL where the simulator is upstream.
    Raises ConfigError with one sentence if something outside does not fit.
    """

    asgi: Starlette
    login: Login
    sessions: Sessions
    database_url: str

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = settings
        self.url = url
        self.id = str(uuid.uuid4())
        self._stack = AsyncExitStack()
        self._is_draining = False

    @property
    def stale_since(self) -> str | None:
        """Since when we may have missed something; None while we hear Postgres."""
        return self._truth.stale_since

    # ------------------------------------------------------------------------------------------ lifecycle

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        settings, stack = self.settings, self._stack
        secret = read_secret(settings)
        self.database_url = await open_database(settings, stack)
        direct = settings.listen_url or self.database_url
        await migrate(direct, report=lambda line: logger.info("migrate %s", line))
        pool = await open_pool(
            self.database_url,
            timezone=settings.timezone,
            pooled=is_pooled(settings, self.database_url),
        )
        stack.push_async_callback(close_pool, pool)
        self._pool = pool
        vault = await open_vault(pool, secret)
        self._simulator = await self._open_simulator()

        credentials = CredentialTable(pool, vault)
        self.login = Login(secret, credentials)
        clock = DatabaseClock()
        table, attempts = SessionTable(pool, vault, clock), AttemptTable(pool, clock)
        trail = TrailTable(pool)
        self._projection = Projection(ProjectionTable(pool))
        streams = StreamStore(pool)
        inbox = InboxTable(pool, settings.zone, on_behind=self._projection.ring)
        upstream = await stack.enter_async_context(
            self._client(AccountToken(self._fixed_token(), credentials))
        )

        hub = Hub(protocol.event_encoder(settings.zone))
        awake = asyncio.Event()
        self._feed = Feed(streams, hub, awake=awake)
        hub.on_followed = self._feed.attend
        self._states = States(table, hub, qr.svg_data_url, on_change=self._sessions_changed, awake=awake)
        self._truth = Truth(
            self._look,
            is_hearing=lambda: self._listener.is_up,
            tell_stale=self._tell_stale,
            tell_fresh=self._tell_fresh,
        )
        self._feed.on_failure = self._states.on_failure = self._truth.doubt
        self.reconciler = Reconciler(upstream.with_patience(BACKGROUND), table, log=trail.log)
        self.sessions = Sessions(
            upstream.with_patience(PATIENT),
            table,
            log=trail.log,
            public_url=self._public_url(),
            validate=_validate_session_fields,
        )
        self._senders = Senders(table, self.sessions, is_deaf=lambda: self._truth.stale_since is not None)
        table.on_keys = self._senders.forget
        deliveries = DeliveryTable(pool, self.id, clock)
        self._spool = await open_spool(settings, pool, stack)
        self._ingest = Ingest(deliveries, self._session_reported, self._spool)
        self._replay = Replay(self._spool, deliveries, self._ingest, webhook.read)
        journal = Journal(JournalTable(pool, deliveries), webhook.read, trail.log, self._ingest.tell)
        self._listener = Listener(
            direct,
            gateway_id=self.id,
            timezone=settings.timezone,
            probe_s=settings.probe_s,
            on_message_bell=self._message_bell,
            on_session_bell=self._states.ring,
            on_key_bell=self._senders.ring,
            on_up=self._hears_again,
            on_down=self._hears_nothing,
            awake=awake,
        )
        self._slumber = Slumber(
            self._listener,
            awake,
            is_needed=lambda: bool(self._roster.open) or self._linking.is_busy,
            look=self._look,
            on_deaf=self._hears_nothing,
        )
        self._roster = Roster(settings.max_connections, rouse=self._slumber.hear)
        self._linking = Linking(
            attempts,
            upstream,
            self._listener,
            on_connected=self.sessions.refresh_connected,
            log=trail.log,
            limits=Limits(settings.link_poll_s, settings.link_idle_s, settings.link_max_s),
            awake=awake,
        )
        self.sessions.linker = self._linking
        self.upkeep_table = UpkeepTable(pool, table)
        self.upkeep = Upkeep(
            self.upkeep_table,
            self.sessions,
            self.reconciler,
            upstream.with_patience(BACKGROUND),
            self._listener,
            public_url=self._public_url(),
            awake=awake,
        )
        self._retention = Retention(RetentionTable(pool, streams), self._listener, awake=awake)
        origins = Origins(settings.allowed_origins)
        reads = SharedReads(streams)
        self._realtime = Realtime(
            hub=hub,
            feed=self._feed,
            states=self._states,
            streams=reads,
            login=self.login,
            origins=origins,
            cookie=COOKIE,
            truth=self._truth,
            roster=self._roster,
        )
        self._supabase = SupabaseRealtime(
            hub=hub,
            feed=self._feed,
            streams=reads,
            keys=SupabaseKeys(secret, settings.supabase_jwt_secret),
            origins=origins,
            tables=Tables(ColumnTable(pool)),
            truth=self._truth,
            roster=self._roster,
        )
        gate = Gate(self.login, origins)
        about = {
            "timezone": settings.timezone,
            "simulator": settings.simulator,
            "can_send": False,
        }
        self.asgi = application(
            [
                *WebhookRoutes(webhook, self._senders, self._ingest, self._slumber.touch).routes(),
                *AuthRoutes(
                    gate, self.login, UI, about, is_https=(settings.public_url or "").startswith("https:")
                ).routes(),
                *SessionRoutes(
                    gate,
                    self.sessions,
                    # A person waits for the answer, and would rather hear of a fault than of nothing.
                    Reconciler(upstream.with_patience(PATIENT), table, log=trail.log),
                    self._linking,
                    attempts,
                    Pictures(self._states),
                ).routes(),
                *TrailRoutes(
                    gate, Trail(trail, upstream.with_patience(PATIENT), self.sessions.mark_gone)
                ).routes(),
                *JournalRoutes(gate, journal).routes(),
                *InboxRoutes(gate, inbox).routes(),
                *HealthRoutes(self._readiness).routes(),
                *DocsRoutes(UI, asyncapi.document(openapi.schemas(), COOKIE)).routes(),
                WebSocketRoute("/ws", self._realtime.serve),
                WebSocketRoute("/realtime/v1/websocket", self._supabase.serve),
                *self._simulator_routes(),
                *PageRoutes(gate, UI).routes(),
            ],
            allowed_origins=settings.allowed_origins,
        )
        stack.push_async_callback(self._listener.close)
        await self._listener.open()
        await self._feed.open()
        await self._states.open()
        await self._senders.open()
        await self._start_tasks()

    async def _start_tasks(self) -> None:
        """The pumps. One that dies ends the gateway: better restarted than deaf."""
        cutting = self._stack.enter_context(ExitStack())
        pumps = await self._stack.enter_async_context(asyncio.TaskGroup())
        running = [
            pumps.create_task(self._feed.run(), name="feed"),
            pumps.create_task(self._states.run(), name="states"),
            pumps.create_task(self._ingest.run(), name="ingest"),
            pumps.create_task(self._replay.run(), name="replay"),
            pumps.create_task(self._listener.run(), name="listener"),
            pumps.create_task(self._truth.run(), name="truth"),
            pumps.create_task(self._projection.run(), name="projection"),
            pumps.create_task(self._linking.run(), name="linking"),
            pumps.create_task(self._roster.run(), name="heartbeats"),
            pumps.create_task(self._retention.run(), name="retention"),
            pumps.create_task(self.upkeep.run(), name="upkeep"),
        ]
        self._upkeep_task = running[-1]
        if not self.settings.probe_s:
            running.append(pumps.create_task(self._slumber.run(), name="slumber"))

        async def stop() -> None:
            # What waits for a silent Postgres waits on when it is cancelled: only cutting its connection ends that.
            cutting.callback(asyncio.get_running_loop().call_later(CLOSE_S, self._pool.terminate).cancel)
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._ingest.close()
                    await self._linking.close()
                    await self.sessions.close()
            except TimeoutError:
                logger.warning("gateway.closed_late")  # a pump has died: what waits for it cannot finish
            for task in running:
                task.cancel()

        self._stack.push_async_callback(stop)

    async def drain(self, hasten: asyncio.Event | None = None) -> None:
        """Before the server stops: lets go what waits inside, and returns when the last socket is gone.

        Webhooks are taken all the while. Once `hasten` is set it takes a moment.
        """
        self._is_draining = True
        # It asks upstream, which may be the simulator behind the server that is about to stop.
        self._upkeep_task.cancel()
        if self._simulator is not None:
            self._simulator.release()
        await self._roster.drain(hasten or asyncio.Event())

    async def login_link(self) -> str:
        """A link that logs its first user in as the owner."""
        ticket = await self.login.make_ticket("login", OWNER, LOGIN_LINK_LIFE_S)
        return f"{self.url}/login?ticket={ticket}"

    # ------------------------------------------------------------------------------------------ events

    def _message_bell(self, payload: str) -> None:
        self._feed.ring(payload)
        self._projection.ring()

    def _hears_again(self) -> None:
        self._message_bell("*")
        self._states.ring("*")
        self._senders.ring("*")
        self._linking.wake(())

    async def _look(self) -> None:
        await self._feed.look()
        await self._states.look()

    def _hears_nothing(self) -> None:
        self._linking.on_leases_lost()
        self._truth.doubt()

    def _tell_stale(self, since: str) -> None:
        self._realtime.tell_stale(since)
        self._supabase.tell_stale()

    def _tell_fresh(self) -> None:
        self._realtime.tell_fresh()
        self._supabase.tell_fresh()

    def _sessions_changed(self, session_ids: Any) -> None:
        self._linking.wake(session_ids)

    def _session_reported(self, session_id: int, change: SessionChange) -> None:
        """A webhook's change of a session has been committed."""
        match change:
            case StatusReported():
                self._linking.on_status(session_id, change.status)
                self.sessions.reported(session_id, change.status)
            case CodeReported():
                self._linking.wake([session_id])

    def _readiness(self) -> tuple[bool, dict[str, Any]]:
        return readiness(
            is_draining=self._is_draining,
            can_commit=self._truth.stale_since is None and not self._ingest.is_away,
            spooled=self._spool.count(),
            complaint=self._spool.complaint(),
        )

    # ------------------------------------------------------------------------------------------ parts

    async def _open_simulator(self) -> Simulator | None:
        if not self.settings.simulator:
            return None
        if not self.settings.is_loopback:
            raise ConfigError("The simulator runs on loopback only. Leave GATEWAY_HOST at 127.0.0.1.")
        simulator = Simulator(data_dir(self.settings) / "simulator.json")
        return await self._stack.enter_async_context(simulator.running())

    def _client(self, token: AccountToken) -> WasenderClient:
        return WasenderClient(
            f"{self.url}/simulator/api" if self._simulator else self.settings.wasender_base_url, token
        )

    def _fixed_token(self) -> str | None:
        return self._simulator.account_token if self._simulator else self.settings.wasender_token

    def _public_url(self) -> str | None:
        return self.settings.public_url or (self.url if self._simulator else None)

    def _simulator_routes(self) -> list[BaseRoute]:
        if self._simulator is None:
            return []
        return [
            Mount("/simulator/api", routes=self._simulator.api_routes()),
            Mount("/_simulator", routes=self._simulator.control_routes()),
            Mount("/simulator", routes=self._simulator.page_routes()),
        ]


def _validate_session_fields(fields: dict[str, Any], is_update: bool) -> dict[str, Any]:
    return payloads.session_fields(fields, partial=is_update)

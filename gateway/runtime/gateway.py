"""The composition root: builds every part in the order of dependency and closes it in reverse.

`repositories` holds what is kept, `upstream` the way to WasenderAPI, `routes` the ways in. No other module knows all
rooms.
"""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any, Protocol, Self

from starlette.applications import Starlette

from gateway.domain.access import Principal, Role
from gateway.domain.linking import Limits
from gateway.domain.message import CodeReported, SessionChange, StatusReported
from gateway.domain.notifications import UNNUMBERED
from gateway.http.limits import RequestLimits
from gateway.postgres.auth.secret_check import compare_secret
from gateway.postgres.connection.listener import Listener
from gateway.postgres.inbox.inbox import InboxTable
from gateway.postgres.migrations.runner import migrate
from gateway.realtime.connections import Connections
from gateway.realtime.hub.hub import Hub
from gateway.realtime.native import protocol
from gateway.realtime.transport.guard import Guard
from gateway.runtime.access import Access, open_jwks
from gateway.runtime.data_dir import read_secret
from gateway.runtime.database import open_database
from gateway.runtime.repositories import open_repositories
from gateway.runtime.routes import Services, WebSockets, build_app
from gateway.runtime.upstream import open_upstream
from gateway.services.addresses import TrustedProxies
from gateway.services.auth.login import Login
from gateway.services.body_budget import BodyBudget
from gateway.services.contacts.service import Contacts
from gateway.services.linking.service import Linking
from gateway.services.live.conversation_list import ConversationList
from gateway.services.live.feed import Feed
from gateway.services.live.idle import IdleMonitor
from gateway.services.live.numbering import Numbering
from gateway.services.live.session_states import SessionStates, StateRow
from gateway.services.live.staleness import Staleness
from gateway.services.live.trigger_check import TriggerCheck
from gateway.services.rates import Rates
from gateway.services.readiness import readiness
from gateway.services.refusals import Refusals
from gateway.services.retention import Retention
from gateway.services.sessions.audit_log import AuditLog
from gateway.services.sessions.monitor import Monitor
from gateway.services.sessions.reconcile import Reconciler
from gateway.services.sessions.service import Sessions
from gateway.services.sessions.status_hints import StatusHints
from gateway.services.webhooks.authenticator import WebhookAuthenticator
from gateway.services.webhooks.early import EarlyChanges
from gateway.services.webhooks.ingest import Ingest
from gateway.services.webhooks.journal import Journal
from gateway.services.webhooks.replay import Replay
from gateway.settings import Settings
from gateway.wasender import payloads, qr, webhook
from gateway.wasender.calls import BACKGROUND, PATIENT
from gateway.wasender.client import WasenderClient

logger = logging.getLogger(__name__)

OWNER = Principal(sub="owner", name="Owner", role=Role.ADMIN, sessions=None)
"""Whom the login link of `gateway demo` logs in."""

LOGIN_LINK_LIFE_S = 3600.0
CLOSE_S = 8.0


class Work(Protocol):
    """A job that runs as long as the gateway does."""

    async def run(self) -> None:
        """Goes on until it is cancelled."""


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
        refusals = Refusals()
        self.guard = Guard(settings.limits, TrustedProxies(settings.trusted_proxies), refusals)
        self._rates = Rates(settings.limits, refusals)
        self._request_limits = RequestLimits(self._rates, BodyBudget(settings.limits, refusals), refusals)
        self._stack = AsyncExitStack()
        self._is_draining = False

    @property
    def stale_since(self) -> str | None:
        """Since when we may have missed something; None while we hear Postgres."""
        return self._staleness.stale_since

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
        self._direct = settings.listen_url or self.database_url
        await migrate(self._direct, report=lambda line: logger.info("migrate %s", line))
        self._repositories = await open_repositories(settings, self.database_url, secret, self.id, stack)
        self._spool = self._repositories.spool
        self._upstream_access = await open_upstream(settings, self.url, stack)
        upstream = await self._upstream_access.open_client(self._repositories.credentials, stack)
        await self._compare_secret(secret)
        self._access = Access(
            settings,
            secret,
            self._repositories,
            await open_jwks(settings, stack),
            is_cut_off=lambda: not self._listener.is_up,
        )
        self.login = self._access.login
        self._make_streams()
        self._make_services(upstream)
        self.asgi = build_app(
            settings,
            self._repositories,
            self._services(upstream),
            self._websockets,
            self._upstream_access,
            self._readiness,
            self._request_limits,
        )
        stack.push_async_callback(self._listener.close)
        await self._listener.open()
        await self._feed.open()
        await self._states.open()
        await self._authenticator.open()
        self._access.revocations.on_change = lambda: self._connections.recheck(self._access.current)
        await self._access.revocations.open()
        await self._start_tasks()

    async def _compare_secret(self, secret: str) -> None:
        """Says so if this gateway's secret is not the one of the others."""
        pool, previous = self._repositories.pool, self.settings.secret_previous
        match await compare_secret(pool, secret, previous, self.id):
            case "differs":
                logger.error(
                    "secret.differs This gateway's GATEWAY_SECRET is not the one of the gateways that run on this "
                    "database: neither takes the other's logins. Give all of them the same."
                )
            case "replaced":
                logger.warning(
                    "secret.replaced GATEWAY_SECRET is another than last time: everybody has to log in again. If that "
                    "was not meant, start with the old one, or give it as GATEWAY_SECRET_PREVIOUS."
                )

    def _make_streams(self) -> None:
        """What brings committed changes to browsers, and says when it cannot."""
        settings, repositories = self.settings, self._repositories
        hub = Hub(protocol.event_encoder(settings.zone))
        self._awake = awake = asyncio.Event()
        self._conversation_list = ConversationList(repositories.conversation_list)
        self._numbering = Numbering(repositories.unnumbered, awake=awake)
        self._trigger_check = TriggerCheck(repositories.triggers, awake=awake)
        self._feed = Feed(repositories.live_streams, hub, awake=awake)
        hub.on_followed = self._feed.attend
        self._states = SessionStates(
            repositories.sessions, hub, qr.svg_data_url, on_change=self._sessions_changed, awake=awake
        )
        self._staleness = Staleness(
            self._catch_up,
            is_hearing=lambda: self._listener.is_up,
            tell_stale=lambda since: self._websockets.tell_stale(since),
            tell_fresh=lambda: self._websockets.tell_fresh(),
        )
        self._feed.on_failure = self._states.on_failure = self._staleness.mark_stale
        self._listener = Listener(
            self._direct,
            gateway_id=self.id,
            timezone=settings.timezone,
            probe_s=settings.probe_s,
            on_message_notification=self._messages_notified,
            on_session_notification=self._states.notify,
            on_key_notification=lambda payload: self._authenticator.notify(payload),
            on_access_notification=self._access.revocations.notify,
            on_up=self._connected_again,
            on_down=self._connection_lost,
            awake=awake,
        )
        self._idle = IdleMonitor(
            self._listener,
            awake,
            is_needed=lambda: bool(self._connections.open) or self._linking.is_busy,
            catch_up=self._catch_up,
            on_lost=self._connection_lost,
        )
        self._connections = Connections(
            settings.max_connections, self._rates, wake=self._idle.wait_until_awake
        )
        self._websockets = WebSockets(
            settings,
            repositories,
            self._access,
            hub=hub,
            feed=self._feed,
            states=self._states,
            staleness=self._staleness,
            connections=self._connections,
        )

    def _make_services(self, upstream: WasenderClient) -> None:
        """What is done with webhooks, sessions and everything that is kept."""
        settings, repositories, awake = self.settings, self._repositories, self._awake
        log, public_url = repositories.audit_log.log, self._upstream_access.public_url
        background = upstream.with_retry_policy(BACKGROUND)
        self.reconciler = Reconciler(background, repositories.sessions, log=log)
        self.sessions = Sessions(
            upstream.with_retry_policy(PATIENT),
            repositories.sessions,
            log=log,
            public_url=public_url,
            validate=_validate_session_fields,
        )
        self._authenticator = WebhookAuthenticator(
            repositories.sessions, self.sessions, is_stale=lambda: self._staleness.stale_since is not None
        )
        repositories.sessions.on_keys = self._authenticator.forget
        self._ingest = Ingest(repositories.webhooks, self._session_reported, repositories.spool)
        self._contacts = Contacts(repositories.contacts, background, awake=awake)
        self._early = EarlyChanges(repositories.webhooks, awake=awake)
        self._replay = Replay(repositories.spool, repositories.webhooks, self._ingest, webhook.read)
        self._linking = Linking(
            repositories.attempts,
            upstream,
            self._listener,
            on_connected=self.sessions.refresh_connected,
            log=log,
            limits=Limits(settings.link_poll_s, settings.link_idle_s, settings.link_max_s),
            awake=awake,
        )
        self.sessions.linker = self._linking
        self._make_monitors(background)

    def _make_monitors(self, background: WasenderClient) -> None:
        """What looks after sessions and tables by itself; `background` asks upstream for what no person waits for."""
        repositories, awake = self._repositories, self._awake
        self.monitor = Monitor(
            repositories.monitor,
            self.sessions,
            self.reconciler,
            background,
            self._listener,
            public_url=self._upstream_access.public_url,
            awake=awake,
        )
        self._status_hints = StatusHints(
            repositories.sessions,
            self.monitor.ask_status,
            on_status=self.sessions.reported,
            on_gone=self.sessions.mark_gone,
        )
        self._retention = Retention(repositories.retention, self._listener, awake=awake)

    def _services(self, upstream: WasenderClient) -> Services:
        repositories, log = self._repositories, self._repositories.audit_log.log
        # A person waits for the answer, and would rather hear of a fault than of nothing.
        patient = upstream.with_retry_policy(PATIENT)
        return Services(
            access=self._access,
            authenticator=self._authenticator,
            ingest=self._ingest,
            idle=self._idle,
            sessions=self.sessions,
            reconciler=Reconciler(patient, repositories.sessions, log=log),
            linking=self._linking,
            states=self._states,
            audit_log=AuditLog(repositories.audit_log, patient, self.sessions.mark_gone),
            journal=Journal(repositories.journal, webhook.read, log, self._ingest.tell),
            inbox=InboxTable(repositories.pool, self.settings.zone, on_behind=self._conversation_list.notify),
        )

    def _works(self) -> dict[str, Work]:
        """What goes on as long as the gateway, by the names of the tasks."""
        return {
            "feed": self._feed,
            "numbering": self._numbering,
            "triggers": self._trigger_check,
            "states": self._states,
            "ingest": self._ingest,
            "replay": self._replay,
            "listener": self._listener,
            "staleness": self._staleness,
            "conversation list": self._conversation_list,
            "linking": self._linking,
            "connections": self._connections,
            "retention": self._retention,
            "monitor": self.monitor,
            "contacts": self._contacts,
            "early changes": self._early,
            **self._access.works(),
            **({} if self.settings.probe_s else {"idle": self._idle}),
        }

    async def _start_tasks(self) -> None:
        """Starts the tasks. One that dies ends the gateway: a restart is better than missing changes."""
        works = self._works()
        cutting = self._stack.enter_context(ExitStack())
        pumps = await self._stack.enter_async_context(asyncio.TaskGroup())
        running = {name: pumps.create_task(work.run(), name=name) for name, work in works.items()}
        self._asking_tasks = [running["monitor"], running["contacts"]]

        async def stop() -> None:
            # What waits for a silent Postgres waits on when it is cancelled: only cutting its connection ends that.
            cutting.callback(
                asyncio.get_running_loop().call_later(CLOSE_S, self._repositories.cut_off).cancel
            )
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._ingest.close()
                    await self._linking.close()
                    await self._status_hints.close()
                    await self.sessions.close()
            except TimeoutError:
                logger.warning("gateway.closed_late")  # a pump has died: what waits for it cannot finish
            for task in running.values():
                task.cancel()

        self._stack.push_async_callback(stop)

    async def drain(self, hasten: asyncio.Event | None = None) -> None:
        """Before the server stops: lets go what waits inside, and returns when the last socket is gone.

        Webhooks are taken all the while. Once `hasten` is set it takes a moment.
        """
        self._is_draining = True
        # They ask upstream, which may be the simulator behind the server that is about to stop.
        for task in self._asking_tasks:
            task.cancel()
        self._upstream_access.release()
        await self._connections.drain(hasten or asyncio.Event())

    async def login_link(self) -> str:
        """A link that logs its first user in as the owner."""
        ticket = await self.login.make_ticket("login", OWNER, LOGIN_LINK_LIFE_S)
        return f"{self.url}/login?ticket={ticket}"

    # ------------------------------------------------------------------------------------------ events

    def _messages_notified(self, payload: str) -> None:
        if payload == UNNUMBERED:
            self._numbering.notify()
            return
        self._feed.notify(payload)
        self._conversation_list.notify()
        self._contacts.notify()

    def _connected_again(self) -> None:
        self._numbering.notify()
        self._messages_notified("*")
        self._states.notify("*")
        self._authenticator.notify("*")
        self._access.revocations.notify()
        self._linking.wake(())

    async def _catch_up(self) -> None:
        await self._feed.catch_up()
        await self._states.catch_up()

    def _connection_lost(self) -> None:
        self._linking.on_leases_lost()
        self._staleness.mark_stale()

    def _sessions_changed(self, rows: Sequence[StateRow]) -> None:
        for row in rows:
            self._linking.show(row.session_id, row.attempt, row.session.status if row.session else None)

    def _session_reported(self, session_id: int, change: SessionChange) -> None:
        """A webhook's change of a session has been committed."""
        match change:
            case StatusReported():
                self._linking.on_status(session_id, change.status)
                if change.has_time:
                    self._status_hints.drop(session_id)
                    self.sessions.reported(session_id, change.status)
                else:
                    self._status_hints.ask(session_id, change.status)
            case CodeReported():
                pass  # a new one notifies, and one that is known is no reason to ask upstream

    def _readiness(self) -> tuple[bool, dict[str, Any]]:
        return readiness(
            is_draining=self._is_draining,
            can_commit=self._staleness.stale_since is None and not self._ingest.is_away,
            spooled=self._spool.count(),
            complaint=self._spool.complaint(),
            untold=self._trigger_check.complaint,
        )


def _validate_session_fields(fields: dict[str, Any], is_update: bool) -> dict[str, Any]:
    return payloads.session_fields(fields, partial=is_update)

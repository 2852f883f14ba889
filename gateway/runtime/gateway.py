"""The composition root: opens everything in order, closes it in reverse.

`stores` (what is kept), `outside` (whom we talk to) and `doors` (the ways in) are parts of it, in files of their own;
nobody else knows all rooms.
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
from gateway.postgres.connection.listener import Listener
from gateway.postgres.inbox.inbox import InboxTable
from gateway.postgres.migrations.runner import migrate
from gateway.realtime.connections import Roster
from gateway.realtime.hub.hub import Hub
from gateway.realtime.native import protocol
from gateway.runtime.data_dir import read_secret
from gateway.runtime.database import open_database
from gateway.runtime.repositories import open_stores
from gateway.runtime.routes import Jobs, Sockets, open_doors
from gateway.runtime.upstream import open_outside
from gateway.services.auth.login import Login
from gateway.services.linking.service import Linking
from gateway.services.live.conversation_list import Projection
from gateway.services.live.feed import Feed
from gateway.services.live.idle import Slumber
from gateway.services.live.session_states import StateRow, States
from gateway.services.live.staleness import Truth
from gateway.services.readiness import readiness
from gateway.services.retention import Retention
from gateway.services.sessions.audit_log import Trail
from gateway.services.sessions.monitor import Upkeep
from gateway.services.sessions.reconcile import Reconciler
from gateway.services.sessions.service import Sessions
from gateway.services.webhooks.authenticator import Senders
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
        self._direct = settings.listen_url or self.database_url
        await migrate(self._direct, report=lambda line: logger.info("migrate %s", line))
        self._stores = await open_stores(settings, self.database_url, secret, self.id, stack)
        self._spool = self._stores.spool
        self._outside = await open_outside(settings, self.url, stack)
        upstream = await self._outside.open_client(self._stores.credentials, stack)
        self.login = Login(secret, self._stores.credentials)
        self._make_streams(secret)
        self._make_jobs(upstream)
        self.asgi = open_doors(
            settings, self._stores, self._jobs(upstream), self._sockets, self._outside, self._readiness
        )
        stack.push_async_callback(self._listener.close)
        await self._listener.open()
        await self._feed.open()
        await self._states.open()
        await self._senders.open()
        await self._start_tasks()

    def _make_streams(self, secret: str) -> None:
        """What brings committed changes to browsers, and says when it cannot."""
        settings, stores = self.settings, self._stores
        hub = Hub(protocol.event_encoder(settings.zone))
        self._awake = awake = asyncio.Event()
        self._projection = Projection(stores.projection)
        self._feed = Feed(stores.live_streams, hub, awake=awake)
        hub.on_followed = self._feed.attend
        self._states = States(
            stores.sessions, hub, qr.svg_data_url, on_change=self._sessions_changed, awake=awake
        )
        self._truth = Truth(
            self._look,
            is_hearing=lambda: self._listener.is_up,
            tell_stale=lambda since: self._sockets.tell_stale(since),
            tell_fresh=lambda: self._sockets.tell_fresh(),
        )
        self._feed.on_failure = self._states.on_failure = self._truth.doubt
        self._listener = Listener(
            self._direct,
            gateway_id=self.id,
            timezone=settings.timezone,
            probe_s=settings.probe_s,
            on_message_bell=self._message_bell,
            on_session_bell=self._states.ring,
            on_key_bell=lambda payload: self._senders.ring(payload),
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
        self._sockets = Sockets(
            settings,
            secret,
            stores,
            self.login,
            hub=hub,
            feed=self._feed,
            states=self._states,
            truth=self._truth,
            roster=self._roster,
        )

    def _make_jobs(self, upstream: WasenderClient) -> None:
        """What is done with webhooks, sessions and everything that is kept."""
        settings, stores, awake = self.settings, self._stores, self._awake
        log, public_url = stores.trail.log, self._outside.public_url
        background = upstream.with_patience(BACKGROUND)
        self.reconciler = Reconciler(background, stores.sessions, log=log)
        self.sessions = Sessions(
            upstream.with_patience(PATIENT),
            stores.sessions,
            log=log,
            public_url=public_url,
            validate=_validate_session_fields,
        )
        self._senders = Senders(
            stores.sessions, self.sessions, is_deaf=lambda: self._truth.stale_since is not None
        )
        stores.sessions.on_keys = self._senders.forget
        self._ingest = Ingest(stores.deliveries, self._session_reported, stores.spool)
        self._replay = Replay(stores.spool, stores.deliveries, self._ingest, webhook.read)
        self._linking = Linking(
            stores.attempts,
            upstream,
            self._listener,
            on_connected=self.sessions.refresh_connected,
            log=log,
            limits=Limits(settings.link_poll_s, settings.link_idle_s, settings.link_max_s),
            awake=awake,
        )
        self.sessions.linker = self._linking
        self.upkeep = Upkeep(
            stores.upkeep,
            self.sessions,
            self.reconciler,
            background,
            self._listener,
            public_url=public_url,
            awake=awake,
        )
        self._retention = Retention(stores.retention, self._listener, awake=awake)

    def _jobs(self, upstream: WasenderClient) -> Jobs:
        stores, log = self._stores, self._stores.trail.log
        # A person waits for the answer, and would rather hear of a fault than of nothing.
        patient = upstream.with_patience(PATIENT)
        return Jobs(
            login=self.login,
            senders=self._senders,
            ingest=self._ingest,
            slumber=self._slumber,
            sessions=self.sessions,
            reconciler=Reconciler(patient, stores.sessions, log=log),
            linking=self._linking,
            states=self._states,
            trail=Trail(stores.trail, patient, self.sessions.mark_gone),
            journal=Journal(stores.journal, webhook.read, log, self._ingest.tell),
            inbox=InboxTable(stores.pool, self.settings.zone, on_behind=self._projection.ring),
        )

    async def _start_tasks(self) -> None:
        """The pumps. One that dies ends the gateway: better restarted than deaf."""
        cutting = self._stack.enter_context(ExitStack())
        pumps = await self._stack.enter_async_context(asyncio.TaskGroup())
        works: dict[str, Work] = {
            "feed": self._feed,
            "states": self._states,
            "ingest": self._ingest,
            "replay": self._replay,
            "listener": self._listener,
            "truth": self._truth,
            "projection": self._projection,
            "linking": self._linking,
            "heartbeats": self._roster,
            "retention": self._retention,
            "upkeep": self.upkeep,
            **({} if self.settings.probe_s else {"slumber": self._slumber}),
        }
        running = {name: pumps.create_task(work.run(), name=name) for name, work in works.items()}
        self._upkeep_task = running["upkeep"]

        async def stop() -> None:
            # What waits for a silent Postgres waits on when it is cancelled: only cutting its connection ends that.
            cutting.callback(
                asyncio.get_running_loop().call_later(CLOSE_S, self._stores.pool.terminate).cancel
            )
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._ingest.close()
                    await self._linking.close()
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
        # It asks upstream, which may be the simulator behind the server that is about to stop.
        self._upkeep_task.cancel()
        self._outside.release()
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

    def _sessions_changed(self, rows: Sequence[StateRow]) -> None:
        for row in rows:
            self._linking.show(row.session_id, row.attempt, row.session.status if row.session else None)

    def _session_reported(self, session_id: int, change: SessionChange) -> None:
        """A webhook's change of a session has been committed."""
        match change:
            case StatusReported():
                self._linking.on_status(session_id, change.status)
                self.sessions.reported(session_id, change.status)
            case CodeReported():
                pass  # a new one rings, and one that is known is no reason to ask upstream

    def _readiness(self) -> tuple[bool, dict[str, Any]]:
        return readiness(
            is_draining=self._is_draining,
            can_commit=self._truth.stale_since is None and not self._ingest.is_away,
            spooled=self._spool.count(),
            complaint=self._spool.complaint(),
        )


def _validate_session_fields(fields: dict[str, Any], is_update: bool) -> dict[str, Any]:
    return payloads.session_fields(fields, partial=is_update)

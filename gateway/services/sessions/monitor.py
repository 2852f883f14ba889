"""Looks after all sessions: reconciles them, asks those that have gone quiet, and watches their webhooks.

One gateway of the cluster at a time (a lease). A full sync at the start and every ten minutes, jittered; every
minute a look at webhooks and at sessions without a sign of life.

Lifecycle: `run` lives as long as the gateway; nothing that fails in a round ends it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.errors import GatewayError, SessionNotFound, UpstreamUnauthorized
from gateway.domain.session import SYSTEM, Actor, Heard, SessionSecrets, StatusSource, normalise_status
from gateway.domain.webhook_health import WebhookFacts, WebhookState, is_ours, judge_webhook
from gateway.services.sessions.reconcile import SyncReport

logger = logging.getLogger(__name__)

SYNC_EVERY_S = 600.0
ROUND_S = 60.0
QUIET_S = 600.0
"""A session without a sign of life for so long is asked itself."""

PROBES_PER_ROUND = 30
"""Upstream publishes no limit for `/status`; this stays far below the ones it has."""

LEASE = 0
"""The monitor's lease, beside those of the sessions (whose ids start at 1)."""


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What is known of a session's webhook, from which its health is judged."""

    session_id: int
    webhook: WebhookFacts
    shown: WebhookState | None
    """What is stored of the webhook's state so far."""


class MonitorStore(Protocol):
    """What the monitor reads and notes. Everything raises StoreUnavailable."""

    async def quiet_sessions(self, quiet_s: float, limit: int) -> list[int]:
        """Sessions that should live and were not heard of, longest first; none that is being linked."""

    async def note_probe(self, session_id: int) -> None:
        """Notes that the session has just been asked, so that no gateway asks it again soon."""

    async def facts(self) -> list[SessionFacts]:
        """The facts of every session that has a webhook to judge."""

    async def show_webhook(self, session_id: int, state: WebhookState, note: str) -> None:
        """Stores the webhook's state, and writes `note` into the audit log."""

    async def former_urls(self, now: str) -> list[str]:
        """The public URLs under which some webhook may still be registered, besides this one, which is noted."""

    async def forget_former_urls(self, now: str) -> None:
        """All webhooks have come along to this URL."""

    async def secrets(self, session_id: int) -> SessionSecrets | None:
        """API key and webhook secret as they are stored; None for an unknown session."""

    async def record_status(self, session_id: int, status: str, source: StatusSource, as_of: float) -> Heard:
        """Stores a status unless a newer one is known; `as_of` is when it was asked for, unix seconds."""


class StatusSourceOfTruth(Protocol):
    """Where the status of a session is asked for: WasenderAPI."""

    async def get_status(self, api_key: str) -> str:
        """The status of the session that the key belongs to, in upstream's words. Raises UpstreamError."""


class Syncer(Protocol):
    """Reconciles all sessions at once."""

    async def sync(self, actor: Actor = SYSTEM) -> SyncReport:
        """Reconciles all sessions, in the actor's name. Raises UpstreamError, StoreUnavailable."""


class Keeper(Protocol):
    """The sessions service."""

    async def refresh_secrets(self, session_id: int) -> SessionSecrets | None:
        """Key and secret, fetched from upstream and stored; None if upstream has no such session."""

    async def mark_gone(self, session_id: int) -> bool:
        """Notes that upstream has no such session any more; whether that was new."""

    async def repair_webhook(self, session_id: int, actor: Actor) -> object:
        """Sets the session's webhook to this gateway's address again, in the actor's name."""


class Leases(Protocol):
    """Who of the cluster does what only one may do."""

    async def acquire(self, session_id: int) -> bool:
        """Whether this gateway holds the lease now. Raises StoreUnavailable."""


class Monitor:
    """Asks quiet sessions, judges webhooks and reconciles, on one gateway of the cluster."""

    def __init__(
        self,
        store: MonitorStore,
        sessions: Keeper,
        reconciler: Syncer,
        upstream: StatusSourceOfTruth,
        leases: Leases,
        *,
        public_url: str | None,
        clock: Callable[[], float] = time.time,
        roll: Callable[[], float] = random.random,
        awake: asyncio.Event | None = None,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._reconciler = reconciler
        self._upstream = upstream
        self._leases = leases
        self._public_url = public_url
        self._clock = clock
        self._roll = roll
        self._awake = awake
        self._has_moved = False

    async def run(self) -> None:
        """Does its rounds until it is cancelled; a round that fails is followed by the next."""
        loop = asyncio.get_running_loop()
        # Gateways that start together do not ask together.
        await asyncio.sleep(self._roll() * 5.0)
        next_sync = loop.time()
        while True:
            if self._awake is not None:
                await self._awake.wait()
            try:
                if await self._leases.acquire(LEASE):
                    if loop.time() >= next_sync:
                        next_sync = loop.time() + SYNC_EVERY_S * (0.8 + 0.4 * self._roll())
                        await self._sync()
                    await self.round()
            except GatewayError as error:
                logger.warning("monitor.round_failed error=%s", error)
            except Exception:
                logger.exception("monitor.round_failed")
            await asyncio.sleep(ROUND_S * (0.8 + 0.4 * self._roll()))

    async def _sync(self) -> None:
        report = await self._reconciler.sync()
        logger.info(
            "monitor.synced total=%d created=%d updated=%d gone=%d errors=%d",
            report.total, report.created, report.updated, report.gone, len(report.errors),
        )  # fmt: skip

    async def round(self) -> None:
        """One look at everything that a sync does not see."""
        if self._public_url is not None:
            await self.follow_public_url()
            await self._look_at_webhooks(self._public_url)
        for session_id in await self._store.quiet_sessions(QUIET_S, PROBES_PER_ROUND):
            await self.probe(session_id)

    async def follow_public_url(self) -> None:
        """If the gateway has moved, its webhooks go to the new address.

        A repaired session names the new one, so each is done once; the former addresses are forgotten only when
        none is left that names them. What could not be repaired is tried again with the next round.
        """
        public_url = self._public_url
        if public_url is None or self._has_moved:
            return
        former = await self._store.former_urls(public_url)
        behind = [
            facts.session_id
            for facts in await self._store.facts()
            if any(is_ours(facts.webhook.url, url) for url in former)
        ]
        repaired = [await self._repair(session_id) for session_id in behind]
        if all(repaired):
            await self._store.forget_former_urls(public_url)
            self._has_moved = True

    async def _look_at_webhooks(self, public_url: str) -> None:
        for facts in await self._store.facts():
            state, note = judge_webhook(facts.webhook, public_url, self._clock())
            if state != facts.shown:
                logger.log(
                    logging.INFO if state == "ok" else logging.WARNING,
                    "webhook.%s session=%d", state, facts.session_id,
                )  # fmt: skip
                await self._store.show_webhook(facts.session_id, state, note)

    async def probe(self, session_id: int) -> None:
        """Asks upstream with the session's own key, which tells a real link from a ghost."""
        await self._store.note_probe(session_id)
        as_of = self._clock()
        try:
            status = await self.ask_status(session_id)
        except SessionNotFound:
            await self._sessions.mark_gone(session_id)
        except GatewayError as error:
            logger.warning("monitor.probe_failed session=%d error=%s", session_id, error)
        else:
            if status is not None:
                await self._store.record_status(session_id, normalise_status(status), "probe", as_of)

    async def ask_status(self, session_id: int) -> str | None:
        """The session's status upstream now; None where there is no key to ask with."""
        secrets = await self._store.secrets(session_id)
        if secrets is not None and secrets.api_key:
            try:
                return await self._upstream.get_status(secrets.api_key)
            except UpstreamUnauthorized:
                pass  # the key may have been made anew: fetch it, and ask once more
        fresh = await self._sessions.refresh_secrets(session_id)
        if fresh is None or not fresh.api_key or (secrets and fresh.api_key == secrets.api_key):
            return None
        return await self._upstream.get_status(fresh.api_key)

    async def _repair(self, session_id: int) -> bool:
        """False if it has to be tried again."""
        try:
            await self._sessions.repair_webhook(session_id, SYSTEM)
        except SessionNotFound:
            pass  # gone: there is nothing left to repair
        except GatewayError as error:
            logger.warning("monitor.repair_failed session=%d error=%s", session_id, error)
            return False
        return True

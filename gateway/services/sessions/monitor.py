"""Looks after all sessions: reconciles them, asks those that have gone quiet, and watches their webhooks.

One gateway of the cluster at a time (a lease). A full sync at the start and every ten minutes, jittered; every
minute a look at webhooks and at sessions without a sign of life.

Lifecycle: `run` lives as long as the gateway; nothing that fails in a round ends it.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.errors import GatewayError
from gateway.domain.session import SYSTEM, Actor
from gateway.services.sessions.reconcile import SyncReport

logger = logging.getLogger(__name__)

LEASE = 0
"""The monitor's lease, beside those of the sessions (whose ids start at 1)."""


@dataclass(frozen=True, slots=True)
class MonitorPace:
    """How often the monitor looks. `roll` gives 0 ≤ x < 1: gateways that start together do not ask together."""

    sync_every_s: float = 600.0
    round_s: float = 60.0
    quiet_s: float = 600.0
    """A session without a sign of life for so long is asked itself."""

    first_s: float = 0.0
    """Before the first round, beside up to five seconds of chance."""

    roll: Callable[[], float] = random.random


DEFAULT_PACE = MonitorPace()


class Syncer(Protocol):
    """Reconciles all sessions at once."""

    async def sync(self, actor: Actor = SYSTEM) -> SyncReport:
        """Reconciles all sessions, in the actor's name. Raises UpstreamError, StoreUnavailable."""


class Probe(Protocol):
    """Asks upstream for sessions that have gone quiet."""

    async def probe_quiet(self, quiet_s: float) -> None:
        """Asks for every session that was not heard of for so long, and stores its status. Raises StoreUnavailable."""


class Webhooks(Protocol):
    """Watches where webhooks point."""

    async def look(self) -> None:
        """One look at all webhooks. Raises StoreUnavailable."""


class Leases(Protocol):
    """Who of the cluster does what only one may do."""

    async def acquire(self, session_id: int) -> bool:
        """Whether this gateway holds the lease now. Raises StoreUnavailable."""


class Monitor:
    """Asks quiet sessions, judges webhooks and reconciles, on one gateway of the cluster."""

    def __init__(
        self,
        reconciler: Syncer,
        probe: Probe,
        webhooks: Webhooks,
        leases: Leases,
        *,
        awake: asyncio.Event | None = None,
        pace: MonitorPace = DEFAULT_PACE,
    ) -> None:
        """`awake` is set while the database may be asked."""
        self._reconciler = reconciler
        self._probe = probe
        self._webhooks = webhooks
        self._leases = leases
        self._awake = awake
        self._pace = pace

    async def run(self) -> None:
        """Does its rounds until it is cancelled; a round that fails is followed by the next."""
        loop = asyncio.get_running_loop()
        # Gateways that start together do not ask together.
        await asyncio.sleep(self._pace.first_s + self._pace.roll() * 5.0)
        next_sync = loop.time()
        while True:
            if self._awake is not None:
                await self._awake.wait()
            try:
                if await self._leases.acquire(LEASE):
                    if loop.time() >= next_sync:
                        next_sync = loop.time() + self._pace.sync_every_s * (0.8 + 0.4 * self._pace.roll())
                        await self._sync()
                    await self.round()
            except GatewayError as error:
                logger.warning("monitor.round_failed error=%s", error)
            except Exception:
                logger.exception("monitor.round_failed")
            await asyncio.sleep(self._pace.round_s * (0.8 + 0.4 * self._pace.roll()))

    async def _sync(self) -> None:
        report = await self._reconciler.sync()
        logger.info(
            "monitor.synced total=%d created=%d updated=%d gone=%d errors=%d",
            report.total, report.created, report.updated, report.gone, len(report.errors),
        )  # fmt: skip

    async def round(self) -> None:
        """One look at everything that a sync does not see."""
        await self._webhooks.look()
        await self._probe.probe_quiet(self._pace.quiet_s)

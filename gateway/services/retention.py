"""Forgets what has been kept long enough: streams, journal, log rows of ours, and what only a moment needed.

One gateway of the cluster at a time, the one that holds the monitor's lease. It goes in small batches, each a short
transaction that waits for no lock, and rests as long as it works. Messages are kept for ever.

Lifecycle: `run` lives as long as the gateway; nothing that fails in a pass ends it.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.domain.errors import GatewayError
from gateway.services.sessions.monitor import LEASE, Leases

logger = logging.getLogger(__name__)

PASS_EVERY_S = 3600.0
BACKLOG_EVERY_S = 60.0
BATCH = 1000
MAX_BATCHES = 200
"""Of one kind in one pass; what is left then is a backlog, and the next pass comes soon."""

MIN_REST_S = 0.02


class RetentionStore(Protocol):
    """What can be forgotten, by kind."""

    @property
    def kinds(self) -> Sequence[str]:
        """Names of everything that is pruned, in the order of the passes."""

    async def prune(self, kind: str, batch: int) -> int:
        """Forgets at most about `batch` of the oldest that are due; how many went. Raises GatewayError."""


class Retention:
    """Prunes in small batches, on one gateway of the cluster at a time."""

    def __init__(
        self,
        store: RetentionStore,
        leases: Leases,
        *,
        pass_every_s: float = PASS_EVERY_S,
        roll: Callable[[], float] = random.random,
        awake: asyncio.Event | None = None,
    ) -> None:
        self._store = store
        self._leases = leases
        self._pass_every_s = pass_every_s
        self._roll = roll
        self._awake = awake

    async def run(self) -> None:
        """Prunes pass after pass until it is cancelled; the first begins within 30 to 90 s."""
        # Not in the first moments of a gateway, and not with all others.
        await asyncio.sleep(30.0 + 60.0 * self._roll())
        while True:
            if self._awake is not None:
                await self._awake.wait()
            is_done = True
            try:
                if await self._leases.acquire(LEASE):
                    is_done = await self.prune()
            except GatewayError as error:
                logger.warning("retention.pass_failed error=%s", error)
            except Exception:
                logger.exception("retention.pass_failed")
            await asyncio.sleep(
                (self._pass_every_s if is_done else BACKLOG_EVERY_S) * (0.8 + 0.4 * self._roll())
            )

    async def prune(self) -> bool:
        """One pass over everything; False if it had to leave some."""
        is_done = True
        for kind in self._store.kinds:
            try:
                is_done = await self._prune_kind(kind) and is_done
            except GatewayError as error:
                # The others are not to blame: a table that a transaction holds, or a right that is missing for one.
                logger.warning("retention.failed kind=%s error=%s", kind, error)
        return is_done

    async def _prune_kind(self, kind: str) -> bool:
        loop = asyncio.get_running_loop()
        total = 0
        for _ in range(MAX_BATCHES):
            started_at = loop.time()
            count = await self._store.prune(kind, BATCH)
            total += count
            if not count:
                break
            await asyncio.sleep(max(MIN_REST_S, loop.time() - started_at))
        if total:
            logger.info("retention.pruned kind=%s rows=%d", kind, total)
        return not count

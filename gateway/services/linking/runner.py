"""A runner: gets the lease of one session for this process, then runs a poller that follows the attempt.

Lifecycle: `Linking` runs `run` in a task and stops it with `interrupt`. The lease is always given back.
"""

import asyncio
import logging
from collections.abc import Sequence
from uuid import uuid4

from gateway.domain.errors import GatewayError
from gateway.domain.linking import Attempt, End
from gateway.services.deadlines import within
from gateway.services.linking.poller import Poller
from gateway.services.linking.ports import STORE_S, Leases, LinkingContext

logger = logging.getLogger(__name__)

LEASE_TRIES_S = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
"""A new attempt may have to wait until the poller of the one before it, on another gateway, has let go."""
_FAULT = {"code": "internal", "message": "Linking stopped because of a fault here.", "action": "retry"}


class AttemptRunner:
    """Follows one session's attempt in this process, from the lease to the end."""

    def __init__(self, session_id: int, context: LinkingContext, leases: Leases) -> None:
        self.token = str(uuid4())
        """Fences the writes of this runner's poller. Each runner has its own, also within one process."""
        self.task: asyncio.Task[None] | None = None
        self.poller: Poller | None = None
        self.has_lease = False
        """Or may have it: it was asked for, and the answer was not no."""
        self._id = session_id
        self._context = context
        self._leases = leases
        self._is_leaving = False

    def holds(self, row: Attempt | None) -> bool:
        """Whether this is the running row that the poller here follows."""
        return (
            row is not None
            and row.running
            and row.holder == self.token
            and self.poller is not None
            and row.id == self.poller.attempt.id
        )

    def interrupt(self) -> None:
        """Stops following, unless it is leaving or writing the end down already."""
        # A poller that writes the end goes by itself, and must not lose what follows the end. One that is
        # going already must not be disturbed while it gives its lease back.
        if self.task is None or self._is_leaving or (self.poller is not None and self.poller.is_ending):
            return
        self.task.cancel()

    async def run(self, fresh: Attempt | None, former: "AttemptRunner | None") -> End | None:
        """The end of the attempt if this runner wrote it; None if the attempt goes on, or another wrote its end.

        `fresh` is the attempt if it was begun for this runner. Never raises, except when it is cancelled.
        """
        try:
            if former is not None and former.task is not None:
                await asyncio.wait([former.task])  # it may still hold the lease, and Postgres counts them
            if not await self._acquire(LEASE_TRIES_S if fresh else LEASE_TRIES_S[:1]):
                return None
            attempt, is_new = await self._take(fresh)
            if attempt is None:
                return None
            self.poller = Poller(attempt, self.token, self._context, is_new=is_new)
            logger.info("linking.poller_started session=%d attempt=%d", self._id, attempt.id)
            return await self.poller.follow()
        except GatewayError as error:
            logger.warning("linking.poller_stopped session=%d error=%s", self._id, error)
            return None
        except Exception:
            self._is_leaving = True
            logger.exception("linking.poller_crashed session=%d", self._id)
            return await self._give_up()
        finally:
            self._is_leaving = True
            await self._release()

    async def _acquire(self, tries_s: Sequence[float]) -> bool:
        for wait_s in tries_s:
            await asyncio.sleep(wait_s)
            # Noted before: if this runner is stopped while Postgres answers, the lease has to be given back, too.
            self.has_lease = True
            self.has_lease = await within(STORE_S, self._leases.acquire(self._id))
            if self.has_lease:
                return True
        return False

    async def _take(self, fresh: Attempt | None) -> tuple[Attempt | None, bool]:
        """The attempt, held by this runner, if it runs; and whether upstream has not been asked yet."""
        store = self._context.store
        if fresh is not None:
            # Another gateway's poller may have had it between `begin` and the lease: it would have left its
            # token. A cancelled attempt must not reach upstream at all.
            row = await within(STORE_S, store.current(self._id))
            if row is not None and row.running and row.id == fresh.id and row.holder == self.token:
                return row, True
        return await within(STORE_S, store.take(self._id, self.token)), False

    async def _give_up(self) -> End | None:
        """A poller with a bug ends its attempt: it would crash again wherever it went on."""
        try:
            ended = self._context.store.end(self._id, self.token, "error", _FAULT)
            return End("error", _FAULT) if await within(STORE_S, ended) else None
        except Exception as failure:
            logger.warning("linking.give_up_failed session=%d error=%r", self._id, failure)
            return None

    async def _release(self) -> None:
        if not self.has_lease:
            return
        self.has_lease = False
        try:
            await within(STORE_S, self._leases.release(self._id))
        except Exception as error:  # mostly: the connection is gone, and the lease with it
            logger.warning("linking.release_failed session=%d error=%r", self._id, error)

"""Changes that wait although their message is there: they are applied within seconds.

A change may come while another process is writing its message. The change finds no message and waits; that process
does not see the change. So a gateway that has left a change to wait looks soon whether the message is there now, and a
few times more. What else waits is looked for once a minute: an encrypted change that Postgres failed to be opened with,
or what a gateway left that is gone.

Lifecycle: `run` lives as long as the gateway; a failure of the store only delays it. Any number of gateways may run it.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from typing import Protocol

from gateway.domain.errors import GatewayError

logger = logging.getLogger(__name__)

SWEEP_S = 60.0
FOLLOW_UPS_S = (0.5, 2.0, 6.0, 15.0)
"""How long after a change was left to wait its message is looked for, one pause after the other."""


class EarlyStore(Protocol):
    """Where changes wait."""

    left_early: asyncio.Event
    """A change was left to wait."""

    async def sweep(self, *, is_recent: bool = False) -> None:
        """Applies what waits although its message is there; only the recent, if asked. Raises GatewayError."""


class EarlyChanges:
    """Has changes applied that wait although their message is there."""

    def __init__(
        self,
        store: EarlyStore,
        *,
        sweep_s: float = SWEEP_S,
        follow_ups_s: Sequence[float] = FOLLOW_UPS_S,
        awake: asyncio.Event | None = None,
    ) -> None:
        """`awake` is set while the database may be asked."""
        self._store = store
        self._sweep_s = sweep_s
        self._follow_ups_s = follow_ups_s
        self._awake = awake

    async def run(self) -> None:
        """Sweeps until it is cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._pause()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._store.left_early.wait()
            if self._store.left_early.is_set():
                await self._follow_up()
            if loop.time() >= due:
                await self._sweep()
                due = loop.time() + self._pause()

    def _pause(self) -> float:
        return self._sweep_s * random.uniform(0.8, 1.2)

    async def _follow_up(self) -> None:
        """Looks some times for the messages of what was left to wait; what is left meanwhile begins another round."""
        self._store.left_early.clear()
        for pause in self._follow_ups_s:
            await asyncio.sleep(pause)
            await self._sweep(is_recent=True)

    async def _sweep(self, *, is_recent: bool = False) -> None:
        if self._awake is not None:
            await self._awake.wait()
        try:
            await self._store.sweep(is_recent=is_recent)
        except GatewayError as error:
            logger.warning("webhooks.not_swept error=%s", error)
        except Exception:
            logger.exception("webhooks.not_swept")

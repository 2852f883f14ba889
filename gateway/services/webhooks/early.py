"""Changes that wait although their message is there: they are applied within a minute or so.

A change may come while another process is writing its message. The change finds no message and waits; that process
does not see the change. An encrypted change waits, too, where Postgres failed while it was opened.

Lifecycle: `run` lives as long as the gateway; a failure of the store only delays it. Any number of gateways may run it.
"""

import asyncio
import logging
import random
from typing import Protocol

from gateway.domain.errors import GatewayError

logger = logging.getLogger(__name__)

SWEEP_S = 60.0


class EarlyStore(Protocol):
    """Where changes wait."""

    async def sweep(self) -> None:
        """Applies what waits although its message is there. Raises GatewayError."""


class EarlyChanges:
    """Has changes applied that wait although their message is there."""

    def __init__(
        self, store: EarlyStore, *, sweep_s: float = SWEEP_S, awake: asyncio.Event | None = None
    ) -> None:
        """`awake` is set while the database may be asked."""
        self._store = store
        self._sweep_s = sweep_s
        self._awake = awake

    async def run(self) -> None:
        """Sweeps until it is cancelled."""
        while True:
            await asyncio.sleep(self._sweep_s * random.uniform(0.8, 1.2))
            if self._awake is not None:
                await self._awake.wait()
            try:
                await self._store.sweep()
            except GatewayError as error:
                logger.warning("webhooks.not_swept error=%s", error)
            except Exception:
                logger.exception("webhooks.not_swept")

"""Looks at the triggers that tell of changes: a shop's tools may drop, disable or rebuild what they stand on.

Lifecycle: `run` lives as long as the gateway. While something is wrong, `/readyz` says so; `gateway migrate` repairs
it.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from prometheus_client import Gauge

from gateway.domain.errors import GatewayError
from gateway.domain.triggers import TriggerFault, explain_faults

logger = logging.getLogger(__name__)

CHECK_S = 20.0

FAULTS = Gauge(
    "gateway_trigger_faults",
    "Triggers and columns of the gateway that are missing or disabled: changes are not told.",
    multiprocess_mode="livemax",
)


class TriggerStore(Protocol):
    """Where the triggers stand."""

    async def faults(self) -> Sequence[TriggerFault]:
        """What is not as the migrations have left it. Raises GatewayError."""


class TriggerCheck:
    """Says whether changes of the tables are told.

    `awake` is cleared while the database may sleep."""

    def __init__(
        self, store: TriggerStore, *, awake: asyncio.Event | None = None, check_s: float = CHECK_S
    ) -> None:
        self._store = store
        self._awake = awake
        self._check_s = check_s
        self.complaint: str | None = None
        """What is wrong, with what to do; None if nothing is."""

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            if self._awake is None or self._awake.is_set():
                try:
                    await self.check()
                except GatewayError as error:
                    logger.info("triggers.not_checked error=%s", error)
                except Exception:
                    logger.exception("triggers.not_checked")
            await asyncio.sleep(self._check_s)

    async def check(self) -> None:
        """One look. Raises GatewayError."""
        faults = await self._store.faults()
        complaint = explain_faults(faults)
        FAULTS.set(len(faults))
        if complaint != self.complaint:
            if complaint is None:
                logger.info("triggers.whole")
            else:
                logger.error("triggers.broken faults=%d why=%s", len(faults), complaint)
        self.complaint = complaint

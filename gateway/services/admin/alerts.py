"""What an operator has to know of a number at once: its link is lost, its webhooks stop, WhatsApp restricts it.

Postgres keeps the alerts and says which are new and which are over, so any gateway may look.

Lifecycle: `run` looks after every change of sessions, and now and then, until it is cancelled.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from gateway.domain.errors import GatewayError

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
SETTLE_S = 1.0
"""Changes of sessions come in groups: one look for all of them."""

AlertKind = Literal["link_lost", "webhooks_stopped", "restricted"]
KINDS: tuple[AlertKind, ...] = ("link_lost", "webhooks_stopped", "restricted")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; over once it has `ended_at`."""

    id: int
    kind: AlertKind
    session_id: int
    note: str
    opened_at: datetime
    ended_at: datetime | None


class AlertStore(Protocol):
    """Where alerts are kept. Raises StoreUnavailable."""

    async def judge_alerts(self) -> list[Alert]:
        """Opens and ends alerts as the numbers stand; those that changed."""


class Alerts:
    """Looks whether there is something new to know of a number."""

    def __init__(
        self,
        store: AlertStore,
        *,
        awake: asyncio.Event | None = None,
        look_every_s: float = LOOK_EVERY_S,
        settle_s: float = SETTLE_S,
    ) -> None:
        """`awake` is set while the database may be asked."""
        self._store = store
        self._awake = awake
        self._look_every_s = look_every_s
        self._settle_s = settle_s
        self._moved = asyncio.Event()

    def notify(self, payload: str) -> None:
        """Takes a notification of changed sessions. Never waits."""
        self._moved.set()

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._look_every_s):
                    await self._moved.wait()
            except TimeoutError:
                pass
            if self._awake is not None:
                await self._awake.wait()
            await asyncio.sleep(self._settle_s)
            if self._awake is not None and not self._awake.is_set():
                continue  # it fell asleep meanwhile: what moved is looked at when it wakes
            self._moved.clear()
            try:
                await self.look()
            except GatewayError as error:
                logger.info("alerts.not_looked error=%s", error)
            except Exception:
                logger.exception("alerts.not_looked")

    async def look(self) -> None:
        """One look. Raises StoreUnavailable."""
        for alert in await self._store.judge_alerts():
            if alert.ended_at is None:
                logger.error(
                    "alert.opened kind=%s session=%d note=%s", alert.kind, alert.session_id, alert.note
                )
            else:
                logger.info("alert.ended kind=%s session=%d", alert.kind, alert.session_id)

"""Numbers the changes of transactions that could not do it as they committed, right after the commit.

A transaction under REPEATABLE READ or SERIALIZABLE notifies the gateways. A prepared one cannot: where the server
allows PREPARE TRANSACTION, a gateway looks twice a second.

Lifecycle: `run` lives as long as the gateway; a failure of the store only delays it.
"""

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from prometheus_client import Counter

from gateway.domain.backoff import Backoff
from gateway.domain.errors import GatewayError

logger = logging.getLogger(__name__)

BACKOFF = Backoff(first_s=1.0, most_s=10.0)


@dataclass(frozen=True, slots=True)
class NumberingPace:
    """Seconds between two looks."""

    tick_s: float = 10.0
    prepared_s: float = 0.5
    """Where the server allows prepared transactions: their commit notifies no gateway."""

    backoff: Backoff = BACKOFF
    """After a look that failed."""


DEFAULT_PACE = NumberingPace()

NUMBERED = Counter(
    "gateway_transactions_numbered_later", "Transactions whose changes were numbered after their commit."
)


class Numbered(NamedTuple):
    """What one look at the transactions has found."""

    transactions: int
    may_prepare: bool
    """Whether the server allows PREPARE TRANSACTION."""


class UnnumberedStore(Protocol):
    """Where transactions leave changes to be numbered."""

    async def number(self) -> Numbered:
        """Numbers up to a hundred transactions. Raises GatewayError."""


class Numbering:
    """Numbers what transactions leave, as long as the gateway lives.

    `awake` is cleared while the database may sleep."""

    def __init__(
        self,
        store: UnnumberedStore,
        *,
        awake: asyncio.Event | None = None,
        pace: NumberingPace = DEFAULT_PACE,
    ) -> None:
        self._store = store
        self._pace = pace
        self._awake = awake
        self._wake = asyncio.Event()
        self._wake.set()

    def notify(self, payload: str = "*") -> None:
        """A transaction has left changes to number. Never waits."""
        self._wake.set()

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        pause_s, failures = self._pace.tick_s, 0
        while True:
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                if self._awake is not None and not self._awake.is_set():
                    continue
            self._wake.clear()
            try:
                pause_s, failures = await self.number(), 0
                continue
            except GatewayError as error:
                logger.warning("numbering.failed error=%s", error)
            except Exception:
                # The streams of other transactions go on: no row may end the gateway from here.
                logger.exception("numbering.failed")
            failures += 1
            pause_s = self._pace.backoff.pause_s(failures, random.random())

    async def number(self) -> float:
        """Numbers all that waits; returns the seconds until the next look. Raises GatewayError."""
        while True:
            numbered = await self._store.number()
            if not numbered.transactions:
                return self._pace.prepared_s if numbered.may_prepare else self._pace.tick_s
            NUMBERED.inc(numbered.transactions)
            logger.info("numbering.done transactions=%d", numbered.transactions)

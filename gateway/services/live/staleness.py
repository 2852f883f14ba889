"""Whether what clients see is all that Postgres holds. They are told when that is not certain, and when it is again.

It is not certain while notifications may be lost (the listening connection is down), nor while what they name cannot
be read.

Lifecycle: `run` lives as long as the gateway, and looks for the way back.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from gateway.domain.errors import StoreUnavailable
from gateway.domain.session import iso_utc

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.3
"""Between two looks while it is not certain."""


class Source(Protocol):
    """What is read after notifications, and may have missed some."""

    async def catch_up(self) -> None:
        """Returns when everything written so far has been published. Raises StoreUnavailable."""


class Staleness:
    """Tells clients since when they may miss something, and when they have everything again."""

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        is_cut_off: Callable[[], bool],
        tell_stale: Callable[[str], None],
        tell_fresh: Callable[[], None],
    ) -> None:
        self._sources = sources
        self._is_cut_off = is_cut_off
        self._tell_stale = tell_stale
        self._tell_fresh = tell_fresh
        self._since: datetime | None = None
        self._marks = 0
        self._wake = asyncio.Event()

    @property
    def stale_since(self) -> str | None:
        """Since when we may have missed something; None while we have everything."""
        return iso_utc(self._since)

    def is_stale(self) -> bool:
        """Whether we may have missed something."""
        return self._since is not None

    async def catch_up(self) -> None:
        """Returns when every source has published what was written so far. Raises StoreUnavailable."""
        for source in self._sources:
            await source.catch_up()

    def mark_stale(self) -> None:
        """Something could not be heard or read: clients are told, unless they know already. Never waits."""
        self._marks += 1
        # A second fall before we were fresh again: what was missed since the first is missing still.
        if self._since is None:
            self._since = datetime.now(UTC)
            logger.warning("staleness.stale")
        self._tell_stale(self.stale_since or "")
        self._wake.set()

    async def run(self) -> None:
        """Tries to catch up whenever the gateway is stale, until it is cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._since is not None:
                await self._try()

    async def _try(self) -> None:
        """One look; `fresh` promises that nothing is missing: first what came meanwhile, then the word."""
        known = self._marks
        try:
            if not self._is_cut_off():
                await self.catch_up()
                # What was lost during the look may be behind where it looked.
                if not self._is_cut_off() and self._marks == known:
                    self._since = None
                    logger.info("staleness.fresh")
                    self._tell_fresh()
                    return
        except StoreUnavailable:
            pass
        await asyncio.sleep(LOOK_AGAIN_S * random.uniform(0.5, 1.0))

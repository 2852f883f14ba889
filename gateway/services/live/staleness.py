"""Whether what clients see is all that Postgres holds. They are told when that is not certain, and when it is again.

It is not certain while notifications may be lost (the listening connection is down), nor while what they name cannot
be read.

Lifecycle: `run` lives as long as the gateway, and looks for the way back.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from gateway.domain.errors import StoreUnavailable
from gateway.domain.session import iso_utc

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.3
"""Between two looks while it is not certain."""


class Staleness:
    """`catch_up` returns when everything written so far has been published, or raises StoreUnavailable."""

    def __init__(
        self,
        catch_up: Callable[[], Awaitable[None]],
        *,
        is_hearing: Callable[[], bool],
        tell_stale: Callable[[str], None],
        tell_fresh: Callable[[], None],
    ) -> None:
        self._catch_up = catch_up
        self._is_hearing = is_hearing
        self._tell_stale = tell_stale
        self._tell_fresh = tell_fresh
        self._since: datetime | None = None
        self._marks = 0
        self._wake = asyncio.Event()

    @property
    def stale_since(self) -> str | None:
        """Since when we may have missed something; None while we have everything."""
        return iso_utc(self._since)

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
            if self._is_hearing():
                await self._catch_up()
                # What was lost during the look may be behind where it looked.
                if self._is_hearing() and self._marks == known:
                    self._since = None
                    logger.info("staleness.fresh")
                    self._tell_fresh()
                    return
        except StoreUnavailable:
            pass
        await asyncio.sleep(LOOK_AGAIN_S * random.uniform(0.5, 1.0))

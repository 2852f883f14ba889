"""Removes files that are not wanted any more: unused uploads, files older than the shop keeps them, bytes of none.

Any number of gateways may run it: what one works at, the others pass over. Lifecycle: `run` lives as long as the
gateway.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Protocol

from prometheus_client import Counter

from gateway.domain.errors import GatewayError
from gateway.services.media.files import MediaFiles

logger = logging.getLogger(__name__)

REMOVED = Counter("gateway_media_removed", "Files whose bytes were removed from the media store.")

PASS_EVERY_S = 60.0
BATCH = 200
BEFORE_ALL = "00000000-0000-0000-0000-000000000000"


class KeepStore(Protocol):
    """What can go. Every call raises StoreUnavailable."""

    async def drop_unused(self, most: int) -> int:
        """Removes uploads that no message took; how many."""

    async def drop_orphaned(self, after: str, most: int) -> tuple[str | None, int]:
        """Of the files behind that id, removes those whose message is gone: the last id looked at, and how many."""

    async def expire(self, days: float, most: int) -> int:
        """Ends files that are older; their messages say so. How many."""

    async def take_unused_blobs(self, among: Sequence[str] | None, most: int) -> list[str]:
        """Hashes of files that no message has, marked for removal; of those given, or of all."""

    async def forget_blob(self, sha256: str) -> None:
        """Its bytes are gone."""

    async def erase(self, ids: Sequence[str]) -> list[str]:
        """Erases files of messages; the hashes of their bytes."""


class Keeper:
    """Removes what is not wanted any more."""

    def __init__(
        self,
        store: KeepStore,
        files: MediaFiles,
        *,
        days: float,
        roll: Callable[[], float] = random.random,
        awake: asyncio.Event | None = None,
    ) -> None:
        """`days` is how long files are kept; 0 for ever."""
        self._store = store
        self._files = files
        self._days = days
        self._roll = roll
        self._awake = awake
        self._after = BEFORE_ALL

    async def run(self) -> None:
        """Removes pass after pass until it is cancelled."""
        while True:
            await asyncio.sleep(PASS_EVERY_S * (0.8 + 0.4 * self._roll()))
            if self._awake is not None:
                await self._awake.wait()
            try:
                await self.sweep()
            except GatewayError as error:
                logger.warning("media.not_swept error=%s", error)
            except Exception:
                logger.exception("media.not_swept")

    async def sweep(self) -> None:
        """One pass, of bounded length."""
        await self._store.drop_unused(BATCH)
        last, orphaned = await self._store.drop_orphaned(self._after, BATCH)
        self._after = last or BEFORE_ALL
        expired = await self._store.expire(self._days, BATCH) if self._days else 0
        if orphaned or expired:
            logger.info("media.swept orphaned=%d expired=%d", orphaned, expired)
        await self._remove(await self._store.take_unused_blobs(None, BATCH))

    async def erase(self, ids: Sequence[str]) -> None:
        """Erases these files: rows, bytes and small pictures, unless another message has the same bytes.

        Raises StoreUnavailable, and Unavailable where the media store is away: then the rows are gone already, and the
        bytes go with a later pass.
        """
        await self.remove_unused(await self._store.erase(ids))

    async def remove_unused(self, hashes: Sequence[str]) -> None:
        """Removes those of these files that no message has any more. The same file that comes meanwhile waits."""
        if hashes:
            await self._remove(await self._store.take_unused_blobs(hashes, len(hashes)))

    async def _remove(self, hashes: Sequence[str]) -> None:
        for sha256 in hashes:
            await self._files.remove(sha256)
            await self._store.forget_blob(sha256)
            REMOVED.inc()

"""Takes out of this gateway's spool what names a person who was erased.

Lifecycle: `run` lives as long as the gateway and looks for new tombstones every few seconds; a failure is tried again.
"""

import asyncio
import logging
from collections.abc import Collection
from datetime import datetime
from typing import Protocol

import orjson

from gateway.domain.erasure import Digests, Tombstone
from gateway.domain.errors import GatewayError
from gateway.services.webhooks.spooled import Spooled

logger = logging.getLogger(__name__)

LOOK_S = 10.0


class TombstoneStore(Protocol):
    """Tombstones in Postgres. Raises StoreUnavailable."""

    async def tombstones(self, since: datetime | None) -> list[Tombstone]:
        """Those that were set after that moment, the oldest first; all without one."""


class PurgedSpool(Protocol):
    """Webhooks that wait on this disk. Raises Unavailable."""

    async def page(self, after: int) -> list[Spooled]:
        """The next webhooks in their order."""

    async def remove(self, ids: Collection[int]) -> None:
        """Removes webhooks."""

    async def tidy(self) -> None:
        """Gives the disk space of removed webhooks back."""

    async def remove_refused(self, is_unwanted: "Unwanted") -> int:
        """Removes files of refused webhooks that are unwanted; how many."""


class Unwanted(Protocol):
    """Whether a webhook names a person who was erased after it was received."""

    def __call__(self, session_id: int, received_at: datetime, raw: bytes) -> bool:
        """True if it has to go."""


class SpoolPurge:
    """Looks for new tombstones, and for what they mean on this disk."""

    def __init__(
        self, store: TombstoneStore, spool: PurgedSpool, digests: Digests, look_s: float = LOOK_S
    ) -> None:
        self._store = store
        self._spool = spool
        self._digests = digests
        self._look_s = look_s
        self._seen: datetime | None = None

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            try:
                await self.look()
            except GatewayError as error:
                logger.warning("erasure.spool_not_purged error=%s", error)
            except Exception:
                logger.exception("erasure.spool_not_purged")
            await asyncio.sleep(self._look_s)

    async def look(self) -> None:
        """One look. Raises StoreUnavailable, Unavailable."""
        news = await self._store.tombstones(self._seen)
        if not news:
            return
        removed = await self._purge(news)
        self._seen = max(item.at for item in news)
        if removed:
            logger.info("erasure.spool_purged webhooks=%d", removed)

    async def _purge(self, tombstones: list[Tombstone]) -> int:
        def is_unwanted(session_id: int, received_at: datetime, raw: bytes) -> bool:
            digests = [
                item.digest for item in tombstones if item.session_id == session_id and received_at < item.at
            ]
            return bool(digests) and self._digests.names_one(_read(raw), digests)

        after, removed = 0, 0
        while page := await self._spool.page(after):
            after = page[-1].id
            gone = [item.id for item in page if is_unwanted(item.session_id, item.received_at, item.raw)]
            if gone:
                await self._spool.remove(gone)
                removed += len(gone)
        removed += await self._spool.remove_refused(is_unwanted)
        # Also what was committed before: its bytes stand in free pages of the file.
        await self._spool.tidy()
        return removed


def _read(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")

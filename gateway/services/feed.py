"""Bell or tick → read what the streams hold past our offsets → hub.

The bell only says which inboxes moved (`"3,7"`, or `"*"`); the truth is what the streams hold. Lost, doubled
and late bells are harmless, and a slow tick rings too.

Lifecycle: `run` lives as long as the gateway. It starts with a full look, goes on with each bell, and after a
failure of the store tries again with a back-off; nothing is skipped, because the offsets move only when
events have been handed to the hub.
"""

import asyncio
import logging
import random
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.domain.errors import StoreUnavailable
from gateway.domain.stream import Event, Extent, Inbox, Position

logger = logging.getLogger(__name__)

PAGE_EVENTS = 500
PAGE_BYTES = 1024 * 1024
TICK_S = 10.0

# Any role may NOTIFY. A number that bigint cannot hold would be refused by every later read.
_BELL = re.compile(r"-?[0-9]{1,18}(,-?[0-9]{1,18})*")


class StreamReader(Protocol):
    async def extents(self, inboxes: Sequence[int] | None = None) -> dict[int, Extent]: ...
    async def ensure(self, inbox: int) -> Extent: ...
    async def read_after(
        self, offsets: Mapping[int, int], limit: int, max_bytes: int | None = None
    ) -> list[Event]: ...


class Streams(StreamReader, Protocol):
    async def check_history(self) -> bool:
        """Begins all streams anew if the database is not the one it was (a backup, a standby); True if so."""

    async def begin_anew(self, inbox: int, epoch: str) -> bool:
        """Begins all streams anew unless this one's epoch is another by now; True if it did."""


class Truth(Protocol):
    """Whether the gateway hears Postgres; clients are told when it does not."""

    @property
    def stale_since(self) -> str | None: ...


class Outlet(Protocol):
    """The hub, as the feed sees it."""

    def position(self, inbox: int) -> Position | None: ...
    def is_followed(self, inbox: int) -> bool: ...
    def publish(self, inbox: Inbox, events: Sequence[Event]) -> None: ...
    def advance(self, inbox: Inbox, extent: Extent) -> None: ...


class Feed:
    def __init__(
        self, streams: Streams, hub: Outlet, *, tick_s: float = TICK_S, awake: asyncio.Event | None = None
    ) -> None:
        self._streams = streams
        self._hub = hub
        self._tick_s = tick_s
        self._awake = awake
        self._dirty: set[int] = set()
        self._all_dirty = True
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()

    def ring(self, payload: str) -> None:
        """A bell from Postgres. Never waits; a payload we cannot read counts as `*`."""
        if _BELL.fullmatch(payload):
            self._dirty.update(int(name) for name in payload.split(","))
        else:
            self._all_dirty = True
        self._wake.set()

    async def open(self) -> None:
        """Learns where every inbox stands. Raises StoreUnavailable."""
        await self._check_history()
        await self._read()

    async def look(self) -> None:
        """Returns when everything committed before has been published. Raises StoreUnavailable.

        To be called when Postgres was away: another one may have come back.
        """
        await self._check_history()
        self._all_dirty = True
        await self._read()

    async def run(self) -> None:
        failures = 0
        while True:
            try:
                async with asyncio.timeout(self._tick_s):
                    await self._wake.wait()
            except TimeoutError:
                if self._awake is not None and not self._awake.is_set():
                    continue
                self._all_dirty = True
            try:
                await self._read()
                failures = 0
            except StoreUnavailable as error:
                failures += 1
                delay = min(5.0, 0.2 * 2**failures) * random.uniform(0.5, 1.0)
                logger.warning("feed.read_failed error=%s retry_in_s=%.1f", error, delay)
                self._wake.set()
                await asyncio.sleep(delay)

    async def position_at_least(self, inbox: Inbox, after: Position | None) -> Position:
        """Where the inbox stands in the hub, after a look at the store if it is new or `after` is beyond it.

        Raises StoreUnavailable.
        """
        if self._hub.position(inbox) is None:
            async with self._reading:
                extent = await self._streams.ensure(inbox)
                if self._hub.position(inbox) is None:
                    self._hub.advance(inbox, extent)
        elif after is not None:
            await self.see({inbox: after})
        position = self._hub.position(inbox)
        assert position is not None
        return position

    async def see(self, wanted: Mapping[Inbox, Position]) -> None:
        """One look at the store if any of these is beyond what the hub has. Raises StoreUnavailable."""
        # The client may have read its position in a newer snapshot than our last look.
        news = [inbox for inbox, position in wanted.items() if self._is_news(inbox, position)]
        if news:
            self._dirty.update(news)
            await self._read()

    def _is_news(self, inbox: Inbox, position: Position) -> bool:
        known = self._hub.position(inbox)
        return known is None or position.off > known.off or position.epoch != known.epoch

    async def _read(self) -> None:
        async with self._reading:
            self._wake.clear()
            everything, self._all_dirty = self._all_dirty, False
            dirty, self._dirty = self._dirty, set()
            try:
                await self._read_inboxes(None if everything else sorted(dirty))
            except BaseException:
                self._all_dirty = self._all_dirty or everything
                self._dirty |= dirty
                self._wake.set()
                raise

    async def _check_history(self) -> None:
        if await self._streams.check_history():
            logger.warning("feed.history_changed meaning=everybody_loads_anew")

    async def _extents(self, inboxes: list[int] | None) -> dict[int, Extent]:
        extents = await self._streams.extents(inboxes)
        for number, extent in extents.items():
            known = self._hub.position(number)
            # Offsets only grow: this database is an older one, brought back while we ran.
            if known is not None and known.epoch == extent.epoch and known.off > extent.top:
                logger.warning("feed.went_back inbox=%d from=%d to=%d", number, known.off, extent.top)
                await self._streams.begin_anew(number, extent.epoch)
                return await self._streams.extents()
        return extents

    async def _read_inboxes(self, inboxes: list[int] | None) -> None:
        if inboxes == []:
            return
        behind: dict[int, int] = {}
        extents = await self._extents(inboxes)
        for number, extent in extents.items():
            inbox = Inbox(number)
            known = self._hub.position(inbox)
            if known is not None and known.epoch == extent.epoch and known.off == extent.top:
                continue
            is_usable = known is not None and known.epoch == extent.epoch and known.off >= extent.floor
            if known is None or not is_usable or not self._hub.is_followed(inbox):
                self._hub.advance(inbox, extent)
            else:
                behind[inbox] = known.off
        while behind:
            page = await self._streams.read_after(behind, PAGE_EVENTS, PAGE_BYTES)
            behind = self._publish(page, behind, extents)

    def _publish(
        self, events: list[Event], behind: dict[int, int], extents: Mapping[int, Extent]
    ) -> dict[int, int]:
        """Hands a page over, inbox by inbox; returns what is still behind.

        A page ends at its size, so inboxes may be missing from it: they come with the next one.
        """
        if not events:
            return {}
        by_inbox: dict[Inbox, list[Event]] = {}
        for event in events:
            by_inbox.setdefault(event.inbox, []).append(event)
        still = dict(behind)
        for inbox, batch in by_inbox.items():
            if batch[-1].off != behind[inbox] + len(batch):
                # A hole: pruned or begun anew since we asked for its extent. Whoever follows finds out by
                # catching up.
                self._hub.advance(inbox, extents[inbox])
                del still[inbox]
                continue
            self._hub.publish(inbox, batch)
            still[inbox] = batch[-1].off
            if batch[-1].off >= extents[inbox].top:
                del still[inbox]
        return still

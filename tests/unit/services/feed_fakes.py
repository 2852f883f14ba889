"""Streams and a hub in memory, for the tests of the feed."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

from gateway.domain.errors import StoreUnavailable
from gateway.domain.streams import Event, Extent, Inbox, Position, Snapshot

EPOCH = "e1"
DEADLINE_S = 30.0


class Store:
    """Streams in memory, with a count of what was asked."""

    def __init__(self) -> None:
        self.events: dict[int, list[Event]] = {}
        self.epochs: dict[int, str] = {}
        self.floors: dict[int, int] = {}
        self.asked: list[str] = []
        self.failures = 0
        self.page_events = 1000
        """A page holds no more than these, of all inboxes together."""
        self.before_reading: Callable[[], None] = lambda: None
        self.was_asked = asyncio.Event()
        self.is_restored = False
        self.gate: asyncio.Event | None = None

    def append(self, inbox: int, count: int = 1) -> None:
        kept = self.events.setdefault(inbox, [])
        for _ in range(count):
            kept.append(Event(Inbox(inbox), len(kept) + 1, "t", "INSERT", "", {}, {}))

    async def extents(self, inboxes: Sequence[int] | None = None) -> dict[int, Extent]:
        self._ask(f"extents {'*' if inboxes is None else ','.join(map(str, inboxes))}")
        if self.gate is not None:
            await self.gate.wait()
        return {inbox: self._extent(inbox) for inbox in self.events if inboxes is None or inbox in inboxes}

    async def moved_since(self, snapshot: Snapshot) -> dict[int, Position] | None:
        raise AssertionError("nobody asks for a snapshot here")

    async def ensure(self, inbox: int) -> Extent:
        self._ask(f"ensure {inbox}")
        self.events.setdefault(inbox, [])
        return self._extent(inbox)

    async def read_after(
        self, offsets: Mapping[int, int], limit: int, max_bytes: int | None = None
    ) -> list[Event]:
        self.before_reading()
        self._ask(f"read {','.join(f'{inbox}>{off}' for inbox, off in sorted(offsets.items()))}")
        return self._after(offsets)

    def _after(self, offsets: Mapping[int, int]) -> list[Event]:
        found = [
            event
            for inbox, off in sorted(offsets.items())
            for event in self.events[inbox]
            if event.off > max(off, self.floors.get(inbox, 0))
        ]
        return found[: self.page_events]

    async def read_unread(
        self, offsets: Mapping[int, int | None], limit: int, max_bytes: int
    ) -> tuple[dict[int, Extent], list[Event]]:
        self._ask(f"news {','.join(f'{inbox}>{off}' for inbox, off in sorted(offsets.items()))}")
        known = {inbox: off for inbox, off in offsets.items() if inbox in self.events}
        extents = {inbox: self._extent(inbox) for inbox in known}
        events = self._after({inbox: off for inbox, off in known.items() if off is not None})
        if self.gate is not None:
            await self.gate.wait()
        return extents, events

    async def check_history(self) -> bool:
        if not self.is_restored:
            return False
        self.is_restored = False
        self.epochs = dict.fromkeys(self.events, "after the restore")
        return True

    def restore(self, epoch: str) -> None:
        """A backup is brought back, with the epoch of its time."""
        self.is_restored = True
        self.epochs = dict.fromkeys(self.events, epoch)

    async def begin_anew(self, inbox: int, epoch: str) -> bool:
        self._ask(f"begin anew {inbox}")
        if self.epochs.get(inbox, EPOCH) != epoch:
            return False
        self.epochs = dict.fromkeys(self.events, f"{epoch}'")
        return True

    async def hears_a_question(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.was_asked.wait()

    def _extent(self, inbox: int) -> Extent:
        kept = self.events[inbox]
        top = kept[-1].off if kept else self.floors.get(inbox, 0)
        return Extent(top, self.floors.get(inbox, 0), self.epochs.get(inbox, EPOCH))

    def _ask(self, question: str) -> None:
        self.asked.append(question)
        self.was_asked.set()
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")


class Hub:
    """What was handed over, inbox by inbox."""

    def __init__(self) -> None:
        self.at: dict[int, Position] = {}
        self.followed: set[int] = set()
        self.published: dict[int, list[int]] = {}
        self.advanced: list[tuple[int, int]] = []
        self.moved = asyncio.Event()

    def position(self, inbox: int) -> Position | None:
        return self.at.get(inbox)

    def is_followed(self, inbox: int) -> bool:
        return inbox in self.followed

    def together(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def publish(self, inbox: Inbox, events: Sequence[Event]) -> None:
        offs = [event.off for event in events]
        assert offs[0] == self.at[inbox].off + 1, "a gap was published"
        self.published.setdefault(inbox, []).extend(offs)
        self.at[inbox] = Position(offs[-1], self.at[inbox].epoch)
        self.moved.set()

    def advance(self, inbox: Inbox, extent: Extent) -> None:
        self.advanced.append((inbox, extent.top))
        self.at[inbox] = Position(extent.top, extent.epoch)
        self.moved.set()

    async def reaches(self, inbox: int, off: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while inbox not in self.at or self.at[inbox].off < off:
                self.moved.clear()
                await self.moved.wait()

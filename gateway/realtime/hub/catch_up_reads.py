"""Where a cursor that is catching up gets its next frames from: the tail in memory, else the stream in Postgres."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from gateway.domain.streams import Event, Extent, Position, ResetReason, Snapshot, check_position
from gateway.realtime.hub.cursors import Cursor
from gateway.realtime.hub.hub import Hub
from gateway.realtime.hub.tail import Page
from gateway.services.background import Background
from gateway.services.live.tail_source import StreamReader

PAGE_EVENTS = 200
PAGE_BYTES = 64 * 1024


class SharedReads:
    """The store, as those who catch up see it: who asks for a page that is being read already waits for that.

    A connection asks only after the hub knows of an event past its offset, so a read under way brings at least that
    one.
    """

    def __init__(self, streams: StreamReader) -> None:
        self._streams = streams
        self._under_way: dict[tuple[object, ...], asyncio.Task[list[Event]]] = {}
        self._background = Background()

    async def extents(self, inboxes: Sequence[int] | None = None) -> dict[int, Extent]:
        """Top, floor and epoch of these inboxes' streams, or of all that exist. Raises StoreUnavailable."""
        return await self._streams.extents(inboxes)

    async def ensure(self, inbox: int) -> Extent:
        """The extent of an inbox's stream, which exists from then on. Raises StoreUnavailable."""
        return await self._streams.ensure(inbox)

    async def moved_since(self, snapshot: Snapshot) -> dict[int, Position] | None:
        """Where inboxes that have moved since stood in a snapshot. Raises StoreUnavailable, Invalid."""
        return await self._streams.moved_since(snapshot)

    async def read_after(
        self, offsets: Mapping[int, int], limit: int, max_bytes: int | None = None
    ) -> list[Event]:
        """Events past each offset; the same question asked meanwhile gets the same answer."""
        key = (tuple(offsets.items()), limit, max_bytes)
        task = self._under_way.get(key)
        if task is None:
            work = self._streams.read_after(offsets, limit, max_bytes)
            task = self._under_way[key] = self._background.start(work, "catch-up-read")
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)  # one who leaves must not take it away from the others

    async def close(self) -> None:
        """Ends the reads under way."""
        await self._background.close()

    def _forget(self, key: tuple[object, ...], done: asyncio.Task[list[Event]]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # all who wanted it may have left


@dataclass(frozen=True, slots=True)
class Lost:
    """What the cursor needs is not there any more; the client has to load it anew, and go on from `position`."""

    reason: ResetReason
    position: Position


async def next_page(hub: Hub, streams: StreamReader, cursor: Cursor) -> Page | Lost | None:
    """None: the hub will learn in a moment that this inbox was begun anew. Raises StoreUnavailable.

    The cursor may have moved when this returns: compare before use.
    """
    page = hub.from_tail(cursor, PAGE_BYTES)
    if page is not None:
        return page
    after = Position(cursor.off, cursor.epoch)
    events = await streams.read_after({cursor.inbox: after.off}, PAGE_EVENTS, PAGE_BYTES)
    page = hub.from_tail(cursor, PAGE_BYTES)
    if page is not None:  # another connection has waited for the same events, and was first
        return page
    numbered = enumerate(events, start=after.off + 1)
    whole = [event for _, event in takewhile(lambda item: item[0] == item[1].off, numbered)]
    if whole:
        if Position(cursor.off, cursor.epoch) == after:
            hub.remember(cursor, whole)
        return [(event.off, cursor.encode(event)) for event in whole]
    published = hub.position(cursor.inbox)
    extent = (await streams.extents([cursor.inbox])).get(cursor.inbox)
    known = hub.position(cursor.inbox)
    if (
        extent is None
        or known is None
        or published is None
        or extent.epoch != known.epoch
        # Offsets only grow: this database is an older one that was brought back, and its epochs are about to change.
        or (extent.epoch == published.epoch and extent.top < published.off)
    ):
        # A reset now would name a history that the hub does not publish yet, and a second one would follow.
        return None
    # No reason although rows are missing: a person has deleted them by hand.
    reason = check_position(after, extent) or "offset_expired"
    return Lost(reason, Position(max(known.off, extent.floor), known.epoch))

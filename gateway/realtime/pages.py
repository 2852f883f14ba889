"""Where a cursor that is catching up gets its next frames from: the tail in memory, else the stream in Postgres."""

from dataclasses import dataclass
from itertools import takewhile

from gateway.domain.stream import Position, ResetReason, check_position
from gateway.realtime.cursors import Cursor
from gateway.realtime.hub import Hub
from gateway.realtime.tail import Page
from gateway.services.feed import StreamReader

PAGE_EVENTS = 200
PAGE_BYTES = 64 * 1024


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
    numbered = enumerate(events, start=after.off + 1)
    whole = [event for _, event in takewhile(lambda item: item[0] == item[1].off, numbered)]
    if whole:
        return [(event.off, cursor.encode(event)) for event in whole]
    extent = (await streams.extents([cursor.inbox])).get(cursor.inbox)
    known = hub.position(cursor.inbox)
    if extent is None or known is None or extent.epoch != known.epoch:
        # A reset now would name a history that the hub does not publish yet, and a second one would follow.
        return None
    # No reason although rows are missing: somebody has deleted them by hand.
    reason = check_position(after, extent) or "offset_expired"
    return Lost(reason, Position(max(known.off, extent.floor), known.epoch))

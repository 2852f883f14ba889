"""The newest published events of every inbox, in memory: they serve a cursor that catches up.

Frames of one encoder, the hub's own, are kept ready. The event itself is kept beside them only while a cursor with
another encoder follows its inbox, and then those frames are made when they are asked for.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from gateway.domain.streams import Event
from gateway.realtime.transport.framing import Frame

TAIL_EVENTS = 256
TAIL_BYTES = 32 * 1024 * 1024
"""Of all inboxes together."""

Frames = tuple[Frame, ...]

Encoder = Callable[[Event], Frames]
"""What a dialect sends for an event to all connections that asked for the same. One object for all of them: frames
are made once per object. No frame is an answer, too (a filter leaves the event out). Must not raise."""

Page = list[tuple[int, Frames]]
"""Offsets and their frames, in order, without gaps; never empty."""


class _Kept:
    __slots__ = ("event", "frames", "off", "size")

    def __init__(self, off: int, event: Event | None, frames: Frames | None) -> None:
        self.off = off
        self.event = event
        self.frames = frames
        self.size = sum(map(len, frames or ())) + (_weight(event) if event else 0)


class Tail:
    """Of one inbox."""

    __slots__ = ("bytes", "kept")

    def __init__(self) -> None:
        self.kept: deque[_Kept] = deque()
        self.bytes = 0


class Tails:
    """All tails, within one budget."""

    def __init__(self, own: Encoder) -> None:
        """`own` is the encoder whose frames are kept ready."""
        self._own = own
        self._tails: dict[int, Tail] = {}
        self._bytes = 0

    def keep(
        self, inbox: int, events: Sequence[Event], own: list[Frames] | None, *, with_events: bool
    ) -> None:
        """Adds what has just been published; `own` are its frames of the own encoder, if they were needed."""
        tail = self._tails.setdefault(inbox, Tail())
        if tail.kept and events[0].off != tail.kept[-1].off + 1:
            self.drop(inbox)
        for number, event in enumerate(events):
            frames = own[number] if own is not None else None
            kept = _Kept(event.off, event if with_events or frames is None else None, frames)
            tail.kept.append(kept)
            self._count(tail, kept.size)
        while len(tail.kept) > TAIL_EVENTS:
            self._count(tail, -tail.kept.popleft().size)
        self._stay_within_budget()

    def put_before(self, inbox: int, events: Sequence[Event], top: int, *, with_events: bool) -> None:
        """Adds what has been read from the stream, if it reaches up to what is kept, or to `top` if nothing is.

        Nothing was kept while no connection followed; when all come back at once, the first one reads for the others.
        """
        tail = self._tails.setdefault(inbox, Tail())
        end = tail.kept[0].off - 1 if tail.kept else top
        if not events or events[-1].off < end:
            return
        for event in reversed(events):
            if len(tail.kept) == TAIL_EVENTS:
                break
            if event.off <= end:
                kept = _Kept(event.off, event if with_events else None, self._own(event))
                tail.kept.appendleft(kept)
                self._count(tail, kept.size)
        self._stay_within_budget()

    def _stay_within_budget(self) -> None:
        if self._bytes > TAIL_BYTES:
            self.drop(max(self._tails, key=lambda number: self._tails[number].bytes))

    def after(self, inbox: int, off: int, encode: Encoder, max_bytes: int) -> Page | None:
        """The events right after `off`, at least one; None if the tail does not have them."""
        tail = self._tails.get(inbox)
        if tail is None or not tail.kept or tail.kept[0].off > off + 1:
            return None
        page: Page = []
        size = 0
        for kept in islice(tail.kept, off + 1 - tail.kept[0].off, None):
            if encode is self._own and kept.frames is not None:
                frames = kept.frames
            elif kept.event is not None:
                frames = encode(kept.event)
            else:  # published before a cursor with this encoder followed here
                break
            size += sum(map(len, frames))
            if page and size > max_bytes:
                break
            page.append((kept.off, frames))
        return page or None

    def drop(self, inbox: int) -> None:
        """Forgets what is kept of an inbox."""
        tail = self._tails.get(inbox)
        if tail is not None:
            tail.kept.clear()
            self._count(tail, -tail.bytes)

    def _count(self, tail: Tail, change: int) -> None:
        tail.bytes += change
        self._bytes += change


def _weight(event: Event) -> int:
    """About how many bytes an event takes in memory."""
    record = event.record or {}
    return 512 + 128 * len(record) + sum(len(value) for value in record.values() if isinstance(value, str))

"""Events of one inbox on their way to its subscribers, in one encoding."""

from collections.abc import Iterable, Sequence

from gateway.domain.streams import Event
from gateway.realtime.hub.tail import Encoder, Frames
from gateway.realtime.transport.framing import Burst


class PendingFrames:
    """A burst is joined once for all who stand at the same offset.

    Frames are made when the first of them is reached: a thousand clients with a filter each are a thousand encodings.
    """

    __slots__ = ("_bursts", "_encode", "_events", "_frames", "first")

    def __init__(self, first: int, encode: Encoder) -> None:
        self.first = first
        self._encode = encode
        self._frames: list[Frames] = []
        self._events: list[Event] = []
        """After those that have frames."""
        self._bursts: dict[int, Burst | None] = {}

    @property
    def end(self) -> int:
        """The offset of what comes next."""
        return self.first + len(self._frames) + len(self._events)

    def add(self, events: Sequence[Event]) -> None:
        """Puts events behind those that are on their way."""
        self._events += events
        self._bursts.clear()

    def add_made(self, frames: Sequence[Frames]) -> None:
        """As `add`, where the frames were needed in any case."""
        self._make()
        self._frames += frames
        self._bursts.clear()

    def _make(self) -> None:
        events, self._events = self._events, []
        self._frames += [self._encode(event) for event in events]

    def after(self, off: int) -> Burst | None:
        """What comes after `off`; None if this encoding makes nothing of it."""
        if off not in self._bursts:
            self._make()
            self._bursts[off] = burst_of(self._frames[off + 1 - self.first :])
        return self._bursts[off]

    def drop(self, off: int) -> None:
        """Every cursor of this encoding has been reached up to `off`."""
        gone = max(0, min(off + 1, self.end) - self.first)
        made = min(gone, len(self._frames))
        del self._frames[:made]
        del self._events[: gone - made]
        self.first += gone
        self._bursts.clear()


def burst_of(frames: Iterable[Frames]) -> Burst | None:
    """The frames of some events as one burst; None if there are none."""
    flat = [frame for made in frames for frame in made]
    return Burst(flat) if flat else None

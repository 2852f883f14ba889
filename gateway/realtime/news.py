"""Events of one inbox on their way to its subscribers, in one encoding."""

from collections.abc import Iterable, Sequence

from gateway.realtime.framing import Burst
from gateway.realtime.tail import Frames


class News:
    """A burst is joined once for all who stand at the same offset."""

    __slots__ = ("_bursts", "_frames", "first")

    def __init__(self, first: int) -> None:
        self.first = first
        self._frames: list[Frames] = []
        self._bursts: dict[int, Burst | None] = {}

    @property
    def end(self) -> int:
        """The offset of what comes next."""
        return self.first + len(self._frames)

    def add(self, frames: Sequence[Frames]) -> None:
        self._frames += frames
        self._bursts.clear()

    def after(self, off: int) -> Burst | None:
        """What comes after `off`; None if this encoding makes nothing of it."""
        if off not in self._bursts:
            self._bursts[off] = burst_of(self._frames[off + 1 - self.first :])
        return self._bursts[off]

    def drop(self, off: int) -> None:
        """Everybody has been reached up to `off`."""
        gone = max(0, min(off + 1, self.end) - self.first)
        del self._frames[:gone]
        self.first += gone
        self._bursts.clear()


def burst_of(frames: Iterable[Frames]) -> Burst | None:
    """The frames of some events as one burst; None if there are none."""
    flat = [frame for made in frames for frame in made]
    return Burst(flat) if flat else None

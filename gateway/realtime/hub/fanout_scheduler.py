"""Long fan-outs in slices, so that ten thousand writes never hold the loop for longer than a moment.

A walk goes through connections and yields every now and then. It begins at once; what is longer than a slice goes on
in the next turns of the loop, behind walks that began earlier. So two walks never overtake each other.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

logger = logging.getLogger(__name__)

SLICE_S = 0.003
STEP = 16
"""Connections between two looks at the clock."""

Walk = Iterator[None]
T = TypeVar("T")


class FanoutScheduler:
    """The walks under way. Everything runs on the loop; without one, walks must fit into a slice."""

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        at_end: Callable[[], None] = lambda: None,
        *,
        slice_s: float = SLICE_S,
    ) -> None:
        """`at_end` is called at the end of every slice."""
        self._clock = clock
        self._at_end = at_end
        self._slice_s = slice_s
        self._walks: deque[Walk] = deque()
        self._is_busy = False
        self.is_shared = False
        """Whether this slice belongs to more than one walk."""

    def start(self, walk: Walk) -> None:
        """Begins a fan-out at once, or after those that are under way."""
        self._walks.append(walk)
        if not self._is_busy:
            self.turn()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is started within the block begins at its end."""
        was_busy, self._is_busy = self._is_busy, True
        try:
            yield
        finally:
            self._is_busy = was_busy
            if self._walks and not was_busy:
                self.turn()

    def turn(self) -> None:
        """Goes on with the walks for one slice; what is left has another turn of the loop."""
        self._is_busy = True
        self.is_shared = len(self._walks) > 1
        ends_at = self._clock() + self._slice_s
        try:
            while self._walks:
                if self._step(ends_at):
                    asyncio.get_running_loop().call_soon(self.turn)
                    return
                self._walks.popleft()
            self._is_busy = False
        finally:
            self.is_shared = False
            self._at_end()

    def _step(self, ends_at: float) -> bool:
        """Goes on with the first walk; True if the slice is over before it is."""
        try:
            for _ in self._walks[0]:
                if self._clock() >= ends_at:
                    return True
        except Exception:
            # A fault of the gateway. The next event finds the connections that were not reached behind, and they
            # catch up.
            logger.exception("hub.fanout_failed")
        return False


def steps(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in portions after which a walk should yield."""
    for start in range(0, len(items), STEP):
        yield items[start : start + STEP]


def each(items: Sequence[T], act: Callable[[T], None]) -> Walk:
    """A walk that does something with each item."""
    for some in steps(items):
        for item in some:
            act(item)
        yield

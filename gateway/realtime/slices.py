"""Long fan-outs in slices, so that ten thousand writes never hold the loop for longer than a moment.

A walk goes through connections and yields every now and then. It begins at once; what is longer than a slice goes on
in the next turns of the loop, behind walks that began earlier. So two walks never overtake each other.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

logger = logging.getLogger(__name__)

SLICE_S = 0.003
STEP = 16
"""Connections between two looks at the clock."""

Walk = Iterator[None]
T = TypeVar("T")


class Slices:
    """The walks under way. Everything runs on the loop; without one, walks must fit into a slice."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._walks: deque[Walk] = deque()

    def start(self, walk: Walk) -> None:
        self._walks.append(walk)
        if len(self._walks) == 1:
            self._go_on()

    def _go_on(self) -> None:
        ends_at = self._clock() + SLICE_S
        while self._walks:
            try:
                for _ in self._walks[0]:
                    if self._clock() >= ends_at:
                        asyncio.get_running_loop().call_soon(self._go_on)
                        return
            except Exception:
                # A bug of ours. Whoever was not reached is found behind, and catches up, with the next event.
                logger.exception("hub.fanout_failed")
            self._walks.popleft()


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

"""Work that many clients bring at the same time is begun a little at a time, so that the loop comes round in between.

A thousand requests that arrive together would all be begun in one round of the loop, and a ping that comes next would
wait for the first step of each.
"""

import asyncio
from collections import deque
from collections.abc import Callable

PER_TURN = 16
"""Requests and handshakes that are begun in one round of the loop."""


class Turns:
    """Begins work in the order in which it came."""

    def __init__(self, per_turn: int = PER_TURN) -> None:
        self._per_turn = per_turn
        self._left = per_turn
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_scheduled = False

    def start(self, work: Callable[[], None]) -> None:
        """Begins it now, or in one of the next rounds of the loop."""
        self._schedule()
        if self._left and not self._waiting:
            self._left -= 1
            work()
        else:
            self._waiting.append(work)

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_scheduled = False
        self._left = self._per_turn
        while self._waiting and self._left:
            self._left -= 1
            self._waiting.popleft()()
        if self._left < self._per_turn:
            self._schedule()

"""When a pool opens one more connection: after its borrowers have waited as long as that would have cost them.

A new connection is a new process at the server, a login and four catalog reads; most statements are shorter than that.
So borrowers that meet at a moment, as the parts of a gateway do at its start, wait for what comes back. Under load they
meet again and again: the waiting adds up, and the pool grows.
"""

import asyncio
from collections import deque


class Borrowers:
    """Borrowers that wait for a connection to come back, served in the order in which they came."""

    def __init__(self, grow_after_s: float) -> None:
        """`grow_after_s`: for how long, in all, a borrower may have waited before those that wait get new ones."""
        self._grow_after_s = grow_after_s
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._left_s = grow_after_s
        self._growth: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many wait; those whose connection has come back, and who have not taken it yet, too."""
        return len(self._waiting)

    async def wait(self) -> None:
        """Ends when a connection has come back for this borrower, or the pool is to grow for it."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            self._growth = loop.call_later(self._left_s, self._grow)
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.one_is_back()  # it came back for this borrower, which does not take it
            raise
        finally:
            self._waiting.remove(turn)
            if not self._waiting:
                self._rest()

    def one_is_back(self) -> None:
        """Wakes the first borrower that still waits, if there is one."""
        first = next((turn for turn in self._waiting if not turn.done()), None)
        if first is not None:
            first.set_result(None)

    def _grow(self) -> None:
        self._growth = asyncio.get_running_loop().call_later(self._grow_after_s, self._grow)
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)

    def _rest(self) -> None:
        """No borrower waits: what is left until the pool grows counts on with the next one."""
        assert self._growth is not None
        self._left_s = max(0.0, self._growth.when() - asyncio.get_running_loop().time())
        self._growth.cancel()
        self._growth = None

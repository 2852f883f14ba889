"""The simulator's time: what time it is, and what happens later.

Everything that waits goes through one `Clock`, so that a test can let an hour pass by moving it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """Something that happens later, unless it is cancelled."""

    def cancel(self) -> None:
        """Keeps it from happening. Nothing happens if it has."""


class Clock:
    """Real time, on the running event loop. A test replaces `now` and `call_later`."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Calls `callback` once, on the event loop, unless the timer is cancelled."""
        return asyncio.get_running_loop().call_later(delay_s, callback)

    async def sleep(self, delay_s: float) -> None:
        """Safe to cancel."""
        if delay_s <= 0:
            return
        woken = asyncio.Event()
        timer = self.call_later(delay_s, woken.set)
        try:
            await woken.wait()
        finally:
            timer.cancel()

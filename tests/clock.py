"""An asyncio loop whose clock jumps: a test that waits 160 s takes milliseconds.

When no task can run, the clock is set to the next timer instead of sleeping towards it. A real socket or
thread that becomes ready is still served. If nothing is left to wait for, the test is stuck, and is told so.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")

EPOCH = 1_800_000_000.0
"""Where the virtual clock starts: it can be read as unix time."""
_STUCK_S = 30.0
"""Real seconds in which a socket or a thread must become ready, however busy the machine is."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a timer: it tells the loop's clock to be there already."""

    now = EPOCH

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else _STUCK_S)
        if ready:
            return ready
        if timeout is None:
            raise AssertionError("every task waits for something that no timer and no socket will bring")
        self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # Floats near EPOCH have steps of 0.2 µs: with asyncio's own 1 ns a timer could never be due.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._jumping.now


def now() -> float:
    """The running loop's clock, as unix seconds."""
    return asyncio.get_running_loop().time()


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Decorator: runs an async test on a loop of its own whose clock jumps."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run

"""How often a login may fail: per name and address, per address, and slower and slower per name.

A name and address that failed five times within a minute waits until the first of the five is a minute old; so does an
address after twenty. A name that fails from many addresses is never locked: it is only answered later, so that
strangers cannot keep a person out. Kept in memory, per process.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from gateway.domain.errors import RateLimited
from gateway.services.addresses import counted_as

WINDOW_S = 60.0
PER_NAME_AND_ADDRESS = 5
PER_ADDRESS = 20
PER_NAME = 5
"""Failures of a name, from wherever, after which its answers come later."""

NAME_WINDOW_S = 600.0
STEP_S = 0.25
MAX_DELAY_S = 3.0
MAX_KEYS = 20_000
"""Names and addresses that are remembered; beyond it the oldest are forgotten."""

Key = tuple[str, ...]


class LoginThrottle:
    """Counts failed logins, and says who has to wait."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[Key, deque[float]] = OrderedDict()

    def begin(self, name: str, address: str) -> float:
        """Counts a try as a failure, until `succeed` says otherwise; seconds to wait before it is looked at.

        An empty name stands for a link. Tries that run at the same time count each. Raises RateLimited with the
        seconds to wait.
        """
        now = self._clock()
        pair, place, person = _keys(name, address)
        for key, limit in ((pair, PER_NAME_AND_ADDRESS), (place, PER_ADDRESS)):
            times = self._recent(key, now, WINDOW_S)
            if len(times) >= limit:
                wait_s = times[-limit] + WINDOW_S - now
                raise RateLimited("Too many tries. Wait a minute, then try again.", retry_after_s=wait_s)
        before = len(self._recent(person, now, NAME_WINDOW_S)) if name else 0
        for key in (pair, place, person):
            self._note(key, now)
        return min(MAX_DELAY_S, STEP_S * max(0, before - PER_NAME + 1))

    def succeed(self, name: str, address: str) -> None:
        """The last try was right: it counts no more, nor do those of the same name from there."""
        pair, place, person = _keys(name, address)
        self._failures.pop(pair, None)
        for key in (place, person):
            times = self._failures.get(key)
            if times:
                times.pop()

    def _recent(self, key: Key, now: float, window_s: float) -> deque[float]:
        times = self._failures.get(key)
        if times is None:
            return deque()
        while times and times[0] <= now - window_s:
            times.popleft()
        if not times:
            del self._failures[key]
        return times

    def _note(self, key: Key, now: float) -> None:
        times = self._failures.setdefault(key, deque(maxlen=64))
        times.append(now)
        self._failures.move_to_end(key)
        while len(self._failures) > MAX_KEYS:
            self._failures.popitem(last=False)


def _keys(name: str, address: str) -> tuple[Key, Key, Key]:
    name, address = name.casefold(), counted_as(address)
    return ("pair", name, address), ("place", address), ("person", name)

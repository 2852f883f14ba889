"""Upstream's limits on how often something may be called, and the headers that tell of them."""

import math
from dataclasses import dataclass

from gateway.simulator.clock import Clock


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one call left over. `wait_s` is 0 when the call was allowed, else whole seconds to wait."""

    limit: int
    remaining: int
    reset_at: float
    wait_s: int = 0
    daily: tuple[int, int] | None = None
    """Limit and rest of a day, where there is one."""


class Limits:
    """Fixed windows, counted per key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[tuple[object, ...], tuple[float, int]] = {}

    def take(self, key: tuple[object, ...], limit: int, window_s: float) -> Allowance:
        """Counts a call. A refused one is not counted."""
        now = self._clock.now()
        began, used = self._windows.get(key, (now, 0))
        if now >= began + window_s:
            began, used = now, 0
        if used >= limit:
            return Allowance(limit, 0, began + window_s, max(1, math.ceil(began + window_s - now)))
        self._windows[key] = (began, used + 1)
        return Allowance(limit, limit - used - 1, began + window_s)

    def clear(self) -> None:
        """Forgets all calls: every limit is whole again."""
        self._windows.clear()


def headers(allowance: Allowance, now: float, *, relative: bool) -> dict[str, str]:
    """The rate-limit headers; the reset is in seconds from now if `relative`, else unix seconds."""
    reset = math.ceil(allowance.reset_at - now if relative else allowance.reset_at)
    told = {
        "X-RateLimit-Limit": str(allowance.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": str(max(0, reset)),
    }
    if allowance.daily:
        told |= {
            "X-RateLimit-Daily-Limit": str(allowance.daily[0]),
            "X-RateLimit-Daily-Remaining": str(allowance.daily[1]),
        }
    return told

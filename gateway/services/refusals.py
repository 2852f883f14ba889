"""What was refused because of a limit: counted, and logged once a minute for each kind."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import Counter

logger = logging.getLogger(__name__)

LOG_EVERY_S = 60.0

_refused = Counter("gateway_refused", "What was refused because of a limit, by kind.", ["kind"])


@dataclass(slots=True)
class _Told:
    at: float
    since: int = 0


class Refusals:
    """Counts what a limit refused, and logs it once a minute for each kind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, _Told] = {}

    def count(self, kind: str, address: str) -> None:
        """One more of this kind. `address` is the client's own, behind a trusted proxy too."""
        _refused.labels(kind).inc()
        now = self._clock()
        told = self._told.get(kind)
        if told is not None and now - told.at < LOG_EVERY_S:
            told.since += 1
            return
        more = told.since if told is not None else 0
        self._told[kind] = _Told(now)
        logger.warning(
            "limits.refused kind=%s address=%s since_last_line=%d", kind, address or "unknown", more
        )

"""What was refused: counted by kind, and logged once a minute for each kind, and for each session that has some."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import Counter

logger = logging.getLogger(__name__)

LOG_EVERY_S = 60.0

MOST_TOLD = 1_000
"""Kinds and sessions that are remembered; beyond it the oldest is forgotten, and told anew."""

_refused = Counter("gateway_refused", "What was refused, by kind.", ["kind"])


@dataclass(slots=True)
class _Told:
    at: float
    since: int = 0


def count_refused(kind: str) -> None:
    """Counts one more of this kind, which is logged elsewhere."""
    _refused.labels(kind).inc()


class Refusals:
    """Counts what was refused, and logs it once a minute for each kind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, int | None], _Told] = {}

    def count(self, kind: str, address: str) -> None:
        """One more of this kind beyond a limit. `address` is the client's own, behind a trusted proxy too."""
        more = self._one_more(kind, None)
        if more is not None:
            logger.warning(
                "limits.refused kind=%s address=%s since_last_line=%d", kind, address or "unknown", more
            )

    def webhook(self, kind: str, address: str, session_id: int | None) -> None:
        """One more webhook that did not show the secret of its session; None where it names no session."""
        more = self._one_more(kind, session_id)
        if more is not None:
            logger.warning(
                "webhooks.refused kind=%s session=%s address=%s since_last_line=%d",
                kind, session_id, address or "unknown", more,
            )  # fmt: skip

    def socket(self, kind: str, address: str, reason: str) -> None:
        """One more WebSocket that was not let in."""
        more = self._one_more(kind, None)
        if more is not None:
            logger.warning(
                "connection.refused kind=%s address=%s reason=%s since_last_line=%d",
                kind, address or "unknown", reason, more,
            )  # fmt: skip

    def _one_more(self, kind: str, session_id: int | None) -> int | None:
        """Counts one; how many were not told since the last line, or None while it is too soon for another."""
        count_refused(kind)
        now, key = self._clock(), (kind, session_id)
        told = self._told.get(key)
        if told is not None and now - told.at < LOG_EVERY_S:
            told.since += 1
            return None
        self._told.pop(key, None)
        if len(self._told) >= MOST_TOLD:
            del self._told[next(iter(self._told))]
        self._told[key] = _Told(now)
        return told.since if told is not None else 0

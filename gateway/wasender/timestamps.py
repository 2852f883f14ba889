"""Moments as webhooks write them: seconds, milliseconds, text, or the two halves of a 64-bit number."""

import math
from datetime import UTC, datetime
from typing import Any

_MILLISECONDS_FROM = 1e11  # as seconds, the year 5138; upstream mixes both units without saying so
_MAX_DIGITS = 20  # of a 64-bit number


def timestamp(value: Any, default: datetime) -> datetime:
    """The moment in UTC; `default` for what is no moment: missing, zero, negative, beyond the year 9999."""
    number = _number(value)
    if number is None or not math.isfinite(number) or number <= 0:
        return default
    try:
        return datetime.fromtimestamp(number / 1000 if number > _MILLISECONDS_FROM else number, UTC)
    except (ValueError, OverflowError, OSError):
        return default


def _number(value: Any) -> float | None:
    if isinstance(value, dict):  # protobuf's Long: {"low": …, "high": …, "unsigned": …}, the halves signed
        low, high = (_half(value.get(name, 0)) for name in ("low", "high"))
        value = None if low is None or high is None else (high << 32) | (low & 0xFFFF_FFFF)
    if isinstance(value, str):
        return _spelt(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _spelt(text: str) -> float | None:
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text) if len(text) <= _MAX_DIGITS else None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _half(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 32 else None

"""Moments as webhooks write them: seconds, milliseconds, text, or the two halves of a 64-bit number."""

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.wasender.values import number, whole

EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)
"""WhatsApp's first year: an earlier moment is a mistake of its sender."""

AHEAD = timedelta(days=1)
"""How far a sender's clock may run ahead of ours."""

_MILLISECONDS_FROM = 1e11  # as seconds, the year 5138; upstream mixes both units without saying so


def timestamp(value: Any, default: datetime, now: datetime | None = None) -> datetime:
    """The moment in UTC; `default` for what is no moment, and for one outside 2009 … `now` + 1 day.

    `now` is the time of receipt; without it `default` counts as that. Give it wherever `default` is a time that
    the webhook itself names, which may be wrong too. Microseconds are no moment: no engine writes them, so a number
    of that length is a mistake like any other.
    """
    found = _moment(value)
    if found is None or not EARLIEST <= found <= _latest(now or default):
        return default
    return found


def _latest(now: datetime) -> datetime:
    try:
        return now + AHEAD
    except OverflowError:
        return now


def _moment(value: Any) -> datetime | None:
    try:
        seconds = (
            float(value) if type(value) is int else whole(value) if isinstance(value, dict) else number(value)
        )
        if seconds is not None:
            return datetime.fromtimestamp(seconds / 1000 if seconds > _MILLISECONDS_FROM else seconds, UTC)
        return _spelt(value.get("$date") if isinstance(value, dict) else value)
    except (ValueError, OverflowError, OSError):
        return None


def _spelt(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)

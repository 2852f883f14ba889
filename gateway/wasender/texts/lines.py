"""Words put together: lines, amounts, moments, and the words of a part whose kind is not known."""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from gateway.wasender.values import number, text_at, under, whole

MAX_LINES = 500
"""Of one composed text. The lists of the field hold at most some dozens; `raw_data` keeps everything."""

_MAX_PARTS = 1_000  # looked at in a part of an unknown kind
_MAX_DEPTH = 5
_MAX_WORD = 4_096  # a longer text in an unknown field is data, not words
_WORDY = frozenset(
    {
        "text", "caption", "title", "subtitle", "name", "description", "body", "contentText", "displayText",
        "displayName", "message", "note", "label", "question", "answer", "comment", "summary", "content",
        "headline", "footer", "footerText", "buttonText", "optionName", "messageText", "url",
    }
)  # fmt: skip
_SILENT = frozenset({"contextInfo", "messageContextInfo", "key", "quotedMessage"})


def joined(*parts: str | None) -> str | None:
    """The parts that are not blank, a line each, none twice in a row; None if nothing is left."""
    return joined_all(parts)


def joined_all(parts: Iterable[str | None]) -> str | None:
    kept: list[str] = []
    for part in parts:
        if part and part.strip() and (not kept or kept[-1] != part):
            kept.append(part)
        if len(kept) >= MAX_LINES:
            break
    return "\n".join(kept) or None


def on_one_line(*parts: str | None, by: str = " · ") -> str | None:
    """The parts that are not blank on one line."""
    return by.join(part for part in parts if part and part.strip()) or None


def texts(part: Any, *paths: str) -> list[str | None]:
    """The text under each path, None where there is none."""
    return [text_at(part, path) for path in paths]


def thousandths(value: Any, currency: Any) -> str | None:
    """An amount in thousandths, as catalogues write it: `75500`, `BRL` → `75.50 BRL`."""
    return _amount(value, 1000, currency)


def money(value: Any) -> str | None:
    """An amount as an object: protobuf's `{value, offset, currencyCode}`, or a flow's `{value, offset}`."""
    if not isinstance(value, dict):
        return None
    offset = whole(value.get("offset")) or 1000
    return _amount(value.get("value"), offset, value.get("currencyCode") or value.get("currency"))


def _amount(value: Any, offset: int, currency: Any) -> str | None:
    units = whole(value)
    if not units or offset <= 0:  # zero is protobuf's default, and no price
        return None
    amount = Decimal(units) / offset
    code = currency.strip() if isinstance(currency, str) else ""
    return f"{amount:.2f} {code}".strip()


def moment(value: Any) -> str | None:
    """A moment in seconds or milliseconds, in words: `2030-01-01 15:00 UTC`."""
    seconds = number(value)
    if seconds is None or seconds <= 0:
        return None
    try:
        found = datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return found.strftime("%Y-%m-%d %H:%M UTC")


def counted(count: Any, one: str, many: str) -> str | None:
    """`1 item`, `3 items`; None for no number and for zero."""
    found = whole(count)
    return None if not found or found < 0 else f"{found} {one if found == 1 else many}"


def flag(part: Any, name: str) -> bool:
    """Whether a boolean field is set."""
    value = under(part, name)
    return value is True or value in (1, "1", "true", "True")


def words_in(part: Any) -> str | None:
    """What can be read in a part of a kind that is not known: its texts in order, from fields that hold words."""
    found: dict[str, None] = {}
    waiting: deque[tuple[Any, str, int]] = deque([(part, "text", 0)])
    for _ in range(_MAX_PARTS):
        if not waiting:
            break
        value, name, depth = waiting.popleft()
        if isinstance(value, str):
            if name in _WORDY and value.strip() and len(value) <= _MAX_WORD:
                found.setdefault(value)
        elif depth < _MAX_DEPTH and isinstance(value, dict):
            fields = list(value.items())[:_MAX_PARTS]
            waiting.extend((item, field, depth + 1) for field, item in fields if field not in _SILENT)
        elif depth < _MAX_DEPTH and isinstance(value, list):
            waiting.extend((item, name, depth + 1) for item in value[:_MAX_PARTS])
    return joined_all(found)

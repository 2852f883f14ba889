"""Values of WhatsApp's payloads as the encoders of protobuf write them.

An absent field is missing, null, or holds its default. A 64-bit number is a number, a text or two halves. Bytes are
base64, a list, or an object with a key per byte. Every function here takes any JSON and never raises.
"""

import base64
import binascii
import math
from collections.abc import Iterable
from typing import Any

_HALF = 1 << 32
_MAX_NUMBER = 40
"""Characters of a number in text; longer text is no number of ours."""
_TIMESTAMP_NAMES = ("seconds", "_seconds", "value", "$numberLong", "$date")


def present(value: Any) -> dict[str, Any]:
    """The fields of an object that are not null; `{}` for anything but an object."""
    return {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else {}


def is_said(value: Any) -> bool:
    """Whether a field says something: null, an empty text, list or object are what encoders write for nothing."""
    return not (value is None or value is False or value == "" or value == [] or value == {})


def has_content(value: Any) -> bool:
    """Whether anything in it says something: an object of nothing but defaults (`{"text": ""}`) does not.

    What stands beside a content (`contextInfo`) is none.
    """
    if isinstance(value, dict):
        return any(has_content(item) for name, item in value.items() if name != "contextInfo")
    if isinstance(value, list):
        return any(map(has_content, value))
    return is_said(value) and value != 0


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; a single object counts as a list of one."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]


def under(part: Any, path: str) -> Any:
    """What stands under a dotted path; None if it ends early."""
    for name in path.split("."):
        part = part.get(name) if isinstance(part, dict) else None
    return part


def text_at(part: Any, *paths: str) -> str | None:
    """The first text that is not blank among dotted paths."""
    for path in paths:
        value = under(part, path)
        if isinstance(value, str) and value.strip():
            return value
    return None


def number(value: Any) -> float | None:
    """A finite number, also one written as text or as the two halves of a 64-bit number."""
    if isinstance(value, str):
        value = value.strip()
        if not value.isascii() or len(value) > _MAX_NUMBER or "_" in value:
            return None
    elif isinstance(value, dict):
        value = whole(value)
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(value: Any) -> int | None:
    """A 64-bit integer: a number, its text, protobuf's `{low, high, unsigned}`, or a `{seconds}` of a timestamp."""
    if isinstance(value, dict):
        if "low" in value:
            return _of_halves(value)
        parts = (value.get(name) for name in _TIMESTAMP_NAMES)
        return next((whole(part) for part in parts if part is not None and not isinstance(part, dict)), None)
    found = number(value)
    if found is None or abs(found) >= 1 << 64:
        return None
    if isinstance(value, int):
        return value
    text = str(value).strip().lstrip("+")
    return int(text) if text.lstrip("-").isdigit() else int(found)


def _of_halves(value: dict[str, Any]) -> int | None:
    low, high = (_half(value.get(name) or 0) for name in ("low", "high"))
    return None if low is None or high is None else (high << 32) | (low & (_HALF - 1))


def _half(value: Any) -> int | None:
    if isinstance(value, str):
        value = whole(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _HALF else None


def enum_word(value: Any) -> str:
    """A protobuf enum, which comes as a number, a number in quotes or a name, as one lower-case word."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1 << 31 else ""
    return str(value).strip().lower()[:100] if not isinstance(value, int) or abs(value) < 1 << 31 else ""


def bytes_of(value: Any, most: int) -> bytes | None:
    """Bytes in any of the forms they come in; None for what is none, and for more than `most` of them."""
    if isinstance(value, str):
        return _of_base64(value, most)
    if isinstance(value, dict):
        if "data" in value:
            return bytes_of(value["data"], most) if not isinstance(value["data"], dict) else None
        if not value or len(value) > most or "0" not in value:
            return None
        return _of_numbers([value.get(str(place)) for place in range(len(value))], most)
    return _of_numbers(value, most) if isinstance(value, list) else None


def _of_base64(text: str, most: int) -> bytes | None:
    if not text or len(text) > most * 2 + 8:
        return None
    plain = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        found = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if 0 < len(found) <= most else None


def _of_numbers(items: Iterable[Any], most: int) -> bytes | None:
    numbers = list(items)
    if not 0 < len(numbers) <= most:
        return None
    if not all(type(item) is int and 0 <= item <= 255 for item in numbers):
        return None
    return bytes(numbers)

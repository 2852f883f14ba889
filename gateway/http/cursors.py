"""Cursors of lists: where the next page begins, opaque to the caller and worthless when altered."""

import base64
import binascii
import re
from datetime import datetime
from typing import Any

import orjson

from gateway.domain.errors import Invalid

# As Postgres writes the times that Python does not have.
_FAR_TIME = re.compile(
    r"([0-9]{4,6})-([0-9]{2})-([0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?[+-][0-9:]{2,8})( BC)?"
)


def make_cursor(*values: object) -> str:
    """The values as one opaque word, which `parse_cursor` takes apart again."""
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def parse_cursor(text: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The values of a cursor; None without one.

    `datetime` stands for a text that is a time with its zone, also infinity, BC, and years of five digits. Raises
    Invalid on anything that was not given out.
    """
    if not text:
        return None
    try:
        values = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if isinstance(values, list) and len(values) == len(kinds) and all(map(_is_a, values, kinds)):
            return tuple(values)
    except (ValueError, binascii.Error):
        pass
    raise Invalid("This cursor is not one that the list gave out.")


def _is_a(value: object, kind: type) -> bool:
    if kind is datetime:
        return isinstance(value, str) and _is_time(value)
    if kind is int:
        # Postgres' bigint ends here.
        return type(value) is int and -(2**63) <= value < 2**63
    return isinstance(value, kind)


def _is_time(text: str) -> bool:
    """Raises ValueError where it looks like a time and is none."""
    if text in ("infinity", "-infinity"):
        return True
    if far := _FAR_TIME.fullmatch(text):
        year, month, day = (int(part) for part in far.group(1, 2, 3))
        # The calendar repeats itself after 400 years.
        text = f"{2000 + year % 400}-{month:02}-{day:02} {far[4]}"
        if not year or year > (4713 if far[5] else 294_276):
            return False
    return datetime.fromisoformat(text).tzinfo is not None

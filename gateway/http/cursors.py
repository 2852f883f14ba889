"""Cursors of lists: where the next page begins, opaque to the caller and worthless when altered."""

import base64
import binascii
from datetime import datetime
from typing import Any

import orjson

from gateway.domain.errors import Invalid


def make_cursor(*values: object) -> str:
    """The values as one opaque word, which `read_cursor` takes apart again."""
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def parse_cursor(text: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The values of a cursor, None without one; `datetime` stands for a text that is a time with its zone.

    Raises Invalid on anything that was not given out.
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
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    if kind is int:
        # Postgres' bigint ends here.
        return type(value) is int and -(2**63) <= value < 2**63
    return isinstance(value, kind)

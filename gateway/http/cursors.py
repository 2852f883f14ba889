"""Cursors of lists: where the next page begins, opaque to the caller and worthless when altered."""

import base64
import binascii
from typing import Any

import orjson

from gateway.domain.errors import Invalid


def make_cursor(*values: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def parse_cursor(text: str | None, count: int) -> list[Any] | None:
    """The `count` values of a cursor, None without one. Raises Invalid on anything that was not given out."""
    if not text:
        return None
    try:
        values = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if isinstance(values, list) and len(values) == count:
            return values
    except (ValueError, binascii.Error):
        pass
    raise Invalid("This cursor is not one that the list gave out.")

"""What Postgres holds, as Python values; nothing it can hold makes reading fail.

jsonb has numbers of a hundred thousand digits and any depth, timestamps have infinity, the year 20000 and BC. What
cannot be told on (no client could read it either) is None. Of a JSON object only the keys whose values cannot be told
are None, and the key '' lists them: for a row as JSON these are its columns, and no column has an empty name.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson


class Partial(dict[str, Any]):
    """An object of which not every value could be told."""


UNTOLD = ""
"""The key of an object under which stand the keys whose values could not be told."""

_MANY_BRACKETS = 200
"""With fewer no value is nested too deep: orjson writes 254 levels, and a frame adds some."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}:,]', re.DOTALL)
_OPENING, _CLOSING = frozenset((b"[", b"{")), frozenset((b"]", b"}"))


def decode_json(text: bytes) -> Any:
    """A JSON text that Postgres has checked."""
    try:
        value = orjson.loads(text)
        if text.count(b"[") + text.count(b"{") > _MANY_BRACKETS:
            orjson.dumps([[[[value]]]])
        return value
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return _tellable_keys(text)


def _tellable_keys(text: bytes) -> dict[str, Any] | None:
    """What can be told of an object, key by key, without recursion; None for another value."""
    text = text.strip()
    if not text.startswith(b"{"):
        return None
    told = Partial()
    untold: list[str] = []
    for key, value in _split(text):
        try:
            item = orjson.loads(value)
            orjson.dumps([[[[item]]]])
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            item = None
            untold.append(key)
        told[key] = item
    known = told.get(UNTOLD)
    told[UNTOLD] = [*known, *untold] if isinstance(known, list) else untold
    return told


def _split(text: bytes) -> list[tuple[str, bytes]]:
    """Keys of an object, and the texts of their values."""
    parts: list[tuple[str, bytes]] = []
    depth, name, begin = 0, "", 0
    is_key = False
    for found in _TOKEN.finditer(text):
        token = found.group()
        if depth == 1 and is_key and token.startswith(b'"'):
            name, is_key = _key(token), False
        elif depth == 1 and token == b":":
            begin = found.end()
        elif depth == 1 and token in (b",", b"}"):
            if begin:
                parts.append((name, text[begin : found.start()]))
            is_key, begin = True, 0
        if token in _OPENING:
            depth += 1
            is_key = is_key or depth == 1
        elif token in _CLOSING:
            depth -= 1
    return parts


def _key(token: bytes) -> str:
    try:
        return str(orjson.loads(token))
    except orjson.JSONDecodeError:  # half a surrogate pair, which `json` takes
        return token[1:-1].decode("utf-8", "replace")


# ------------------------------------------------------------------------------------------ times

# In Postgres' binary form a moment is a number of microseconds from here.
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(2000, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def decode_moment(value: tuple[int]) -> datetime | None:
    """A timestamptz; None where Python has no such time."""
    try:
        return _EPOCH + timedelta(microseconds=value[0])
    except OverflowError:
        return None


def encode_moment(value: datetime) -> tuple[int]:
    """A timestamptz for Postgres; a naive time is one of this machine's zone, as asyncpg has it."""
    return ((value - _EPOCH if value.tzinfo else value.astimezone() - _EPOCH) // _MICROSECOND,)


def decode_naive(value: tuple[int]) -> datetime | None:
    """A timestamp without time zone; None where Python has no such time."""
    try:
        return _NAIVE_EPOCH + timedelta(microseconds=value[0])
    except OverflowError:
        return None


def encode_naive(value: datetime) -> tuple[int]:
    """A timestamp without time zone for Postgres; a zone is passed over."""
    return ((value.replace(tzinfo=None) - _NAIVE_EPOCH) // _MICROSECOND,)

"""A webhook as WasenderAPI sent it, kept without the key of its session, and put together again.

The bytes are kept as they came where cutting out the key leaves nothing secret in them: read, they are then what the
redacted body is. Otherwise, and where a webhook has waited in the spool, the redacted body is written anew.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import uuid4

import orjson

from gateway.domain.message import (
    CallEnded,
    Change,
    DeliveryMoved,
    MessageReceived,
    MessageSent,
    PollCounted,
    Reading,
)

_MIN_KEY = 16
"""Shorter ones are numbers or test values, and stand everywhere."""


@dataclass(frozen=True, slots=True)
class RawBody:
    """The bytes of a body without the session's key, and where it stood in them."""

    body: bytes
    key_at: tuple[int, ...] = ()


def kept_raw(raw: bytes, redacted: Any, session_id: int, key: str | None) -> RawBody:
    """What is kept of a body that came; `key` is what it claims to be from."""
    pieces = _cut(raw, key.encode()) if key and len(key) >= _MIN_KEY else [raw]
    try:
        is_clean = bool(orjson.loads(str(session_id).encode().join(pieces)) == redacted)
    except (ValueError, RecursionError):
        is_clean = False
    return _joined(pieces) if is_clean else raw_again(redacted)


def raw_again(redacted: Any) -> RawBody:
    """The same of a body whose bytes are not kept: the key goes where our number of the session stands."""
    if not isinstance(redacted, dict) or "sessionId" not in redacted:
        return RawBody(orjson.dumps(redacted))
    mark = uuid4().hex
    return _joined(orjson.dumps({**redacted, "sessionId": mark}).split(mark.encode()))


def with_key(raw: RawBody, key: str) -> bytes:
    """The bytes as a receiver expects them."""
    said = orjson.dumps(key)[1:-1]
    edges = (0, *raw.key_at, len(raw.body))
    return said.join(raw.body[start:end] for start, end in pairwise(edges))


def chat_of(reading: Reading) -> str:
    """What a webhook is ordered by, within its session: the chat of the first change that names one."""
    return next((chat for change in reading.changes if (chat := _chat(change))), "")


def _cut(raw: bytes, key: bytes) -> list[bytes]:
    """What stands around the key, wherever it is a whole string of JSON."""
    pieces = raw.split(b'"%s"' % key)
    last = len(pieces) - 1
    return [
        (b'"' if place else b"") + piece + (b'"' if place < last else b"")
        for place, piece in enumerate(pieces)
    ]


def _joined(pieces: list[bytes]) -> RawBody:
    places, length = [], 0
    for piece in pieces[:-1]:
        length += len(piece)
        places.append(length)
    return RawBody(b"".join(pieces), tuple(places))


def _chat(change: Change) -> str | None:
    if isinstance(change, MessageReceived | MessageSent | DeliveryMoved | PollCounted):
        return change.chat
    if isinstance(change, CallEnded):
        return change.missed.chat
    return getattr(getattr(change, "by", None), "chat", None)

"""The wire of Phoenix channels: version 1.0.0 has JSON objects, 2.0.0 JSON arrays of the same five fields.

`ref`, `join_ref` and `topic` are the client's; they come back as they came, whatever JSON value they are. A payload
is always an object.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from gateway.realtime.transport.framing import Frame

PREFIX = "realtime:"
PHOENIX = "phoenix"

MAX_TOPIC = 255

_FIELDS = 5
_ANSWERED = frozenset({"phx_join", "phx_leave", "heartbeat"})
"""Their senders wait for a reply, so what is odd about them is no reason to drop them."""

_MAX_DEPTH = 64
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
"""Texts, too, so that a bracket within one does not count."""

# Phoenix: "~> 1.0.0" and "~> 2.0.0"; without one, 1.0.0.
_VERSIONS = re.compile(r"([12])\.0\.\d+")

# Kind 3: a broadcast of a 2.0.0 client. One byte each: kind, lengths of join_ref, ref, topic, event and meta,
# encoding; then those fields and the payload.
_BROADCAST_KIND = 3
_BROADCAST_HEAD = 7


def version_of(vsn: str | None) -> int | None:
    """1 or 2; None for a version that is not spoken here."""
    found = _VERSIONS.fullmatch(vsn or "1.0.0")
    return int(found[1]) if found else None


class Malformed(Exception):
    """No frame at all: to be dropped, as the original does."""


@dataclass(frozen=True, slots=True)
class Message:
    """A frame of a client."""

    join_ref: Any
    ref: Any
    topic: str
    """Empty where the client sent no text; `sent_topic` is what it sent."""
    event: str
    payload: Mapping[str, Any]
    sent_topic: Any = None

    @property
    def channel(self) -> str:
        """The topic without Phoenix' prefix."""
        return self.topic.removeprefix(PREFIX)


def dumps(value: Any, *, sort_keys: bool = False) -> bytes:
    """JSON of anything that a client's JSON can hold. Raises ValueError for what is nested too deeply."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else 0)
    except TypeError:  # half of a surrogate pair, a number beyond 64 bits, more than 254 levels
        try:
            return json.dumps(value, sort_keys=sort_keys, separators=(",", ":")).encode()
        except RecursionError:
            raise ValueError("nested too deeply") from None


def parse_text(text: str) -> Message:
    """Raises Malformed."""
    raw = _loads(text)
    if isinstance(raw, list) and raw:
        join_ref, ref, topic, event, payload = (raw + [None] * _FIELDS)[:_FIELDS]
        is_whole = len(raw) == _FIELDS
    elif isinstance(raw, dict):
        join_ref, ref = raw.get("join_ref"), raw.get("ref")
        topic, event, payload = raw.get("topic"), raw.get("event"), raw.get("payload")
        is_whole = True
    else:
        raise Malformed("neither an object nor five fields")
    if isinstance(event, str) and event in _ANSWERED:
        is_read = isinstance(payload, dict)
        name = topic if isinstance(topic, str) else ""
        return Message(join_ref, ref, name, event, payload if is_read else {}, topic)
    if not is_whole:
        raise Malformed("neither an object nor five fields")
    return _message(join_ref, ref, topic, event, payload if payload is not None else {})


def parse_bytes(data: bytes) -> Message:
    """A broadcast of a 2.0.0 client, without its payload. Raises Malformed."""
    if len(data) < _BROADCAST_HEAD or data[0] != _BROADCAST_KIND:
        raise Malformed("an unknown kind of binary frame")
    fields, start = [], _BROADCAST_HEAD
    for size in data[1:4]:
        fields.append(data[start : start + size].decode("utf-8", "replace"))
        start += size
    join_ref, ref, topic = fields
    return _message(join_ref or None, ref or None, topic, "broadcast", {})


def _loads(text: str) -> Any:
    try:
        raw = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _loads_leniently(text)
    refs = (
        raw[:2]
        if isinstance(raw, list)
        else (raw.get("ref"), raw.get("join_ref"))
        if isinstance(raw, dict)
        else ()
    )
    # A whole number beyond 64 bits is read as a float; an echo of that would be another number.
    has_lost = any(isinstance(ref, float) and abs(ref) >= 2**63 for ref in refs)
    return _loads_leniently(text) if has_lost else raw


def _loads_leniently(text: str) -> Any:
    """As the standard library reads it: half a surrogate pair is a character of its own there."""
    try:
        try:
            return json.loads(text, parse_constant=_no_constant)
        except RecursionError:
            return json.loads(_shallow(text), parse_constant=_no_constant)
    except ValueError:
        raise Malformed("not JSON") from None


def _shallow(text: str) -> str:
    """The same JSON with null for what is nested more deeply than anything that is understood here."""
    parts: list[str] = []
    depth = start = 0
    for found in _BRACKETS.finditer(text):
        bracket = found[0]
        if bracket in "[{":
            depth += 1
            if depth == _MAX_DEPTH:
                parts += (text[start : found.start()], "null")
        elif bracket in "]}":
            if depth == _MAX_DEPTH:
                start = found.end()
            depth -= 1
    return "".join((*parts, text[start:]))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _message(join_ref: Any, ref: Any, topic: object, event: object, payload: object) -> Message:
    if not (isinstance(topic, str) and isinstance(event, str) and isinstance(payload, dict)):
        raise Malformed("topic and event must be text, payload an object")
    return Message(join_ref, ref, topic, event, payload, topic)


class Writer:
    """Frames of one version."""

    def __init__(self, version: int) -> None:
        self.version = version

    def frame(self, join_ref: Any, ref: Any, topic: Any, event: str, payload: dict[str, Any]) -> Frame:
        """A message in the client's version of the protocol."""
        if self.version == 2:
            return Frame(dumps([join_ref, ref, topic, event, payload]))
        # The original's objects have no join_ref.
        return Frame(dumps({"ref": ref, "topic": topic, "event": event, "payload": payload}))

    def reply(self, to: Message, response: dict[str, Any], *, ok: bool = True) -> Frame:
        """The reply to a message, `ok` or `error`."""
        payload = {"status": "ok" if ok else "error", "response": response}
        return self.frame(to.join_ref, to.ref, to.sent_topic, "phx_reply", payload)

    def refuse(self, to: Message, reason: str) -> Frame:
        """The reply to a message that is refused for that reason."""
        return self.reply(to, {"reason": reason}, ok=False)

    def system(self, join_ref: Any, topic: str, extension: str, message: str, *, ok: bool) -> Frame:
        """A `system` message: how an extension of the channel is doing."""
        payload = {
            "message": message,
            "status": "ok" if ok else "error",
            "extension": extension,
            "channel": topic.removeprefix(PREFIX),
        }
        return self.frame(join_ref, None, topic, "system", payload)

    def closed(self, join_ref: Any, topic: str) -> Frame:
        """The end of a channel for good: its client does not come back by itself."""
        return self.frame(join_ref, join_ref, topic, "phx_close", {})

    def errored(self, join_ref: Any, topic: str, reason: str) -> Frame:
        """The end of a channel for a moment: its client joins again."""
        return self.frame(join_ref, join_ref, topic, "phx_error", {"reason": reason})

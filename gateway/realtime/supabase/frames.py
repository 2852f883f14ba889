"""The wire of Phoenix channels: version 1.0.0 has JSON objects, 2.0.0 JSON arrays of the same five fields.

`ref` and `join_ref` are the client's; they come back as they came. A payload is always an object.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.realtime.transport.framing import Frame

PREFIX = "realtime:"
PHOENIX = "phoenix"

_MAX_TOPIC = 255
_MAX_REF = 64

# Phoenix: "~> 1.0.0" and "~> 2.0.0"; without one, 1.0.0.
_VERSIONS = re.compile(r"([12])\.0\.\d+")

# Kind 3: a broadcast of a 2.0.0 client. One byte each: kind, lengths of join_ref, ref, topic, event and meta,
# encoding; then those fields and the payload.
_BROADCAST_KIND = 3
_BROADCAST_HEAD = 7


def version_of(vsn: str | None) -> int | None:
    """1 or 2; None for a version that nobody speaks here."""
    found = _VERSIONS.fullmatch(vsn or "1.0.0")
    return int(found[1]) if found else None


class Malformed(Exception):
    """No frame at all: to be dropped, as the original does."""


@dataclass(frozen=True, slots=True)
class Message:
    """A frame of a client."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: Mapping[str, Any]

    @property
    def channel(self) -> str:
        """The topic without Phoenix' prefix."""
        return self.topic.removeprefix(PREFIX)


def parse_text(text: str) -> Message:
    """Raises Malformed."""
    try:
        raw = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Malformed("not JSON") from None
    if isinstance(raw, list) and len(raw) == 5:
        join_ref, ref, topic, event, payload = raw
    elif isinstance(raw, dict):
        join_ref, ref = raw.get("join_ref"), raw.get("ref")
        topic, event, payload = raw.get("topic"), raw.get("event"), raw.get("payload")
    else:
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


def _message(join_ref: object, ref: object, topic: object, event: object, payload: object) -> Message:
    if not (isinstance(topic, str) and isinstance(event, str) and isinstance(payload, dict)):
        raise Malformed("topic and event must be text, payload an object")
    if len(topic) > _MAX_TOPIC:
        raise Malformed(f"a topic has at most {_MAX_TOPIC} characters")
    for item in (join_ref, ref):
        if item is not None and not (isinstance(item, str) and len(item) <= _MAX_REF):
            raise Malformed("ref and join_ref must be short text")
    return Message(join_ref, ref, topic, event, payload)  # type: ignore[arg-type]


class Writer:
    """Frames of one version."""

    def __init__(self, version: int) -> None:
        self.version = version

    def frame(
        self, join_ref: str | None, ref: str | None, topic: str, event: str, payload: dict[str, Any]
    ) -> Frame:
        """A message in the client's version of the protocol."""
        if self.version == 2:
            return Frame(orjson.dumps([join_ref, ref, topic, event, payload]))
        # The original's objects have no join_ref.
        return Frame(orjson.dumps({"ref": ref, "topic": topic, "event": event, "payload": payload}))

    def reply(self, to: Message, response: dict[str, Any], *, ok: bool = True) -> Frame:
        """The reply to a message, `ok` or `error`."""
        payload = {"status": "ok" if ok else "error", "response": response}
        return self.frame(to.join_ref, to.ref, to.topic, "phx_reply", payload)

    def refuse(self, to: Message, reason: str) -> Frame:
        """The reply to a message that is refused for that reason."""
        return self.reply(to, {"reason": reason}, ok=False)

    def system(self, join_ref: str | None, topic: str, extension: str, message: str, *, ok: bool) -> Frame:
        """A `system` message: how an extension of the channel is doing."""
        payload = {
            "message": message,
            "status": "ok" if ok else "error",
            "extension": extension,
            "channel": topic.removeprefix(PREFIX),
        }
        return self.frame(join_ref, None, topic, "system", payload)

    def closed(self, join_ref: str | None, topic: str) -> Frame:
        """The end of a channel for good: its client does not come back by itself."""
        return self.frame(join_ref, join_ref, topic, "phx_close", {})

    def errored(self, join_ref: str | None, topic: str, reason: str) -> Frame:
        """The end of a channel for a moment: its client joins again."""
        return self.frame(join_ref, join_ref, topic, "phx_error", {"reason": reason})

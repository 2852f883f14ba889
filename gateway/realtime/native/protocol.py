"""Our own WebSocket protocol: the frames that go out, and the ones that come in.

Server frames are built here and nowhere else, in the shapes of frames.py. Client frames are read into small values;
whatever cannot be read becomes a `BadFrame` with one sentence.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

import orjson

from gateway import __version__
from gateway.domain.message import MARKS_TABLE, chat_of, mark_data, mend_text, read_message, utc_text
from gateway.domain.presence import Doing, Person
from gateway.domain.session import iso_utc, session_number
from gateway.domain.streams import (
    Event,
    Inbox,
    InboxTopic,
    Position,
    ResetReason,
    Snapshot,
    Topic,
    event_name,
    parse_topic,
)
from gateway.realtime import close_codes
from gateway.realtime.native import frames
from gateway.realtime.transport.framing import Frame, frame
from gateway.services.live.state_values import StateValue

PROTOCOL: Literal[1] = 1

FEATURES = ["presence"]
"""What this gateway can do beyond the first version of the protocol."""

_MAX_REF = 64
_MAX_CHAT = 128
_MAX_AFTER = 10_000
_MAX_ERROR_CHARS = 500


# ------------------------------------------------------------------------------------------------ out


def event_encoder(zone: tzinfo) -> Callable[[Event], tuple[Frame]]:
    """Frames for committed changes; naive timestamps of the shop's tables are read in `zone`."""

    def encode(event: Event) -> tuple[Frame]:
        if event.table == MARKS_TABLE:
            return (frame(_mark_event(event, zone), event.comes_after),)
        if event.record is not None:
            data, untold = read_message(event.table, event.record, zone)
        else:
            key = {name: value for name, value in event.old.items() if name != "changed"}
            data, untold = read_message(event.table, key, zone)
            data["session_id"] = event.inbox
        message: frames.EventFrame = {
            "type": "event",
            "topic": f"inbox:{event.inbox}",
            "off": event.off,
            "event": event_name(event),
            "at": utc_text(event.at, zone),
            "data": data,
        }
        if untold:
            message["errors"] = untold
        return (frame(message, event.comes_after),)

    return encode


def _mark_event(event: Event, zone: tzinfo) -> frames.MarkEventFrame:
    return {
        "type": "event",
        "topic": f"inbox:{event.inbox}",
        "off": event.off,
        "event": "conversation.updated",
        "at": utc_text(event.at, zone),
        "data": {**mark_data(event.record or event.old), "session_id": event.inbox},
    }


def welcome(connection: str) -> Frame:
    """The first frame of a connection of that name."""
    message: frames.WelcomeFrame = {
        "type": "welcome",
        "connection": connection,
        "heartbeat_s": close_codes.HEARTBEAT_S,
        "version": __version__,
        "protocol": PROTOCOL,
        "features": FEATURES,
    }
    return frame(message)


def subscribed(ref: str | None, topic: str, position: Position) -> Frame:
    """The answer to a subscribe of a stream: where it stands."""
    message: frames.SubscribedFrame = {
        "type": "subscribed",
        "ref": ref,
        "topic": topic,
        "off": position.off,
        "epoch": position.epoch,
    }
    return frame(message)


def subscribed_all(ref: str | None, tops: Mapping[Inbox, Position], *, has_more: bool = False) -> Frame:
    """`has_more`: another frame names further inboxes."""
    named: dict[str, frames.PositionShape] = {
        str(inbox): {"off": top.off, "epoch": top.epoch} for inbox, top in sorted(tops.items())
    }
    message: frames.SubscribedAllFrame = {"type": "subscribed", "ref": ref, "topic": "inbox:*", "tops": named}
    if has_more:
        message["more"] = True
    return frame(message)


def subscribed_state(ref: str | None, topic: str, values: Iterable[Frame]) -> Frame:
    """The answer to a subscribe of a state topic, with its values, encoded already."""
    # The values are ready JSON already; they are spliced in as they are.
    head = orjson.dumps({"type": "subscribed", "ref": ref, "topic": topic})
    return Frame(head[:-1] + b',"state":[' + b",".join(value.text for value in values) + b"]}")


def state_frame(topic: str, value: StateValue) -> Frame:
    """A value of a state topic."""
    expires_at = None if value.expires_at is None else datetime.fromtimestamp(value.expires_at, UTC)
    return frame(
        {
            "type": "state",
            "topic": topic,
            "session_id": value.session_id,
            "part": value.part,
            "version": value.version,
            "event": value.event,
            "at": value.at,
            "expires_at": iso_utc(expires_at),
            "data": value.data,
        }
    )


def reset(inbox: int, reason: ResetReason, position: Position) -> Frame:
    """Says that the client's offset of an inbox is worth nothing, and where the stream stands."""
    message: frames.ResetFrame = {
        "type": "reset",
        "topic": f"inbox:{inbox}",
        "reason": reason,
        "off": position.off,
        "epoch": position.epoch,
    }
    return frame(message)


def heartbeat(tops: Mapping[int, int]) -> Frame:
    """Names the top of each inbox, by which a client sees what it lacks."""
    message: frames.HeartbeatFrame = {
        "type": "heartbeat",
        "tops": {f"inbox:{inbox}": off for inbox, off in tops.items()},
    }
    return frame(message)


def presence(inbox: int, chat: str, people: Sequence[Person]) -> Frame:
    """The people in a conversation now; none where the list is empty."""
    message: frames.PresenceFrame = {
        "type": "presence",
        "topic": f"inbox:{inbox}",
        "chat": chat,
        "who": [{"sub": one.sub, "name": one.name, "doing": one.doing} for one in people],
    }
    return frame(message)


def stale(since: str) -> Frame:
    """Says that the client may miss something since then (ISO 8601)."""
    message: frames.StaleFrame = {"type": "stale", "since": since}
    return frame(message)


def fresh() -> Frame:
    """Says that the client has everything again."""
    message: frames.FreshFrame = {"type": "fresh"}
    return frame(message)


def unsubscribed(ref: str | None, topic: str) -> Frame:
    """The answer to an unsubscribe."""
    message: frames.UnsubscribedFrame = {"type": "unsubscribed", "ref": ref, "topic": topic}
    return frame(message)


def pong(ref: str | None) -> Frame:
    """The answer to a ping."""
    message: frames.PongFrame = {"type": "pong", "ref": ref}
    return frame(message)


def drain(reconnect_after_ms: int) -> Frame:
    """Says after how many milliseconds the client should come back: the gateway ends."""
    message: frames.DrainFrame = {"type": "drain", "reconnect_after_ms": reconnect_after_ms}
    return frame(message)


def error(ref: str | None, code: str, text: str) -> Frame:
    """Says what is wrong with a frame of the client, or with a topic; the text is cut to fit."""
    # Some sentences name what the client sent, and that may be long.
    message: frames.ErrorFrame = {
        "type": "error",
        "ref": ref,
        "code": code,
        "message": text[:_MAX_ERROR_CHARS],
    }
    return frame(message)


def auth_renewed(ref: str | None) -> Frame:
    """The answer to a new login on an open connection."""
    message: frames.AuthenticatedFrame = {"type": "authenticated", "ref": ref}
    return frame(message)


# ------------------------------------------------------------------------------------------------ in


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A client's `subscribe`, read; `topic` is None where its name means none."""

    ref: str | None
    name: str
    topic: Topic | None
    after: Position | None
    after_all: dict[int, Position] | None
    others: Snapshot | None = None
    """Where all inboxes stood that `after_all` does not name."""


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """A client's `unsubscribe`, read."""

    ref: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Ping:
    """A client's `ping`, read."""

    ref: str | None


@dataclass(frozen=True, slots=True)
class Auth:
    """A client's `auth`, read: its first frame, or a new login."""

    ref: str | None
    token: str


@dataclass(frozen=True, slots=True)
class SayPresence:
    """A client's `presence`, read: what its person does in a conversation."""

    ref: str | None
    inbox: Inbox
    chat: str
    doing: Doing


class BadFrame(Exception):
    """A frame that cannot be read. `is_fatal`: not JSON at all, or not one of our shapes' envelope."""

    def __init__(self, message: str, *, ref: str | None = None, is_fatal: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.ref = ref
        self.is_fatal = is_fatal


ClientFrame = Subscribe | Unsubscribe | Ping | Auth | SayPresence


def parse(text: str) -> ClientFrame:
    """One client frame. Raises BadFrame."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadFrame("A frame must be one JSON object.", is_fatal=True) from None
    if not isinstance(message, dict):
        raise BadFrame("A frame must be one JSON object.", is_fatal=True)
    ref = message.get("ref")
    if ref is not None and not (isinstance(ref, str) and len(ref) <= _MAX_REF):
        raise BadFrame(f"`ref` must be a string of at most {_MAX_REF} characters.")
    match message.get("type"):
        case "subscribe":
            name = _topic_name(message, ref)
            asked = message.get("after")
            others = None
            if name == "inbox:*" and isinstance(asked, dict) and "*" in asked:
                others = _parse_snapshot(asked["*"], ref)
                asked = {key: value for key, value in asked.items() if key != "*"}
            after, after_all = _parse_after(name, asked, ref)
            topic = parse_topic(name)
            if str(topic) != name:  # `inbox:012` would be a second name for the same thing
                topic = None
            return Subscribe(ref, name, topic, after, after_all, others)
        case "unsubscribe":
            return Unsubscribe(ref, _topic_name(message, ref))
        case "ping":
            return Ping(ref)
        case "auth":
            token = message.get("token")
            if not isinstance(token, str):
                raise BadFrame("`token` must be a string.", ref=ref)
            return Auth(ref, token)
        case "presence":
            return _parse_presence(message, ref)
        case other:
            raise BadFrame(
                f"There is no frame type {other!r}: subscribe, unsubscribe, ping, auth or presence.",
                ref=ref,
            )


def _topic_name(message: dict[str, Any], ref: str | None) -> str:
    name = message.get("topic")
    if not isinstance(name, str):
        raise BadFrame("`topic` must be a string.", ref=ref)
    return name


def _parse_presence(message: dict[str, Any], ref: str | None) -> SayPresence:
    topic = parse_topic(_topic_name(message, ref))
    if not isinstance(topic, InboxTopic) or topic.inbox is None:
        raise BadFrame("`topic` of presence must be one inbox, as in inbox:12.", ref=ref)
    named = message.get("chat")
    chat = chat_of(None, mend_text(named).strip()) if isinstance(named, str) else None
    if not chat or len(chat) > _MAX_CHAT:
        raise BadFrame("`chat` must be the digits of a phone, or a JID.", ref=ref)
    doing = message.get("doing")
    if doing != "viewing" and doing != "typing":
        raise BadFrame("`doing` must be viewing or typing.", ref=ref)
    return SayPresence(ref, topic.inbox, chat, doing)


def _parse_after(
    name: str, after: object, ref: str | None
) -> tuple[Position | None, dict[int, Position] | None]:
    if after is None:
        return None, None
    if name != "inbox:*":
        return _parse_position(after, ref), None
    if not isinstance(after, dict) or len(after) > _MAX_AFTER:
        raise BadFrame('`after` of inbox:* must look like {"12": {"off": 184, "epoch": "…"}}.', ref=ref)
    positions: dict[int, Position] = {}
    for key, value in after.items():
        number = session_number(key)
        if number is None:
            raise BadFrame("The keys of `after` must be session ids.", ref=ref)
        positions[number] = _parse_position(value, ref)
    return None, positions


def _parse_snapshot(value: object, ref: str | None) -> Snapshot:
    snapshot = Snapshot.parse(value) if isinstance(value, str) else None
    if snapshot is None:
        raise BadFrame("`*` in `after` must be as a page with `position=page` gave it.", ref=ref)
    return snapshot


def _parse_position(value: object, ref: str | None) -> Position:
    if isinstance(value, dict):
        off, epoch = value.get("off"), value.get("epoch")
        if isinstance(off, int) and not isinstance(off, bool) and isinstance(epoch, str):
            return Position(off, epoch)
    raise BadFrame('`after` must look like {"off": 184, "epoch": "…"}.', ref=ref)

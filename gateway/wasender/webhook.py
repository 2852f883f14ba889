"""Reads webhooks: a body in, changes out. Pure, total, and silent about secrets.

`read` never raises, whatever JSON comes: a webhook that cannot be read is kept in the journal and answered,
because upstream has no history to ask again. The session's API key stands in every body as `sessionId`;
`claimed_key` finds it, `redact` makes the body fit to be kept. Redact, then read: changes hold raw parts.
"""

import logging
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from gateway.domain.any_json import MAX_DEPTH, is_too_deep
from gateway.domain.contacts import ContactFact
from gateway.domain.message import (
    Change,
    CodeReported,
    PeopleTold,
    Reading,
    StatusReported,
    mend,
    mend_text,
)
from gateway.domain.session import SessionStatus, normalise_status
from gateway.wasender import message_events as events
from gateway.wasender import poll_events
from gateway.wasender.contact_events import facts_of, messages_of, names_chats
from gateway.wasender.errors import REDACTED
from gateway.wasender.message_events import Found, Skip
from gateway.wasender.timestamps import timestamp

logger = logging.getLogger(__name__)

_MAX_REASONS = 5
_KEY_NAMES = ("sessionId", "session_id")
_MIN_SECRET = 16  # shorter "keys" are ids or test values; blanking them out would blank out half the text


def read(body: Any, now: datetime) -> Reading:
    """What a webhook body says. `now` stands in for times that are missing or absurd."""
    name = body.get("event") if isinstance(body, dict) else None
    if not isinstance(name, str) or not name.strip():
        return Reading(event="", known=False, reason="no event is named")
    event = mend_text(name).strip().lower()[:100]
    reader = _reader_of(event)
    if event == "webhook.test" or _is_test(body):
        return Reading(event=event, reason="a test of the webhook")
    facts = None if reader is not None else facts_of(event, body.get("data"))
    if facts is not None:
        return _with_messages(_told(event, facts, body.get("data")), body, now)
    if reader is None:
        return Reading(event=event, known=False, reason="an event we do not know")
    if isinstance(reader, str):
        return Reading(event=event, reason=reader, is_noise=True)
    if _plain_text(body) is None:
        if is_too_deep(body):
            return Reading(event=event, reason="nested too deeply to be read")
        body = mend(body)
    at = timestamp(body.get("timestamp"), now)
    reading = _collected(event, reader, reader.split(body), at, now)
    if reader is _MESSAGE_READER and _has_beside(body.get("data")):
        reading = reading.with_reason("something stands beside the messages")
    return _without_time(reading) if at is now and event == "session.status" else reading


def _has_beside(data: Any) -> bool:
    """Whether there is more than the messages in it: their rows hold each its own part of the webhook."""
    if not isinstance(data, dict) or "key" in data:
        return False
    whole = [name for name, part in data.items() if isinstance(part, dict | list) and part]
    return len(whole) > 1 and "messages" in whole


def _told(event: str, facts: Sequence[ContactFact], data: Any) -> Reading:
    is_noise = event.startswith("chats.") and names_chats(data)
    if not facts:
        reason = "chats are made of their messages" if is_noise else "it names no person and no group"
        return Reading(event=event, reason=reason, is_noise=is_noise)
    return Reading(event=event, changes=(PeopleTold(tuple(facts)),), is_noise=is_noise)


def _with_messages(told: Reading, body: dict[str, Any], now: datetime) -> Reading:
    """The same, and what the messages say that stand in the chats; a message without its content says nothing."""
    elements = messages_of(body.get("data")) if told.event.startswith("chats.") else []
    if not elements:
        return told
    at = timestamp(body.get("timestamp"), now)
    said = _collected(told.event, _MESSAGE_READER, elements, at, now)
    changes = tuple(change for change in said.changes if not getattr(change, "is_placeholder", False))
    if not changes:
        return told if said.reason is None else told.with_reason(said.reason)
    return Reading(told.event, (*told.changes, *changes), reason=said.reason)


def _is_test(body: dict[str, Any]) -> bool:
    data = body.get("data")
    return isinstance(data, dict) and data.get("test") is True


def _without_time(reading: Reading) -> Reading:
    """The reading of a webhook that does not say when it was written."""
    changes = tuple(
        replace(change, has_time=False) if isinstance(change, StatusReported) else change
        for change in reading.changes
    )
    return reading if changes == reading.changes else replace(reading, changes=changes)


def claimed_key(body: Any) -> str | None:
    """The session key a body claims to come from. It proves nothing: the secret in the header does."""
    data = body.get("data") if isinstance(body, dict) else None
    for part in (body, data):
        for name in _KEY_NAMES:
            value = part.get(name) if isinstance(part, dict) else None
            if isinstance(value, int) and not isinstance(value, bool):
                value = str(value)
            if isinstance(value, str) and value:
                return value
    return None


def redact(body: Any, session_id: int, secrets: Collection[str]) -> Any:
    """A copy that can be kept: no secrets, no text Postgres refuses, nothing nested deeper than MAX_DEPTH.

    Every `sessionId` becomes our number, every string loses the secrets in it. The key that the body itself
    claims counts as a secret, even if it is not (or no longer) the session's. Parts that hold nothing of the kind may
    be shared with the body.
    """
    claimed = claimed_key(body)
    hidden = {mend_text(secret) for secret in secrets if secret}
    if claimed is not None and len(claimed) >= _MIN_SECRET:
        hidden.add(mend_text(claimed))
    hidden.discard("")
    if isinstance(body, dict) and "sessionId" in body:
        kept = {**body, "sessionId": str(session_id)}
        if _is_all_said(kept, hidden):
            return kept
    # The longest first: a secret that begins like another one must not leave its tail behind.
    return _kept(body, str(session_id), sorted(hidden, key=len, reverse=True), 0)


def _is_all_said(kept: dict[str, Any], hidden: Collection[str]) -> bool:
    """Whether the `sessionId` at the top was all there was to replace, as nearly always.

    Looked up in the text: JSON spells a string in one way here, so what is not in the text is in no string of it.
    """
    text = _plain_text(kept)
    return (
        text is not None
        and text.count(b'"sessionId"') == 1
        and b'"session_id"' not in text
        and not any(orjson.dumps(secret)[1:-1] in text for secret in hidden)
    )


def _plain_text(body: Any) -> bytes | None:
    """The body as JSON; None where something may have to be mended, or may be nested too deeply."""
    try:
        text = orjson.dumps(body)
    except TypeError:  # lone surrogates, among others
        return None
    return text if b"\\u0000" not in text and text.count(b"{") + text.count(b"[") <= MAX_DEPTH else None


def _without(hidden: Sequence[str], text: str) -> str:
    text = mend_text(text)  # first: a U+0000 could split a secret in two
    for secret in hidden:
        if secret in text:
            text = text.replace(secret, REDACTED)
    return text


def _kept(value: Any, session_id: str, hidden: Sequence[str], depth: int) -> Any:
    if depth > MAX_DEPTH:
        return "[too deep]"
    if isinstance(value, str):
        return _without(hidden, value)
    if isinstance(value, list):
        return [_kept(item, session_id, hidden, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, item in value.items():
        is_key = mend_text(name) in _KEY_NAMES
        kept[_without(hidden, name)] = session_id if is_key else _kept(item, session_id, hidden, depth + 1)
    return kept


# ------------------------------------------------------------------------------------------------ the table


@dataclass(frozen=True, slots=True)
class _Reader:
    """How an event is cut into elements, and what one element means."""

    split: Callable[[dict[str, Any]], list[Any]]
    one: Callable[[Any, datetime, datetime], Sequence[Found]]
    """Takes the element, the webhook's own time, and the time of receipt."""


def _collected(event: str, reader: _Reader, elements: list[Any], at: datetime, now: datetime) -> Reading:
    changes: list[Change] = []
    reasons: list[str] = [] if elements else ["nothing in it that can be read"]
    for number, element in enumerate(elements, start=1):
        try:
            found = reader.one(element, at, now)
        except Exception as error:
            # A mistake of ours must not cost the other elements, nor the answer 200: upstream keeps nothing.
            logger.exception("webhook.unreadable event=%s", event)
            found = [Skip(f"not readable: {type(error).__name__}")]
        for part in found:
            if not isinstance(part, Skip):
                changes.append(part)
            elif len(reasons) < _MAX_REASONS:
                reasons.append(part.reason if len(elements) == 1 else f"element {number}: {part.reason}")
    return Reading(event=event, changes=tuple(changes), reason="; ".join(reasons) or None)


def _reader_of(event: str) -> _Reader | str | None:
    """A reader, or why the event is ignored; None for an event we do not know."""
    if _MESSAGES.fullmatch(event):
        return _MESSAGE_READER
    return _READERS.get(event) or _IGNORED.get(event)


def _listed(*names: str) -> Callable[[dict[str, Any]], list[Any]]:
    """Elements are an array, an object, an object of elements, or any of them under one of `names`."""

    def split(body: dict[str, Any]) -> list[Any]:
        data = body.get("data")
        if isinstance(data, dict) and "key" not in data:
            data = next((data[name] for name in names if isinstance(data.get(name), dict | list)), data)
        if isinstance(data, dict):
            return _in_places(data) or ([data] if data else [])
        return data if isinstance(data, list) else []

    return split


def _in_places(data: dict[str, Any]) -> list[Any]:
    """The elements of a list that was written as an object: by place, or by the ids of the elements."""
    items = list(data.values())
    if not all(isinstance(item, dict) for item in items):
        return []
    is_list = all(name.isdecimal() for name in data) or all(
        isinstance(item.get("key"), dict) for item in items
    )
    return items if is_list else []


def _data_of(body: dict[str, Any]) -> list[Any]:
    return [body["data"]] if body.get("data") else []


def _whole(body: dict[str, Any]) -> list[Any]:
    """Elements of an event about the session: the data, or the body where the data are no object."""
    data = body.get("data")
    return [data] if isinstance(data, dict) else [body]


def _status(element: dict[str, Any], at: datetime, now: datetime) -> Sequence[Found]:
    word, reason = element.get("status", element.get("data")), element.get("reason")
    if not isinstance(word, str) or not word.strip():
        return [Skip("a status event without a status")]
    said = reason if isinstance(reason, str) and reason else None
    return [StatusReported(normalise_status(word), at, said)]


def _code(element: dict[str, Any], at: datetime, now: datetime) -> Sequence[Found]:
    for name in ("qr", "qrCode", "qr_code", "data"):
        if isinstance(element.get(name), str) and element[name]:
            return [CodeReported(element[name], at)]
    return [Skip("a code event without a code")]


def _passkey(element: dict[str, Any], at: datetime, now: datetime) -> Sequence[Found]:
    stage = element.get("stage")
    if stage == "request":
        return [StatusReported(str(SessionStatus.NEED_PASSKEY), at)]
    return [Skip(f"a passkey in stage {stage if isinstance(stage, str) else 'unknown'}"[:100])]


# `messages.received`, `messages-personal.received` and their like; also splits that come after us.
_MESSAGES = re.compile(r"messages(-[a-z]+)?\.(received|upsert)")
_MESSAGE_READER = _Reader(_listed("messages", "message"), events.message)

_READERS: dict[str, _Reader] = {
    "message.sent": _Reader(_listed("messages"), events.sent),
    "messages.update": _Reader(_listed("messages", "updates"), events.update),
    "messages.delete": _Reader(_listed("keys", "messages"), events.deletion),
    "messages.reaction": _Reader(_listed("reactions", "messages"), events.reaction),
    "message-receipt.update": _Reader(_listed("message", "messages", "receipts"), events.receipt),
    "call": _Reader(_data_of, events.call),
    "call.received": _Reader(_data_of, events.call),
    "poll.results": _Reader(_listed("pollResults", "polls", "messages"), poll_events.results),
    "session.status": _Reader(_whole, _status),
    "qrcode.updated": _Reader(_whole, _code),
    "passkey.updated": _Reader(_whole, _passkey),
}

_IGNORED: dict[str, str] = {
    "chats.delete": "chats are made of their messages",
}

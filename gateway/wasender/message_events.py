"""One element of a message webhook becomes changes, or a `Skip` that says in words why not.

Upstream passes the events of its WhatsApp engine (Baileys) through, so the same fact comes in several shapes, and
several facts come in one: the engine joins updates it has not handed out yet. The samples of the tests hold one of
each, documented or observed.

`at` is the time that the webhook names, `now` the time of its receipt: what an element itself names is checked against
`now`, and where it is wrong, or missing, `at` counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway.domain.message import (
    CallAnswered,
    CallEnded,
    Change,
    DeliveryMoved,
    DeliveryState,
    MessageDeleted,
    MessageEdited,
    MessageReacted,
    MessageReceived,
    MessageSent,
    Origin,
    PeopleTold,
    Sealed,
    SendRefused,
)
from gateway.wasender.call_events import Call, calls_of
from gateway.wasender.message_content import (
    REVOKED,
    Content,
    Nothing,
    content_in,
    content_of,
    unwrap,
    unwrapped,
)
from gateway.wasender.message_identity import Parties, is_from_me, key_id, parties, resolved_in
from gateway.wasender.message_secrets import Use, sealed_in
from gateway.wasender.restrictions import failure_words, is_restriction
from gateway.wasender.timestamps import timestamp
from gateway.wasender.values import enum_word, number, present


@dataclass(frozen=True, slots=True)
class Skip:
    """Why an element, or a part of it, became no change."""

    reason: str


Found = Change | Skip

# WhatsApp's numbers for how far a message has come, and the words protobuf's JSON form has for them.
_STATES: dict[str, DeliveryState] = {
    "0": DeliveryState.FAILED, "error": DeliveryState.FAILED, "failed": DeliveryState.FAILED,
    "1": DeliveryState.QUEUED, "pending": DeliveryState.QUEUED,
    "2": DeliveryState.SENT, "server_ack": DeliveryState.SENT, "sent": DeliveryState.SENT,
    "3": DeliveryState.DELIVERED, "delivery_ack": DeliveryState.DELIVERED,
    "delivered": DeliveryState.DELIVERED,
    "4": DeliveryState.READ, "read": DeliveryState.READ,
    "5": DeliveryState.PLAYED, "played": DeliveryState.PLAYED,
}  # fmt: skip

_REVOKE = ("0", "revoke")
_EDIT = ("14", "message_edit")
_STUB_REVOKE = ("1", "revoke", "132", "admin_revoke")

# Fields of a key that some shapes carry beside the key.
_BESIDE_KEY = (
    "participant", "participantPn", "participantLid", "participantAlt", "cleanedParticipantPn",
    "senderPn", "senderLid", "cleanedSenderPn", "remoteJidAlt",
)  # fmt: skip

_BESIDE_NAMES = frozenset(_BESIDE_KEY)


def delivery_state(word: Any) -> DeliveryState | None:
    """How far a message came, by upstream's number or word of it; None for one that is not known."""
    return _STATES.get(enum_word(word))


def message(element: Any, at: datetime, now: datetime) -> Sequence[Found]:
    """`messages.received`, its splits, and `messages.upsert`."""
    key = _key_of(element)
    own_id = key_id(key)
    if key is None or own_id is None:
        return [Skip("a message without key.id")]
    from_me = is_from_me(key)
    at = timestamp(element.get("messageTimestamp"), at, now)
    found = _said(own_id, key, from_me, element, at, now)
    if from_me and isinstance(found[0], MessageSent):
        state = _STATES.get(enum_word(element.get("status")))
        if state is not None and state not in (DeliveryState.QUEUED, DeliveryState.SENT):
            found.append(DeliveryMoved(own_id, state, at, chat=found[0].chat))
    return _with_link(key, found)


def sent(element: Any, at: datetime, now: datetime) -> Sequence[Found]:
    """`message.sent`: the outcome of a send through the API. A failure names no message, only a reason."""
    if not isinstance(element, dict):
        return [Skip("not an object")]
    key = _key_of(element)
    own_id = key_id(key)
    if element.get("success") is False or (own_id is None and element.get("error")):
        text = failure_words(element) or "no reason given"
        if own_id is None:
            return [SendRefused(text[:500], at, _number_of(element), is_restriction(text))]
        failed = DeliveryMoved(
            own_id, DeliveryState.FAILED, at, text[:500], _chat_of(key), is_restriction(text)
        )
        has_words = unwrapped(element.get("message")) or element.get("messageBody")
        return [failed, Skip("what was not sent stands in this webhook")] if has_words else [failed]
    if key is None or own_id is None:
        return [Skip("a message without key.id")]
    if not unwrapped(element.get("message")) and not element.get("messageBody"):
        # Says that it was sent, not what: a row made of this would be empty.
        return _with_link(key, [DeliveryMoved(own_id, DeliveryState.SENT, at, chat=_chat_of(key))])
    found = _said(own_id, key, True, element, timestamp(element.get("messageTimestamp"), at, now), now)
    return [
        replace(item, is_named=True, msg_id=_number_of(element)) if isinstance(item, MessageSent) else item
        for item in found
    ]


def _number_of(element: dict[str, Any]) -> int | None:
    """Upstream's own number of a message, where it is told."""
    found = number(element.get("msgId"))
    return int(found) if found is not None and 0 < found < 2**53 else None


def reaction(element: Any, at: datetime, now: datetime) -> Sequence[Found]:
    """`messages.reaction`: `key` names the message reacted to, `reaction.key` the reaction itself."""
    target = _key_of(element)
    body = element.get("reaction") if isinstance(element, dict) else None
    target_id = key_id(target)
    if target is None or target_id is None or not isinstance(body, dict):
        return [Skip("a reaction without key.id")]
    own = body.get("key")
    own_id = key_id(own)
    key, from_me = target, False
    named = element.get("key")
    named = named if isinstance(named, dict) else target
    if isinstance(own, dict) and own_id is not None and present(own) != present(named):
        # A sender chooses the id of its own message, so an equal id alone does not make two keys one.
        # The chat is the target's; who reacted only the reaction's own key knows.
        key = {**present(own), "remoteJid": own.get("remoteJid") or target.get("remoteJid")}
        from_me = is_from_me(own)
    # Otherwise only the target is named. Its `fromMe` says who wrote the message, not who reacted to it.
    who = parties(key, from_me)
    if who is None:
        return [Skip("a reaction without remoteJid")]
    text = body.get("text")
    emoji = text if isinstance(text, str) else ""
    at = timestamp(body.get("senderTimestampMs"), at, now)
    return _with_link(key, [MessageReacted(target_id, emoji, at, _origin(who, from_me), _name_of(element))])


def update(element: Any, at: datetime, now: datetime) -> Sequence[Found]:
    """`messages.update`: a delivery state, an edit, a deletion, a content that was missing; or several of them."""
    if not isinstance(element, dict):
        return [Skip("not an object")]
    body = element.get("update")
    key = _key_of(element)
    if key_id(key) is None and isinstance(body, dict):  # {"update": {"key": …, "update": {…}}}
        key, body = _key_of(body), body.get("update")
    own_id = key_id(key)
    if key is None or own_id is None or not isinstance(body, dict):
        return [Skip("an update without key.id")]
    came, at = at, timestamp(body.get("messageTimestamp"), at, now)
    found: list[Found] = []
    if body.get("status") is not None:
        # The message's time is that of the message, and not of the state it has reached.
        found.append(_moved(own_id, key, _STATES.get(enum_word(body["status"])), came, body))
    if enum_word(body.get("messageStubType")) in _STUB_REVOKE:
        # The engine gives the message the key of who took it back, which also stands inside.
        by = body.get("key")
        by = {**key, **present(by)} if isinstance(by, dict) else key
        found.append(MessageDeleted(own_id, at, _origin_of(by)))
        return _with_link(by, found)
    found += _updated(own_id, key, element, body, at, now)
    return _with_link(key, found) or [Skip("an update of something that is not shown")]


def receipt(element: Any, at: datetime, now: datetime) -> Sequence[Found]:
    """`message-receipt.update`: one member of a group has got, or read, a message."""
    if not isinstance(element, dict):
        return [Skip("not an object")]
    key, body = element.get("key"), element.get("receipt")
    own_id = key_id(key)
    if not isinstance(key, dict) or own_id is None or not isinstance(body, dict):
        return [Skip("a receipt without key.id")]
    for name, state in (
        ("playedTimestamp", DeliveryState.PLAYED),
        ("readTimestamp", DeliveryState.READ),
        ("receiptTimestamp", DeliveryState.DELIVERED),
    ):
        if body.get(name):
            return _with_link(key, [_moved(own_id, key, state, timestamp(body[name], at, now), None)])
    return [Skip("a receipt without a time")]


def deletion(element: Any, at: datetime, now: datetime) -> Sequence[Found]:
    """`messages.delete`: the key of a message that is no more. It does not say who took it back."""
    if isinstance(element, dict) and element.get("all") is True:
        return [Skip("a whole chat was cleared on the phone")]
    inner = element.get("key") if isinstance(element, dict) else None
    key = element if key_id(element) else inner
    own_id = key_id(key)
    if own_id is None:
        return [Skip("a deletion without key.id")]
    return _with_link(present(key), [MessageDeleted(own_id, at, Origin(_chat_of(key), is_named=False))])


def call(data: Any, at: datetime, now: datetime) -> Sequence[Found]:
    """`call`: one call in one of its states. What rang and ended without an answer was missed."""
    found: list[Found] = []
    for one in calls_of(data, at, now):
        if one.is_from_me:
            continue
        if one.outcome == "answered":
            found.append(CallAnswered(one.id, one.at))
        elif one.outcome in ("missed", "declined") and one.content is not None:
            found.append(_call_row(one, one.content))
        elif one.outcome == "ended":
            found.append(CallEnded(one.id, _call_row(one, one.missed_content)))
    return found or [Skip("a call that has not ended, or that the phone made")]


def _call_row(one: Call, content: Content) -> MessageReceived:
    return MessageReceived(
        key_id=one.id,
        chat=one.who.chat,
        from_phone=one.who.address,
        type=content.type,
        text=content.text,
        received_at=one.at,
        sender_lid=one.who.lid,
        raw={"call": one.id, "outcome": one.outcome},
    )


# ------------------------------------------------------------------------------------------------ shared


def _said(
    own_id: str, key: dict[str, Any], from_me: bool, element: dict[str, Any], at: datetime, now: datetime
) -> list[Found]:
    """What a message says: something new, or something about another message."""
    who = parties(key, from_me)
    if who is None:
        return [Skip("a message without remoteJid")]
    by = _origin(who, from_me)
    content = content_in(element)
    if isinstance(content, Content) and content.type == "reaction":
        return [_reacted(present(content.part), element, at, now, by)]
    if isinstance(content, Content):
        return [_message_of(own_id, who, from_me, content, at, element)]
    if content.kind == REVOKED:
        return [MessageDeleted(own_id, at, by)]
    if content.kind == "protocolMessage":
        return [_protocol(present(content.part), at, now, by)]
    return [_sealed_change(content, element.get("message"), element, at, by)]


def _sealed_change(nothing: Nothing, whole: Any, element: dict[str, Any], at: datetime, by: Origin) -> Found:
    """An edit or a reaction that only the secret of its message opens; everything else that is no message."""
    sealed = sealed_in(whole)
    if sealed is not None and sealed.use.is_edit:
        return MessageEdited(sealed.target_id, None, at, by, Sealed(element, "edit"))
    if sealed is not None and sealed.use is Use.REACTION:
        return MessageReacted(sealed.target_id, "", at, by, _name_of(element), Sealed(element, "reaction"))
    return Skip(nothing.reason)


def _message_of(
    own_id: str, who: Parties, from_me: bool, content: Content, at: datetime, raw: dict[str, Any]
) -> MessageReceived | MessageSent:
    text = content.full_text
    if from_me:
        return MessageSent(
            own_id,
            who.chat,
            who.address,
            content.type,
            text,
            at,
            content.media_url,
            raw,
            who.lid if who.lid != who.address else None,
            content.is_placeholder,
            content.file,
        )
    return MessageReceived(
        key_id=own_id,
        chat=who.chat,
        from_phone=who.address,
        type=content.type,
        text=text,
        received_at=at,
        media_url=content.media_url,
        push_name=_name_of(raw),
        sender_lid=who.lid,
        raw=raw,
        is_placeholder=content.is_placeholder,
        media=content.file,
    )


def _updated(
    own_id: str,
    key: dict[str, Any],
    element: dict[str, Any],
    body: dict[str, Any],
    at: datetime,
    now: datetime,
) -> list[Found]:
    """The message inside an update: the text of an edit, or a content that had not come with its message."""
    if body.get("message") is None and not body.get("messageBody"):
        return []
    opened = unwrap(body.get("message"))
    by = _origin_of(key)
    if isinstance(opened.message.get("protocolMessage"), dict):
        return [_protocol(opened.message["protocolMessage"], at, now, by)]
    raw = {**element, **body, "key": key}
    content = content_in(raw)
    if isinstance(content, Nothing):
        return [_sealed_change(content, body.get("message"), raw, at, by)]
    if content.type == "reaction":
        return [_reacted(present(content.part), raw, at, now, by)]
    if opened.is_edit:
        return [MessageEdited(own_id, content.full_text, at, by)]
    from_me = is_from_me(key)
    who = parties(key, from_me)
    if who is None or content.is_placeholder or content.type == "unknown":
        return []
    said = _message_of(own_id, who, from_me, content, at, raw)
    return [said, MessageEdited(own_id, said.text, at, by, is_content=True)]


def _protocol(protocol: dict[str, Any], at: datetime, now: datetime, by: Origin) -> Found:
    """A message about another message: taken back, or edited."""
    target = key_id(protocol.get("key"))
    edited = protocol.get("editedMessage")
    # Protobuf's JSON leaves out a field that has its default, and 0 is the default.
    kind = enum_word(protocol.get("type")) or (_EDIT[0] if edited else _REVOKE[0] if target else "")
    if kind not in _REVOKE + _EDIT:
        return Skip(f"a message between devices (type {kind or 'none'})"[:100])
    if target is None:
        return Skip("an edit or a deletion that names no message")
    if kind in _REVOKE:
        return MessageDeleted(target, at, by)
    content = content_of(unwrapped(edited))
    if content is None:
        return Skip("an edit without a text")
    return MessageEdited(target, content.full_text, timestamp(protocol.get("timestampMs"), at, now), by)


def _reacted(part: dict[str, Any], element: dict[str, Any], at: datetime, now: datetime, by: Origin) -> Found:
    target, emoji = key_id(part.get("key")), part.get("text")
    if target is None:
        return Skip("a reaction that names no message")
    at = timestamp(part.get("senderTimestampMs"), at, now)
    return MessageReacted(target, emoji if isinstance(emoji, str) else "", at, by, _name_of(element))


def _moved(
    own_id: str,
    key: dict[str, Any],
    state: DeliveryState | None,
    at: datetime,
    told: Mapping[str, Any] | None,
) -> Found:
    if state is None:
        return Skip("a delivery state that is not known")
    if state is not DeliveryState.FAILED or told is None:
        return DeliveryMoved(own_id, state, at, None, _chat_of(key))
    words = failure_words(told)
    return DeliveryMoved(own_id, state, at, words and words[:500], _chat_of(key), is_restriction(words))


def _origin_of(key: dict[str, Any]) -> Origin:
    from_me = is_from_me(key)
    who = parties(key, from_me)
    return Origin(None, is_me=from_me, is_named=from_me) if who is None else _origin(who, from_me)


def _origin(who: Parties, from_me: bool) -> Origin:
    return Origin(who.chat, is_me=True) if from_me else Origin(who.chat, who.address, who.lid)


def _with_link(key: dict[str, Any], found: list[Found]) -> list[Found]:
    """The changes, and before them the LID and the number that their key shows to be one person.

    A change may be the first to name both: its message is known by one of them only. A message brings its own.
    """
    if all(isinstance(item, Skip | MessageReceived | MessageSent) for item in found):
        return found
    link = resolved_in(key)
    return found if link is None else [PeopleTold((link,)), *found]


def _chat_of(key: Any) -> str | None:
    who = parties(present(key), is_from_me(key)) if isinstance(key, dict) else None
    return None if who is None else who.chat


def _name_of(element: dict[str, Any]) -> str | None:
    """The name the author chose; an empty one says nothing."""
    for name in (element.get("pushName"), element.get("verifiedBizName")):
        if isinstance(name, str) and name.strip():
            return name
    return None


def _key_of(element: Any) -> dict[str, Any] | None:
    """The key of an element, with what some shapes write beside it, without the nulls that others hold."""
    if not isinstance(element, dict):
        return None
    key = element.get("key")
    if not isinstance(key, dict):
        return present(element) if "remoteJid" in element else None
    if _BESIDE_NAMES.isdisjoint(element):
        return present(key)
    return {name: element[name] for name in _BESIDE_KEY if element.get(name) is not None} | present(key)

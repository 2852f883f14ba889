"""One element of a message webhook becomes changes, or a `Skip` that says in words why not.

Upstream passes the events of its WhatsApp engine (Baileys) through, so the same fact comes in several shapes, and
several facts come in one: the engine joins updates it has not handed out yet. The samples of the tests hold one of
each, documented or observed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway.domain.message import (
    Author,
    Change,
    DeliveryMoved,
    DeliveryState,
    MessageDeleted,
    MessageEdited,
    MessageReacted,
    MessageReceived,
    MessageSent,
    Sealed,
)
from gateway.wasender.message_content import Content, content_of, is_only_baggage, unwrapped
from gateway.wasender.message_identity import Parties, is_from_me, key_id, parties
from gateway.wasender.timestamps import timestamp


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
    "5": DeliveryState.READ, "played": DeliveryState.READ,
}  # fmt: skip

_REVOKE = ("0", "revoke")
_EDIT = ("14", "message_edit")
_STUB_REVOKE = ("1", "revoke")
_STUB_CIPHERTEXT = ("2", "ciphertext")
_STUB_CALLS = {
    "40": "Missed voice call", "call_missed_voice": "Missed voice call",
    "41": "Missed video call", "call_missed_video": "Missed video call",
    "45": "Missed group voice call", "call_missed_group_voice": "Missed group voice call",
    "46": "Missed group video call", "call_missed_group_video": "Missed group video call",
}  # fmt: skip

_SILENT = {
    "pollUpdateMessage": "a vote in a poll",
    "keepInChatMessage": "a message was kept in its chat",
    "pinInChatMessage": "a message was pinned",
    "albumMessage": "the header of an album; its pictures come by themselves",
}

_WITH_MEDIA = ("image", "video", "audio", "document", "sticker")

# Fields of a key that some shapes carry beside the key.
_BESIDE_KEY = (
    "participant", "participantPn", "participantLid", "participantAlt", "cleanedParticipantPn",
    "senderPn", "senderLid", "cleanedSenderPn", "remoteJidAlt",
)  # fmt: skip

_BESIDE_NAMES = frozenset(_BESIDE_KEY)


def message(element: Any, at: datetime) -> Sequence[Found]:
    """`messages.received`, its splits, and `messages.upsert`."""
    key = _key_of(element)
    own_id = key_id(key)
    if key is None or own_id is None:
        return [Skip("a message without key.id")]
    from_me = is_from_me(key)
    at = timestamp(element.get("messageTimestamp"), at)
    found = _said(own_id, key, from_me, element, at)
    if from_me and isinstance(found[0], MessageSent):
        state = _STATES.get(_word(element.get("status")))
        if state is not None and state not in (DeliveryState.QUEUED, DeliveryState.SENT):
            found.append(DeliveryMoved(own_id, state, at, chat=found[0].chat))
    return found


def sent(element: Any, at: datetime) -> Sequence[Found]:
    """`message.sent`: the outcome of a send through the API. A failure names no message, only a reason."""
    if not isinstance(element, dict):
        return [Skip("not an object")]
    key = _key_of(element)
    own_id = key_id(key)
    error = element.get("error")
    if element.get("success") is False:
        text = error if isinstance(error, str) else "no reason given"
        if own_id is None:
            return [Skip(f"not sent: {text}"[:500])]
        return [DeliveryMoved(own_id, DeliveryState.FAILED, at, text, _chat_of(key))]
    if key is None or own_id is None:
        return [Skip("a message without key.id")]
    if not _present(unwrapped(element.get("message"))) and not element.get("messageBody"):
        # Says that it was sent, not what: a row made of this would be empty.
        return [DeliveryMoved(own_id, DeliveryState.SENT, at, chat=_chat_of(key))]
    return _said(own_id, key, True, element, timestamp(element.get("messageTimestamp"), at))


def reaction(element: Any, at: datetime) -> Sequence[Found]:
    """`messages.reaction`: `key` names the message reacted to, `reaction.key` the reaction itself."""
    target = _key_of(element)
    body = element.get("reaction") if isinstance(element, dict) else None
    target_id = key_id(target)
    if target is None or target_id is None or not isinstance(body, dict):
        return [Skip("a reaction without key.id")]
    own = body.get("key")
    own_id = key_id(own)
    key, from_me = target, False
    if isinstance(own, dict) and own_id is not None and own_id != target_id:
        # The chat is the target's; who reacted only the reaction's own key knows.
        key = {**_present(own), "remoteJid": own.get("remoteJid") or target.get("remoteJid")}
        from_me = is_from_me(own)
    # Otherwise only the target is named. Its `fromMe` says who wrote the message, not who reacted to it.
    who = parties(key, from_me)
    if who is None:
        return [Skip("a reaction without remoteJid")]
    text = body.get("text")
    emoji = text if isinstance(text, str) else ""
    at = timestamp(body.get("senderTimestampMs"), at)
    return [MessageReacted(target_id, emoji, at, _author(who, from_me), _name_of(element))]


def update(element: Any, at: datetime) -> Sequence[Found]:
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
    at = timestamp(body.get("messageTimestamp"), at)
    found: list[Found] = []
    if body.get("status") is not None:
        found.append(_moved(own_id, key, _STATES.get(_word(body["status"])), at, body.get("error")))
    if _word(body.get("messageStubType")) in _STUB_REVOKE:
        # The engine gives the message the key of who took it back, which also stands inside.
        by = body.get("key")
        by = {**key, **_present(by)} if isinstance(by, dict) else key
        found.append(MessageDeleted(own_id, at, _author_of(by)))
        return found
    found += _updated(own_id, key, element, body, at)
    return found or [Skip("an update of something that is not shown")]


def receipt(element: Any, at: datetime) -> Sequence[Found]:
    """`message-receipt.update`: one member of a group has got, or read, a message."""
    if not isinstance(element, dict):
        return [Skip("not an object")]
    key, body = element.get("key"), element.get("receipt")
    own_id = key_id(key)
    if not isinstance(key, dict) or own_id is None or not isinstance(body, dict):
        return [Skip("a receipt without key.id")]
    for name, state in (
        ("playedTimestamp", DeliveryState.READ),
        ("readTimestamp", DeliveryState.READ),
        ("receiptTimestamp", DeliveryState.DELIVERED),
    ):
        if body.get(name):
            return [_moved(own_id, key, state, timestamp(body[name], at), None)]
    return [Skip("a receipt without a time")]


def deletion(element: Any, at: datetime) -> Sequence[Found]:
    """`messages.delete`: the key of a message that is no more. It does not say who took it back."""
    if isinstance(element, dict) and element.get("all") is True:
        return [Skip("a whole chat was cleared on the phone")]
    inner = element.get("key") if isinstance(element, dict) else None
    key = element if key_id(element) else inner
    own_id = key_id(key)
    if own_id is None:
        return [Skip("a deletion without key.id")]
    return [MessageDeleted(own_id, at, Author(_chat_of(key), is_named=False))]


# ------------------------------------------------------------------------------------------------ shared


def _said(
    own_id: str, key: dict[str, Any], from_me: bool, element: dict[str, Any], at: datetime
) -> list[Found]:
    """What a message says: something new, or something about another message."""
    inner = _present(unwrapped(element.get("message")))
    who = parties(key, from_me)
    if who is None:
        return [Skip("a message without remoteJid")]
    by = _author(who, from_me)
    for name, about in _ABOUT_OTHERS.items():
        part = inner.get(name)
        if isinstance(part, dict):
            return [about(part, element, at, by)]
    stub = _word(element.get("messageStubType"))
    content = content_of(inner, element.get("messageBody"))
    if content is None and (reason := next((_SILENT[name] for name in _SILENT if name in inner), None)):
        return [Skip(reason)]
    if content is None and stub in _STUB_REVOKE:
        return [MessageDeleted(own_id, at, by)]
    if content is None and stub in _STUB_CALLS:
        content = Content(kind="call", type="call", text=_STUB_CALLS[stub])
    if content is None:
        if stub not in ("", "0", *_STUB_CIPHERTEXT):
            return [Skip(f"a notice of WhatsApp (stub {stub})"[:100])]
        if is_only_baggage(inner):
            return [Skip("only keys, nothing to read")]
        content = Content(kind="", type="unknown")
    return [_message_of(own_id, who, from_me, content, at, element)]


def _message_of(
    own_id: str, who: Parties, from_me: bool, content: Content, at: datetime, raw: dict[str, Any]
) -> MessageReceived | MessageSent:
    is_placeholder = _is_placeholder(content)
    kind = "unknown" if is_placeholder else content.type
    if from_me:
        return MessageSent(
            own_id,
            who.chat,
            who.address,
            kind,
            content.text,
            at,
            content.media_url,
            raw,
            who.lid,
            is_placeholder,
        )
    return MessageReceived(
        key_id=own_id,
        chat=who.chat,
        from_phone=who.address,
        type=kind,
        text=content.text,
        received_at=at,
        media_url=content.media_url,
        push_name=_name_of(raw),
        sender_lid=who.lid,
        raw=raw,
        is_placeholder=is_placeholder,
    )


def _is_placeholder(content: Content) -> bool:
    """Whether the content is still to come: none at all, a view-once stub, or a file that is nowhere."""
    if not content.kind or content.kind == "placeholderMessage":
        return True
    if content.type not in _WITH_MEDIA or not isinstance(content.part, dict):
        return False
    return not (content.media_url or content.part.get("directPath") or content.part.get("base64"))


def _updated(
    own_id: str, key: dict[str, Any], element: dict[str, Any], body: dict[str, Any], at: datetime
) -> list[Found]:
    """The message inside an update: the text of an edit, or a content that had not come with its message."""
    whole = body.get("message")
    inner = _present(unwrapped(whole))
    if isinstance(inner.get("protocolMessage"), dict):
        return [_protocol(inner["protocolMessage"], element, at, _author_of(key))]
    content = content_of(inner, body.get("messageBody"))
    if content is None or content.type in ("unknown", "reaction"):
        return []
    edit = MessageEdited(own_id, content.text, at, _author_of(key))
    from_me = is_from_me(key)
    who = parties(key, from_me)
    if who is None or (isinstance(whole, dict) and "editedMessage" in whole):
        return [edit]
    raw = {**element, "key": key, "message": whole}
    return [_message_of(own_id, who, from_me, content, at, raw), replace(edit, is_content=True)]


def _protocol(protocol: dict[str, Any], element: dict[str, Any], at: datetime, by: Author) -> Found:
    """A message about another message: taken back, or edited."""
    target = key_id(protocol.get("key"))
    edited = protocol.get("editedMessage")
    # Protobuf's JSON leaves out a field that has its default, and 0 is the default.
    kind = _word(protocol.get("type")) or (_EDIT[0] if edited else _REVOKE[0] if target else "")
    if kind not in _REVOKE + _EDIT:
        return Skip(f"a message between devices (type {kind or 'none'})"[:100])
    if target is None:
        return Skip("an edit or a deletion that names no message")
    if kind in _REVOKE:
        return MessageDeleted(target, at, by)
    content = content_of(_present(unwrapped(edited)))
    if content is None:
        return Skip("an edit without a text")
    return MessageEdited(target, content.text, timestamp(protocol.get("timestampMs"), at), by)


def _reacted(part: dict[str, Any], element: dict[str, Any], at: datetime, by: Author) -> Found:
    target, emoji = key_id(part.get("key")), part.get("text")
    if target is None:
        return Skip("a reaction that names no message")
    at = timestamp(part.get("senderTimestampMs"), at)
    return MessageReacted(target, emoji if isinstance(emoji, str) else "", at, by, _name_of(element))


def _sealed_reaction(part: dict[str, Any], element: dict[str, Any], at: datetime, by: Author) -> Found:
    target = key_id(part.get("targetMessageKey"))
    if target is None:
        return Skip("a reaction that names no message")
    return MessageReacted(target, "", at, by, _name_of(element), Sealed(element, "reaction"))


def _sealed_edit(part: dict[str, Any], element: dict[str, Any], at: datetime, by: Author) -> Found:
    target = key_id(part.get("targetMessageKey"))
    if target is None:
        return Skip("an edit that names no message")
    return MessageEdited(target, None, at, by, Sealed(element, "edit"))


_ABOUT_OTHERS = {
    "protocolMessage": _protocol,
    "reactionMessage": _reacted,
    "encReactionMessage": _sealed_reaction,
    "secretEncryptedMessage": _sealed_edit,
}


def _moved(own_id: str, key: dict[str, Any], state: DeliveryState | None, at: datetime, error: Any) -> Found:
    if state is None:
        return Skip("a delivery state that is not known")
    return DeliveryMoved(
        own_id, state, at, error if isinstance(error, str) and error else None, _chat_of(key)
    )


def _author_of(key: dict[str, Any]) -> Author:
    from_me = is_from_me(key)
    who = parties(key, from_me)
    return Author(None, is_me=from_me, is_named=from_me) if who is None else _author(who, from_me)


def _author(who: Parties, from_me: bool) -> Author:
    return Author(who.chat, is_me=True) if from_me else Author(who.chat, who.address, who.lid)


def _chat_of(key: Any) -> str | None:
    who = parties(_present(key), is_from_me(key)) if isinstance(key, dict) else None
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
        return _present(element) if "remoteJid" in element else None
    if _BESIDE_NAMES.isdisjoint(element):
        return _present(key)
    return {name: element[name] for name in _BESIDE_KEY if element.get(name) is not None} | _present(key)


def _present(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if value is not None}


def _word(value: Any) -> str:
    """A protobuf enum, which comes as a number, a number in quotes or a name, as one lower-case word."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else ""
    return str(value).strip().lower() if not isinstance(value, int) or abs(value) < 1 << 31 else ""

"""One element of a message webhook becomes one change, or a `Skip` that says in words why not.

Upstream passes the events of its WhatsApp engine (Baileys) through, so the same fact comes in several shapes.
The samples of the tests hold one of each, documented or observed.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.domain.message import (
    Change,
    DeliveryMoved,
    DeliveryState,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    MessageSent,
)
from gateway.wasender.message_content import Content, content_of, is_only_baggage, unwrapped
from gateway.wasender.message_identity import Parties, is_from_me, key_id, parties
from gateway.wasender.timestamps import timestamp


@dataclass(frozen=True, slots=True)
class Skip:
    """Why an element became no change."""

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

_SILENT = {
    "pollUpdateMessage": "a vote in a poll",
    "encReactionMessage": "a reaction that only the phone can read",
    "secretEncryptedMessage": "a change that only the phone can read",
    "keepInChatMessage": "a message was kept in its chat",
    "pinInChatMessage": "a message was pinned",
    "albumMessage": "the header of an album; its pictures come by themselves",
}

# Fields of a key that some shapes carry beside the key.
_BESIDE_KEY = (
    "participant", "participantPn", "participantLid", "participantAlt", "cleanedParticipantPn",
    "senderPn", "senderLid", "cleanedSenderPn", "remoteJidAlt",
)  # fmt: skip

_BESIDE_NAMES = frozenset(_BESIDE_KEY)


def message(element: Any, at: datetime) -> Found:
    """`messages.received`, its splits, and `messages.upsert`."""
    key = _key_of(element)
    own_id = key_id(key)
    if key is None or own_id is None:
        return Skip("a message without key.id")
    inner = unwrapped(element.get("message"))
    at = timestamp(element.get("messageTimestamp"), at)
    if isinstance(inner.get("protocolMessage"), dict):
        return _protocol(inner["protocolMessage"], at)
    if not _SILENT.keys().isdisjoint(inner):
        return Skip(next(reason for name, reason in _SILENT.items() if name in inner))
    content = content_of(inner, element.get("messageBody"))
    if content is None:
        if element.get("messageStubType"):
            # Also a message that could not be decrypted yet: it comes again, under the same id, once it can be.
            return Skip(f"a notice of WhatsApp (stub {element['messageStubType']})"[:100])
        if is_only_baggage(inner):
            return Skip("only keys, nothing to read")
        content = Content(kind="", type="unknown")
    return _row(own_id, key, is_from_me(key), content, at, element)


def sent(element: Any, at: datetime) -> Found:
    """`message.sent`: the outcome of a send through the API. A failure names no message, only a reason."""
    if not isinstance(element, dict):
        return Skip("not an object")
    key = _key_of(element)
    own_id = key_id(key)
    error = element.get("error")
    if element.get("success") is False:
        text = error if isinstance(error, str) else "no reason given"
        return (
            DeliveryMoved(own_id, DeliveryState.FAILED, at, text)
            if own_id
            else Skip(f"not sent: {text}"[:500])
        )
    if key is None or own_id is None:
        return Skip("a message without key.id")
    content = content_of(unwrapped(element.get("message")), element.get("messageBody"))
    if content is None:  # says that it was sent, not what: a row made of this would be empty
        return DeliveryMoved(own_id, DeliveryState.SENT, at)
    return _row(own_id, key, True, content, timestamp(element.get("messageTimestamp"), at), element)


def reaction(element: Any, at: datetime) -> Found:
    """`messages.reaction`: `key` names the message reacted to, `reaction.key` the reaction itself."""
    target = _key_of(element)
    body = element.get("reaction") if isinstance(element, dict) else None
    target_id = key_id(target)
    if target is None or target_id is None or not isinstance(body, dict):
        return Skip("a reaction without key.id")
    own = body.get("key")
    own_id = key_id(own)
    from_me = False
    if isinstance(own, dict) and own_id is not None and own_id != target_id:
        # The chat is the target's; who reacted only the reaction's own key knows.
        key, from_me = (
            {**_present(own), "remoteJid": own.get("remoteJid") or target.get("remoteJid")},
            is_from_me(own),
        )
    else:
        # Only the target is named. Its `fromMe` says who wrote the message, not who reacted to it.
        key, own_id = target, None
    who = parties(key, from_me)
    if who is None:
        return Skip("a reaction without remoteJid")
    text = body.get("text")
    content = Content(kind="reactionMessage", type="reaction", text=text if isinstance(text, str) else "")
    at = timestamp(body.get("senderTimestampMs"), at)
    return _message_of(own_id or f"{target_id}:reaction:{who.address}", who, from_me, content, at, element)


def update(element: Any, at: datetime) -> Found:
    """`messages.update`: mostly a delivery state; sometimes an edit or a deletion."""
    if not isinstance(element, dict):
        return Skip("not an object")
    body = element.get("update")
    key = element.get("key")
    if key_id(key) is None and isinstance(body, dict):  # {"update": {"key": …, "update": {…}}}
        key, body = body.get("key"), body.get("update")
    own_id = key_id(key)
    if not isinstance(key, dict) or own_id is None or not isinstance(body, dict):
        return Skip("an update without key.id")
    if body.get("status") is not None:
        return _moved(own_id, key, _STATES.get(_word(body["status"])), at, body.get("error"))
    if _word(body.get("messageStubType")) in _STUB_REVOKE:
        return MessageDeleted(own_id, at)
    inner = unwrapped(body.get("message"))
    if isinstance(inner.get("protocolMessage"), dict):
        return _protocol(inner["protocolMessage"], at)
    content = content_of(inner, body.get("messageBody"))
    if content is not None and content.type not in ("unknown", "reaction"):
        return MessageEdited(own_id, content.text, at)
    return Skip("an update of something that is not shown")


def receipt(element: Any, at: datetime) -> Found:
    """`message-receipt.update`: one member of a group has got, or read, a message."""
    if not isinstance(element, dict):
        return Skip("not an object")
    key, body = element.get("key"), element.get("receipt")
    own_id = key_id(key)
    if not isinstance(key, dict) or own_id is None or not isinstance(body, dict):
        return Skip("a receipt without key.id")
    for name, state in (
        ("playedTimestamp", DeliveryState.READ),
        ("readTimestamp", DeliveryState.READ),
        ("receiptTimestamp", DeliveryState.DELIVERED),
    ):
        if body.get(name):
            return _moved(own_id, key, state, timestamp(body[name], at), None)
    return Skip("a receipt without a time")


def deletion(element: Any, at: datetime) -> Found:
    """`messages.delete`: the key of a message that is no more."""
    if isinstance(element, dict) and element.get("all") is True:
        return Skip("a whole chat was cleared on the phone")
    own_id = key_id(element) or key_id(element.get("key") if isinstance(element, dict) else None)
    return MessageDeleted(own_id, at) if own_id else Skip("a deletion without key.id")


# ------------------------------------------------------------------------------------------------ shared


def _row(
    own_id: str, key: dict[str, Any], from_me: bool, content: Content, at: datetime, raw: dict[str, Any]
) -> Found:
    who = parties(key, from_me)
    return (
        Skip("a message without remoteJid")
        if who is None
        else _message_of(own_id, who, from_me, content, at, raw)
    )


def _message_of(
    own_id: str, who: Parties, from_me: bool, content: Content, at: datetime, raw: dict[str, Any]
) -> MessageReceived | MessageSent:
    if from_me:
        return MessageSent(
            own_id, who.chat, who.address, content.type, content.text, at, content.media_url, raw
        )
    name = raw.get("pushName") or raw.get("verifiedBizName")
    return MessageReceived(
        key_id=own_id,
        chat=who.chat,
        from_phone=who.address,
        type=content.type,
        text=content.text,
        received_at=at,
        media_url=content.media_url,
        push_name=name if isinstance(name, str) else None,
        sender_lid=who.lid,
        raw=raw,
    )


def _protocol(protocol: dict[str, Any], at: datetime) -> Found:
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
        return MessageDeleted(target, at)
    content = content_of(unwrapped(edited))
    if content is None:
        return Skip("an edit without a text")
    return MessageEdited(target, content.text, timestamp(protocol.get("timestampMs"), at))


def _moved(own_id: str, key: dict[str, Any], state: DeliveryState | None, at: datetime, error: Any) -> Found:
    if state is None:
        return Skip("a delivery state that is not known")
    if key.get("fromMe") is not None and not is_from_me(key):
        return Skip("the state of an incoming message")
    return DeliveryMoved(own_id, state, at, error if isinstance(error, str) and error else None)


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

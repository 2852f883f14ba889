"""The people, chats, times and builders that the webhook samples are made of."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.domain.message import (
    Change,
    MessageReacted,
    MessageReceived,
    MessageSent,
    MessageType,
    Origin,
)

KEY = "5e55104a9f0c4b1e8d7a6b3c2f1e0d9c8b7a69584736251403f2e1d0c9b8a796"
"""A session API key, as it stands in clear in every webhook."""

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""The receiver's clock."""

SENT_S = 1_747_775_431
SENT_MS = SENT_S * 1000 + 467
AT = datetime.fromtimestamp(SENT_S, UTC)
AT_MS = datetime.fromtimestamp(SENT_MS / 1000, UTC)

ID = "3EB0C767D097B7C7A4F1"
TARGET = "3EB0AAAABBBBCCCCDDDD"
ANN = "628111222333"
ANN_JID = f"{ANN}@s.whatsapp.net"
ANN_LID = "198765432109876@lid"
BOB = "628999888777"
BOB_JID = f"{BOB}@s.whatsapp.net"
BOB_LID = "111222333444555@lid"
GROUP = "120363025246125486@g.us"
CHANNEL = "120363111222333444@newsletter"
STATUS = "status@broadcast"
CDN = "https://mmg.whatsapp.net/v/t62.7118-24/1.enc"

PRIVATE = {"id": ID, "fromMe": False, "remoteJid": ANN_JID}
MINE = {"id": ID, "fromMe": True, "remoteJid": ANN_JID}
IN_GROUP = {"id": ID, "fromMe": False, "remoteJid": GROUP}
HELLO = {"conversation": "Hello"}


@dataclass(frozen=True, slots=True)
class Sample:
    """`reason` is a part of the reason that must be given, None if there must be none."""

    name: str
    body: dict[str, Any]
    changes: tuple[Change, ...] = ()
    reason: str | None = None
    known: bool = True

    @property
    def event(self) -> str:
        return str(self.body["event"])


def envelope(event: str, data: Any, timestamp: Any = None) -> dict[str, Any]:
    body = {"event": event, "sessionId": KEY, "data": data}
    return body if timestamp is None else {**body, "timestamp": timestamp}


def message(key: dict[str, Any], content: Any = None, **fields: Any) -> dict[str, Any]:
    """A message as upstream writes it into `data.messages`."""
    return {
        "key": key,
        "messageTimestamp": SENT_S,
        "message": HELLO if content is None else content,
        **fields,
    }


def received(
    chat: str = ANN_JID,
    from_phone: str = ANN,
    kind: MessageType = "text",
    text: str | None = "Hello",
    **fields: Any,
) -> MessageReceived:
    defaults: dict[str, Any] = {"key_id": ID, "received_at": AT}
    return MessageReceived(chat=chat, from_phone=from_phone, type=kind, text=text, **{**defaults, **fields})


def sent(
    chat: str = ANN_JID,
    to_phone: str = ANN,
    kind: MessageType = "text",
    text: str | None = "Hello",
    **fields: Any,
) -> MessageSent:
    defaults: dict[str, Any] = {"key_id": ID, "sent_at": AT}
    return MessageSent(chat=chat, to_phone=to_phone, type=kind, text=text, **{**defaults, **fields})


BY_ANN = Origin(ANN_JID, ANN)
UNNAMED = Origin(ANN_JID, is_named=False)


def reacted(emoji: str, by: Origin = BY_ANN, at: datetime = AT) -> MessageReacted:
    return MessageReacted(TARGET, emoji, at, by)


def incoming(name: str, key: dict[str, Any], *changes: Change, content: Any = None, **fields: Any) -> Sample:
    return Sample(name, envelope("messages.received", {"messages": message(key, content, **fields)}), changes)


def says(name: str, content: Any, kind: MessageType, text: str | None, **fields: Any) -> Sample:
    return incoming(name, PRIVATE, received(kind=kind, text=text, **fields), content=content)


def silent(name: str, content: Any, reason: str, **fields: Any) -> Sample:
    return Sample(
        name, envelope("messages.upsert", {"messages": message(PRIVATE, content, **fields)}), (), reason
    )


def timed(name: str, stamp: Any, moment: datetime) -> Sample:
    body = {**message(PRIVATE), "messageTimestamp": stamp}
    return Sample(name, envelope("messages.received", {"messages": body}), (received(received_at=moment),))

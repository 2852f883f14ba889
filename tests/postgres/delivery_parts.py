"""Webhooks for the tests of what becomes of them in Postgres."""

from datetime import UTC, datetime
from typing import Any

from gateway.domain.message import Change, MessageReceived, MessageSent, Origin, Reading
from gateway.services.webhooks.batch import InboundWebhook

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
JID = "49151@s.whatsapp.net"
BY = Origin(JID, "49151")
"""The author of what has come."""


def delivery(*changes: Change, session_id: int = 12) -> InboundWebhook:
    return InboundWebhook(session_id, AT, {"n": 1}, Reading("messages.upsert", changes))


def received(key: str = "K", **more: Any) -> MessageReceived:
    wish = {"chat": JID, "from_phone": "49151", "type": "text", "text": "old", "received_at": AT, **more}
    return MessageReceived(key_id=key, **wish)


def sent(key: str = "K", **more: Any) -> MessageSent:
    return MessageSent(
        **{
            "key_id": key,
            "chat": JID,
            "to_phone": "49151",
            "type": "text",
            "text": "x",
            "sent_at": AT,
            **more,
        }
    )

"""One example of every frame, for people: they stand in /asyncapi.json."""

from typing import Any

_AT = "2026-11-23T10:00:00.123Z"
_LATER = "2026-11-23T10:00:45.123Z"
_EPOCH = "5b0f6b0e-6d8c-4c57-9f43-1d2a3b4c5d6e"
_POSITION = {"off": 184, "epoch": _EPOCH}
_TOP = {"off": 190, "epoch": _EPOCH}

_SESSION = {
    "id": 12,
    "name": "Shop",
    "phone_number": "+15550001111",
    "status": "connected",
    "account_protection": True,
    "log_messages": True,
    "webhook_url": None,
    "webhook_enabled": True,
    "webhook_events": ["messages.received", "session.status"],
    "api_key": "",
    "webhook_secret": "",
    "user_info": {"id": "15550001111", "name": "Shop"},
    "last_connected_at": _AT,
    "created_at": _AT,
    "updated_at": _AT,
    "checked_at": _AT,
    "source": "webhook",
    "stale": False,
    "webhook_state": "ok",
    "webhook_note": "Webhooks arrive here.",
    "version": 41,
}


def _state(part: str, event: str, data: dict[str, Any], expires_at: str | None = None) -> dict[str, Any]:
    return {
        "type": "state",
        "topic": "session:12",
        "session_id": 12,
        "part": part,
        "version": 41,
        "event": event,
        "at": _AT,
        "expires_at": expires_at,
        "data": data,
    }


_SESSION_STATE = _state("session", "session.status", _SESSION)

EXAMPLES: dict[str, dict[str, Any]] = {
    "SubscribeFrame": {"type": "subscribe", "ref": "1", "topic": "inbox:12", "after": _POSITION},
    "UnsubscribeFrame": {"type": "unsubscribe", "ref": "2", "topic": "inbox:12"},
    "PingFrame": {"type": "ping", "ref": "3"},
    "AuthFrame": {"type": "auth", "ref": "4", "token": "eyJhbGciOiJIUzI1NiJ9.…"},
    "SayPresenceFrame": {
        "type": "presence",
        "topic": "inbox:12",
        "chat": "15550002222@s.whatsapp.net",
        "doing": "typing",
    },
    "WelcomeFrame": {
        "type": "welcome",
        "connection": "5f1c02ab77d3",
        "heartbeat_s": 25,
        "version": "1.0.0",
        "protocol": 1,
        "features": ["presence"],
    },
    "SubscribedFrame": {"type": "subscribed", "ref": "1", "topic": "inbox:12", **_TOP},
    "SubscribedAllFrame": {"type": "subscribed", "ref": "1", "topic": "inbox:*", "tops": {"12": _TOP}},
    "SubscribedStateFrame": {
        "type": "subscribed",
        "ref": "1",
        "topic": "session:12",
        "state": [_SESSION_STATE],
    },
    "MarkEventFrame": {
        "type": "event",
        "topic": "inbox:12",
        "off": 186,
        "event": "conversation.updated",
        "at": _AT,
        "data": {
            "session_id": 12,
            "chat": "15550002222@s.whatsapp.net",
            "phone": "15550002222",
            "owner": "user:3",
            "owner_name": "Ann",
            "done_at": None,
            "marked_unread_at": None,
            "name": None,
            "blocked_at": None,
        },
    },
    "EventFrame": {
        "type": "event",
        "topic": "inbox:12",
        "off": 185,
        "event": "message.created",
        "at": _AT,
        "data": {
            "id": "512",
            "direction": "in",
            "ref": "in:512",
            "session_id": 12,
            "chat": "15550002222@s.whatsapp.net",
            "phone": "15550002222",
            "message_text": "Is it still available?",
            "message_type": "text",
            "received_at": _AT,
            "is_read": False,
        },
    },
    "ResetFrame": {"type": "reset", "topic": "inbox:12", "reason": "offset_expired", **_TOP},
    "SessionStateFrame": _SESSION_STATE,
    "SessionDeletedFrame": _state("session", "session.deleted", {"id": 12, "status": "gone"}),
    "CodeStateFrame": _state(
        "link",
        "session.qr",
        {
            "qr_code": "data:image/svg+xml;base64,PHN2Zy…",
            "qrCode": "2@Abc…",
            "seq": 3,
            "issued_at": _AT,
            "expires_at": _LATER,
            "attempt": 1,
            "max_attempts": 6,
            "scanned_at": None,
            "trouble": None,
        },
        _LATER,
    ),
    "LinkTroubleFrame": _state(
        "link",
        "session.link_trouble",
        {
            "trouble": {
                "code": "upstream_error",
                "message": "WasenderAPI answered 500.",
                "action": "retry",
                "retry_at": _LATER,
            },
            "scanned_at": None,
        },
    ),
    "LinkEndedFrame": _state("link", "session.link_ended", {"reason": "timeout", "error": None}, _LATER),
    "SendingFrame": _state(
        "sending",
        "session.sending",
        {"queued": 3, "next_at": _LATER, "paused_until": _LATER, "reason": "rate_limit"},
    ),
    "HeartbeatFrame": {"type": "heartbeat", "tops": {"inbox:12": 185}},
    "PresenceFrame": {
        "type": "presence",
        "topic": "inbox:12",
        "chat": "15550002222@s.whatsapp.net",
        "who": [{"sub": "user:2", "name": "Ali", "doing": "typing"}],
    },
    "StaleFrame": {"type": "stale", "since": _AT},
    "FreshFrame": {"type": "fresh"},
    "UnsubscribedFrame": {"type": "unsubscribed", "ref": "2", "topic": "inbox:12"},
    "PongFrame": {"type": "pong", "ref": "3"},
    "AuthenticatedFrame": {"type": "authenticated", "ref": "4"},
    "DrainFrame": {"type": "drain", "reconnect_after_ms": 1200},
    "ErrorFrame": {
        "type": "error",
        "ref": "1",
        "code": "unknown_topic",
        "message": "There is no topic 'inbux:12'.",
    },
}

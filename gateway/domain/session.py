"""Sessions: WhatsApp numbers linked through WasenderAPI, and the words for their state.

Upstream writes statuses in both cases (`NEED_SCAN` in connect replies, `need_scan` elsewhere) and adds new
ones without notice (`need_passkey` came in 2026). Its casing ends here; a word we do not know passes through.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, NewType

from gateway.domain.webhook_health import WebhookState

SessionId = NewType("SessionId", int)
"""WasenderAPI's integer id: the number in topics and URLs. The local primary key never leaves Postgres."""

UNASSIGNED = SessionId(0)
"""The inbox of rows that name no session."""

MAX_SESSION_ID = 2**63 - 1
"""The largest id that Postgres can hold."""


def session_number(text: str) -> int | None:
    """The id that the digits name; None for anything else. Every id that a row can have is one."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_SESSION_ID))):
        return None
    number = int(text)
    return number if number <= MAX_SESSION_ID else None


StatusSource = Literal["webhook", "poll", "probe", "api"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a status that we were told."""

    is_changed: bool
    is_old: bool
    """Something newer was known, so nothing was written."""
    row_version: int | None = None
    """Which version of the session's row came of it; None where nothing was changed."""


class SessionStatus(StrEnum):
    """The statuses we know. A status is kept as `str`, because others must pass through unharmed."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    NEED_SCAN = "need_scan"
    NEED_PASSKEY = "need_passkey"
    CONNECTED = "connected"
    LOGGED_OUT = "logged_out"
    EXPIRED = "expired"
    GONE = "gone"


MAX_STATUS = 50
"""What the shop's column holds."""

# Words other writers of the shop's table use for a status of ours.
_ALIASES = {"qr_ready": SessionStatus.NEED_SCAN, "": SessionStatus.DISCONNECTED}


def normalise_status(raw: object) -> str:
    """A status in our casing. Unknown words are kept (lower-case); None and empty mean disconnected."""
    word = str(raw if raw is not None else "").strip().lower()
    return str(_ALIASES.get(word, word))[:MAX_STATUS]


_TURNS: dict[str, tuple[str, str]] = {
    SessionStatus.DISCONNECTED: ("disconnected", "The session is disconnected."),
    SessionStatus.LOGGED_OUT: ("disconnected", "The session was unlinked on the phone."),
    SessionStatus.EXPIRED: ("disconnected", "The link has expired."),
    SessionStatus.CONNECTED: ("connected", "The phone is linked."),
    SessionStatus.GONE: ("session_gone", "WasenderAPI has no such session any more."),
}


def turn_to(status: str) -> tuple[str, str] | None:
    """Event and sentence of the audit log when a session comes to this status; None where it is not worth a row."""
    return _TURNS.get(status)


@dataclass(frozen=True, slots=True)
class UpstreamSession:
    """A session as WasenderAPI describes it. `None` means that the reply did not say."""

    id: SessionId
    name: str | None = None
    phone_number: str | None = None
    status: str | None = None
    account_protection: bool | None = None
    log_messages: bool | None = None
    webhook_url: str | None = None
    webhook_enabled: bool | None = None
    webhook_events: list[str] | None = None
    api_key: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields we have no column for (`read_incoming_messages`, `proxy_url`, whatever comes next)."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session as Postgres holds it. Never holds a secret: those are asked for by name."""

    id: SessionId
    name: str
    phone_number: str
    status: str
    account_protection: bool | None
    log_messages: bool | None
    webhook_url: str | None
    webhook_enabled: bool | None
    webhook_events: list[str] | None
    user_info: dict[str, Any] | None
    last_connected_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None
    checked_at: datetime | None
    source: StatusSource | None
    version: int
    webhook_state: WebhookState | None = None
    webhook_note: str | None = None
    is_doubtful: bool = False
    """A webhook without a time told the status, and upstream did not answer about it."""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionSecrets:
    """What the gateway needs to speak for a session, and no client may see."""

    id: SessionId
    api_key: str | None
    webhook_secret: str | None

    def __repr__(self) -> str:  # a secret in a traceback is a secret in a log
        return f"SessionSecrets(id={self.id})"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asked for something, for the audit log."""

    name: str
    sub: str

    def described(self) -> dict[str, Any]:
        """The actor as the audit log's metadata names it."""
        return {"actor": self.name, "sub": self.sub}


SYSTEM = Actor(name="gateway", sub="gateway")


@dataclass(frozen=True, slots=True)
class ConnectReply:
    """Upstream's answer to `connect`.

    `connected` here also means "is connecting right now": only `/status` or a webhook proves a link.
    """

    status: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class SendReply:
    """Upstream took a message over; it is not sent yet. `msg_id` is upstream's number, not WhatsApp's key id."""

    msg_id: int
    jid: str | None
    status: str


STALE_AFTER_S = 15 * 60
"""A status without confirmation for this many seconds is shown as "not sure"."""


def session_data(session: Session, now: datetime) -> dict[str, Any]:
    """What clients see of a session: WasenderAPI's field names, secrets as empty strings, and how fresh it is."""
    age_s = (now - session.checked_at).total_seconds() if session.checked_at else None
    return {
        **session.extra,
        "id": int(session.id),
        "name": session.name,
        "phone_number": session.phone_number,
        "status": session.status,
        "account_protection": session.account_protection,
        "log_messages": session.log_messages,
        "webhook_url": session.webhook_url,
        "webhook_enabled": session.webhook_enabled,
        "webhook_events": session.webhook_events,
        "api_key": "",
        "webhook_secret": "",
        "user_info": session.user_info,
        "last_connected_at": iso_utc(session.last_connected_at),
        "created_at": iso_utc(session.created_at),
        "updated_at": iso_utc(session.updated_at),
        "checked_at": iso_utc(session.checked_at),
        "source": session.source,
        "stale": session.is_doubtful or age_s is None or age_s > STALE_AFTER_S,
        "webhook_state": session.webhook_state,
        "webhook_note": session.webhook_note,
        "version": session.version,
    }


def iso_utc(moment: datetime | None) -> str | None:
    """`2026-11-23T10:00:00.123Z`, or None."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

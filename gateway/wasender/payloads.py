"""What WasenderAPI says about sessions, read leniently.

Its replies differ by endpoint and by year: of a session only `id` is certain, statuses come in both cases,
ids as numbers or strings, unknown fields are kept in `extra`.
"""

from datetime import UTC, datetime
from typing import Any

from gateway.domain.errors import UpstreamFailed
from gateway.domain.session import ConnectReply, SendReply, SessionId, UpstreamSession, normalise_status
from gateway.domain.session_settings import flag_of
from gateway.wasender.errors import scrub

_TEXTS = ("name", "phone_number", "webhook_url", "api_key", "webhook_secret")
_FLAGS = ("account_protection", "log_messages", "webhook_enabled")
_TIMES = ("created_at", "updated_at")
_KNOWN = frozenset({"id", "status", "webhook_events", *_TEXTS, *_FLAGS, *_TIMES})
_CODES = ("qrCode", "qr_code", "qrcode", "qr")

# ------------------------------------------------------------------------------------------------ replies


def session(value: Any) -> UpstreamSession:
    """A session object. Raises UpstreamFailed without a usable id; any other field may be missing or odd."""
    if not isinstance(value, dict):
        raise UpstreamFailed("WasenderAPI sent something that is not a session.")
    session_id = _integer(value.get("id"))
    if session_id is None or session_id <= 0:
        raise UpstreamFailed("WasenderAPI sent a session without a usable id.")
    texts = {name: _text(value.get(name)) for name in _TEXTS}
    secrets = [secret for secret in (texts["api_key"], texts["webhook_secret"]) if secret]
    return UpstreamSession(
        id=SessionId(session_id),
        status=_status(value.get("status")),
        webhook_events=_words(value.get("webhook_events")),
        extra={name: scrub(item, secrets) for name, item in value.items() if name not in _KNOWN},
        **texts,  # type: ignore[arg-type]
        **{name: flag_of(value.get(name)) for name in _FLAGS},  # type: ignore[arg-type]
        **{name: moment(value.get(name)) for name in _TIMES},  # type: ignore[arg-type]
    )


def page_of(body: Any, page: int) -> tuple[list[Any], bool]:
    """The items of one page of a list, and whether there are more; a plain list is its only page.

    Laravel's paginator comes in two forms: inside `data`, or around it with `meta` and `links`.
    """
    inner = body.get("data") if isinstance(body, dict) else body
    outer = inner if isinstance(inner, dict) else body
    items = inner.get("data") if isinstance(inner, dict) else inner
    if not isinstance(items, list):
        raise UpstreamFailed("WasenderAPI sent something that is not a list of sessions.")
    if not isinstance(outer, dict):
        return items, False
    meta, links = (part if isinstance(part, dict) else {} for part in (outer.get("meta"), outer.get("links")))
    last = _integer(outer.get("last_page", meta.get("last_page")))
    if last is not None:
        return items, page < last
    return items, bool(outer.get("next_page_url") or links.get("next"))


def connect_reply(data: Any) -> ConnectReply:
    """The answer to `connect`; the code may be missing while upstream's engine starts."""
    code = qr_code(data)
    status = _status(data.get("status")) if isinstance(data, dict) else None
    return ConnectReply(status=status or ("need_scan" if code else "connecting"), code=code)


def qr_code(data: Any) -> str | None:
    """The raw string to draw (`2@…`), or None while there is none."""
    if isinstance(data, str):
        return data or None
    if isinstance(data, dict):
        for name in _CODES:
            if isinstance(data.get(name), str) and data[name]:
                return str(data[name])
    return None


def status(body: Any) -> str:
    """The status of `{"status": …}` or `{"data": {"status": …}}`. Raises UpstreamFailed if there is none."""
    for part in (body, body.get("data")) if isinstance(body, dict) else ():
        word = _status(part.get("status")) if isinstance(part, dict) else None
        if word:
            return word
    raise UpstreamFailed("WasenderAPI answered without a status.")


def send_reply(data: Any) -> SendReply:
    """The receipt of a message that upstream took over. Raises UpstreamFailed if its number is missing."""
    msg_id = _integer(data.get("msgId")) if isinstance(data, dict) else None
    if msg_id is None:
        raise UpstreamFailed(
            "WasenderAPI took the message but gave it no number.", details={"reason": "no_msg_id"}
        )
    return SendReply(
        msg_id=msg_id, jid=_text(data.get("jid")), status=_status(data.get("status")) or "in_progress"
    )


def moment(value: Any) -> datetime | None:
    """An ISO time, or `YYYY-MM-DD HH:MM:SS` (taken as UTC); None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value.strip())
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _text(value: Any) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) else None


def _status(value: Any) -> str | None:
    return normalise_status(value) if isinstance(value, str) and value.strip() else None


def _integer(value: Any) -> int | None:
    if isinstance(value, str) and len(value) <= 19 and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _words(value: Any) -> list[str] | None:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None

"""What WasenderAPI says about sessions, read leniently; what may be said to it, checked strictly.

Its replies differ by endpoint and by year: of a session only `id` is certain, statuses come in both cases,
ids as numbers or strings, unknown fields are kept in `extra`. Sent fields are checked here, because upstream
ignores names it does not know: a misspelt one would silently do nothing.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from gateway.domain.errors import Invalid, UpstreamFailed
from gateway.domain.message import digits_of, mend_text
from gateway.domain.session import ConnectReply, SendReply, SessionId, UpstreamSession, normalise_status
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
        **{name: _flag(value.get(name)) for name in _FLAGS},  # type: ignore[arg-type]
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


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        value = value.strip().lower()
    # By equality, so that 1 and 1.0 count too; a list cannot be looked up in a dict.
    for word, meaning in (
        (True, True),
        (False, False),
        ("1", True),
        ("0", False),
        ("true", True),
        ("false", False),
    ):
        if value == word:
            return meaning
    return None


def _words(value: Any) -> list[str] | None:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None


# ------------------------------------------------------------------------------------------------ requests

READ_ONLY = frozenset(
    {
        "id", "status", "api_key", "webhook_secret", "created_at", "updated_at", "last_connected_at",
        "last_active_at", "user_id", "user_info", "session_data", "checked_at", "source", "stale", "version",
    }
)  # fmt: skip
"""Fields of the session object that cannot be set. Dropped, so that what was read can be sent back."""

_REQUIRED = ("name", "phone_number")
_DEFAULTS = {"account_protection": True, "log_messages": True}
"""Upstream requires both on create; these are the careful choices (slow sending, and logs one can read)."""


def session_fields(fields: Mapping[str, Any], *, partial: bool) -> dict[str, Any]:
    """What goes upstream for a create (`partial=False`) or an update. Raises Invalid, `details` by field.

    Field errors have upstream's own shape (name → sentences), so that a form shows both kinds alike.
    """
    errors: dict[str, list[str]] = {}
    wanted: dict[str, Any] = {} if partial else dict(_DEFAULTS)
    for name, value in fields.items():
        if name in READ_ONLY:
            continue
        check = _CHECKS.get(name)
        if check is None:
            errors[str(name)] = ["WasenderAPI has no such setting."]
            continue
        try:
            wanted[name] = check(value)
        except ValueError as error:
            errors[name] = [str(error)]
    for name in () if partial else _REQUIRED:
        if name not in wanted and name not in errors:
            errors[name] = ["This field is required."]
    if errors:
        raise Invalid(
            "These fields cannot be used: " + ", ".join(sorted(errors)) + ".", details={"errors": errors}
        )
    return wanted


def _name(value: Any) -> str:
    name = mend_text(value).strip() if isinstance(value, str) else ""
    if not 0 < len(name) <= 255:
        raise ValueError("Give it a name of 1 to 255 characters.")
    return name


def _phone_number(value: Any) -> str:
    digits = digits_of(value) if isinstance(value, str) and re.fullmatch(r"[+0-9 ().\-]+", value) else ""
    if not 7 <= len(digits) <= 15 or digits.startswith("0"):
        raise ValueError("Write the number in international form, for example +628123456789.")
    return "+" + digits


def _boolean(value: Any) -> bool:
    flag = _flag(value)
    if flag is None:
        raise ValueError("Use true or false.")
    return flag


def _url(schemes: tuple[str, ...]) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if value is None or value == "":
            return None
        try:
            parts = (
                urlsplit(value) if isinstance(value, str) and not re.search(r"[\s\x00-\x1f]", value) else None
            )
            fine = parts is not None and parts.scheme in schemes and bool(parts.hostname)
        except ValueError:  # a broken IPv6 host
            fine = False
        if not fine:
            raise ValueError(
                "Use an address that begins with " + " or ".join(f"{scheme}://" for scheme in schemes) + "."
            )
        return str(value)

    return check


def _event_names(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(
        isinstance(item, str) and 0 < len(item.strip()) <= 100 for item in value
    ):
        raise ValueError("Use a list of event names.")
    return list(dict.fromkeys(item.strip() for item in value))


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": _name,
    "phone_number": _phone_number,
    "account_protection": _boolean,
    "log_messages": _boolean,
    "webhook_url": _url(("https", "http")),
    "webhook_enabled": _boolean,
    "webhook_events": _event_names,
    "read_incoming_messages": _boolean,
    "auto_reject_calls": _boolean,
    "ignore_groups": _boolean,
    "ignore_channels": _boolean,
    "ignore_broadcasts": _boolean,
    "always_online": _boolean,
    "proxy_url": _url(("http", "https", "socks5")),
}

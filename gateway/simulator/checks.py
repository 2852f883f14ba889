"""Checks what a client sends, and words the refusals as upstream's framework does (422, errors per field)."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from gateway.simulator import identity
from gateway.simulator.contents import MEDIA_TYPES
from gateway.simulator.replies import Refusal, validation_refusal

TEXT_LIMIT = 4_096
_TRUE, _FALSE = (True, 1, "1"), (False, 0, "0")


class _Wrong(Exception):
    """The end of the sentence "The x field …"."""


def _boolean(value: Any) -> bool:
    if isinstance(value, bool | int | str):
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
    raise _Wrong("must be true or false.")


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong("must be a string.")
    if len(value) > 255:
        raise _Wrong("must not be greater than 255 characters.")
    return value


def _phone(value: Any) -> str:
    if not isinstance(value, str) or not identity.is_phone(value):
        raise _Wrong("format is invalid.")
    return "+" + identity.digits(value)


def _web_url(value: Any) -> str | None:
    if value is None or value == "":
        return None
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Wrong("must be a valid URL.")
    return str(value)


def _events(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _Wrong("must be an array of strings.")
    return value


def _proxy(value: Any) -> str | None:
    if value in (None, ""):
        return None
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https", "socks5") or not parts.hostname:
        raise _Wrong("must be a valid URL.")
    if "." not in parts.hostname or re.fullmatch(r"[0-9.]+", parts.hostname):
        raise _Wrong("must name a public domain.")
    return str(value)


_REQUIRED: dict[str, Callable[[Any], Any]] = {
    "name": _string,
    "phone_number": _phone,
    "account_protection": _boolean,
    "log_messages": _boolean,
}
_OPTIONAL: dict[str, Callable[[Any], Any]] = {
    "webhook_url": _web_url,
    "webhook_enabled": _boolean,
    "webhook_events": _events,
    "read_incoming_messages": _boolean,
}
OPTIONS: dict[str, Callable[[Any], Any]] = {
    "auto_reject_calls": _boolean,
    "ignore_groups": _boolean,
    "ignore_channels": _boolean,
    "ignore_broadcasts": _boolean,
    "always_online": _boolean,
    "proxy_url": _proxy,
}
"""Settings that are accepted and kept beside the session's own columns."""


def session_fields(body: dict[str, Any], *, partial: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a session, and its options. Unknown ones are ignored. Raises Refusal 422."""
    errors: dict[str, list[str]] = {}
    found: dict[str, Any] = {}
    for name, check in {**_REQUIRED, **_OPTIONAL, **OPTIONS}.items():
        label = name.replace("_", " ")
        missing = name not in body or (name in _REQUIRED and body[name] in (None, ""))
        if missing:
            if name in _REQUIRED and (name in body or not partial):
                errors[name] = [f"The {label} field is required."]
            continue
        try:
            found[name] = check(body[name])
        except _Wrong as wrong:
            errors[name] = [f"The {label} field {wrong}"]
    if errors:
        raise validation_refusal(errors)
    options = {name: found.pop(name) for name in OPTIONS if name in found}
    return found, options


def send_request(body: dict[str, Any]) -> dict[str, Any]:
    """A `/send-message` request that can be carried out. Raises Refusal 422."""
    errors = _recipient_errors(body.get("to")) | _content_errors(body) | _reference_errors(body)
    if errors:
        raise validation_refusal(errors)
    return body


def _recipient_errors(to: Any) -> dict[str, list[str]]:
    if to in (None, ""):
        return {"to": ["The to field is required."]}
    if not isinstance(to, str) or not (identity.is_phone(to) or identity.is_jid(to) or _is_username(to)):
        return {"to": ["The to field format is invalid."]}
    return {}


def _content_errors(body: dict[str, Any]) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    urls = [f"{kind}Url" for kind in MEDIA_TYPES]
    for name in urls:
        if body.get(name) and urlsplit(str(body[name])).scheme not in ("http", "https"):
            errors[name] = [f"The {name} field must be a valid URL."]
    for name in ("contact", "location", "poll"):
        if body.get(name) is not None and not isinstance(body[name], dict):
            errors[name] = [f"The {name} field must be an object."]
    words = body.get("text")
    if words in (None, "") and not any(body.get(name) for name in (*urls, "contact", "location", "poll")):
        errors["text"] = ["The text field is required when no media is present."]
    elif words is not None and not isinstance(words, str):
        errors["text"] = ["The text field must be a string."]
    elif words is not None and len(words) > TEXT_LIMIT:
        errors["text"] = [f"The text field must not be greater than {TEXT_LIMIT} characters."]
    return errors


def _reference_errors(body: dict[str, Any]) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    reply_to, mentions = body.get("replyTo"), body.get("mentions")
    if reply_to is not None and (isinstance(reply_to, bool) or not isinstance(reply_to, int)):
        errors["replyTo"] = ["The reply to field must be an integer."]
    if mentions is not None and not (isinstance(mentions, list) and all(map(_is_jid, mentions))):
        errors["mentions"] = ["The mentions field must be an array of JIDs."]
    return errors


def _is_jid(value: Any) -> bool:
    return isinstance(value, str) and identity.is_jid(value)


def _is_username(to: str) -> bool:
    return bool(re.fullmatch(r"@[A-Za-z0-9._]{3,30}", to))


def unknown_recipient() -> Refusal:
    """The number is not on WhatsApp."""
    return Refusal(
        422,
        {
            "success": False,
            "message": "JID does not exist on WhatsApp",
            "errors": {"to": ["The provided JID does not exist on WhatsApp."]},
        },
    )

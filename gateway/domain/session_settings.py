"""The settings of a session, as WasenderAPI takes them.

What is sent is checked here, because upstream ignores names that it does not know: a misspelt one would silently do
nothing. A check returns the value in upstream's form, or raises ValueError with the sentence for its field.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from gateway.domain.message import digits_of, mend_text

READ_ONLY = frozenset(
    {
        "id", "status", "api_key", "webhook_secret", "created_at", "updated_at", "last_connected_at",
        "last_active_at", "user_id", "user_info", "session_data", "checked_at", "source", "stale", "version",
    }
)  # fmt: skip
"""Fields of the session object that cannot be set. Dropped, so that what was read can be sent back."""

DEFAULTS = {"account_protection": True, "log_messages": True}
"""Upstream requires both on create; these are the careful choices (slow sending, and logs one can read)."""


def flag_of(value: Any) -> bool | None:
    """What WasenderAPI means by a value that stands for yes or no; None for any other."""
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


def name(value: object) -> str:
    """The name that people give the session."""
    text = mend_text(value).strip() if isinstance(value, str) else ""
    if not 0 < len(text) <= 255:
        raise ValueError("Give it a name of 1 to 255 characters.")
    return text


def phone_number(value: object) -> str:
    """The number in international form."""
    digits = digits_of(value) if isinstance(value, str) and re.fullmatch(r"[+0-9 ().\-]+", value) else ""
    if not 7 <= len(digits) <= 15 or digits.startswith("0"):
        raise ValueError("Write the number in international form, for example +628123456789.")
    return "+" + digits


def yes_or_no(value: object) -> bool:
    """Any of the words for it that upstream has."""
    flag = flag_of(value)
    if flag is None:
        raise ValueError("Use true or false.")
    return flag


def address(*schemes: str) -> Callable[[object], str | None]:
    """The check of an address that begins with one of these schemes; empty is none."""

    def check(value: object) -> str | None:
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


def event_names(value: object) -> list[str] | None:
    """Names of webhook events, each once."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(
        isinstance(item, str) and 0 < len(item.strip()) <= 100 for item in value
    ):
        raise ValueError("Use a list of event names.")
    return list(dict.fromkeys(item.strip() for item in value))

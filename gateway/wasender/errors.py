"""Upstream's refusals as errors of ours: the HTTP class decides first, then upstream's own words.

WasenderAPI documents few status codes. It writes its sentence under `message` (calls with a session key) or
`error` (calls with the account token), and in principle a 2xx may say `success: false`. What is found here is
never shown without `scrub`: an error text may repeat the request, and the request carries a token.
"""

import math
from collections.abc import Collection, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from gateway.domain.errors import (
    SessionNotFound,
    UpstreamError,
    UpstreamFailed,
    UpstreamInvalid,
    UpstreamLimit,
    UpstreamRateLimited,
    UpstreamUnauthorized,
)
from gateway.domain.message import mend_text

REDACTED = "[redacted]"
DEFAULT_RETRY_S = 5.0
"""Upstream's limit with account protection is one message per 5 s; used when a 429 names no time."""
_MAX_RETRY_S = 86_400.0  # daily limits exist; anything longer is not a time but a mistake
MAX_WINDOW_S = 60.0
"""The windows of upstream's documented limits are no longer, but for the daily ones."""
_MAX_SENTENCE = 300
RESTRICTION = "463"
"""WhatsApp's number for "no new chats": it decides what becomes of a queue, so it is kept with the sentence."""
_MAX_DEPTH = 100

_AUTH_WORDS = (
    "api key",
    "unauthenticated",
    "unnotarized",
    "unauthorized",
    "invalid token",
    "personal access token",
)
_PACE_WORDS = ("too many", "rate limit", "account protection", "message every")
_PLAN_WORDS = (
    "subscription",
    "upgrade your plan",
    "session limit",
    "limit reached",
    "free trial",
    "trial is required",
)
_MISSING_WORDS = ("session was not found", "session not found", "no query results")
_ROUTE_WORDS = ("route", "could not be found")


def upstream_error(
    status: int, headers: Mapping[str, str], body: Any, *, now_s: float, about_session: bool = True
) -> UpstreamError:
    """The error for an answer that is not a success.

    `body` is the parsed JSON, or None when there was none that could be read (HTML counts as none).
    `now_s` is unix time, for reset headers that are absolute. `about_session` says whether the path names
    one session: only then can a 404 mean that the session does not exist.
    """
    text = sentence(body)
    if 300 <= status < 400:
        return UpstreamFailed(
            f"WasenderAPI answered with a redirect ({status}), which is not followed, because the token would"
            " go with it. Check WASENDER_BASE_URL.",
            status=status,
            details={"location": _path(headers.get("Location"))},
        )
    match status:
        case 401:
            return _said(UpstreamUnauthorized, "WasenderAPI does not accept the token.", text, status)
        case 403 if body is not None:  # an HTML 403 is a firewall in between, not a limit of the plan
            return _said(UpstreamLimit, "WasenderAPI does not allow this for the account.", text, status)
        case 404:
            return _missing(body, text, about_session)
        case 422:
            return _invalid(body, text, status)
        case 429:
            return _paced(headers, body, text, status, now_s)
    if status >= 500 or body is None:
        return _said(
            UpstreamFailed,
            f"WasenderAPI has a fault of its own (HTTP {status})."
            if status >= 500
            else f"WasenderAPI sent an answer that is not JSON (HTTP {status}).",
            text,
            status,
            retry_after_s=_retry_header(headers, now_s),
        )
    return _by_words(status, headers, body, text, now_s)


def sentence(body: Any) -> str | None:
    """What upstream says is wrong: `message` or `error`, on one line."""
    if not isinstance(body, dict):
        return None
    for name in ("message", "error"):
        value = body.get(name)
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, str) and value.strip():
            text = " ".join(mend_text(value).split())
            text += _beside(body, text)
            return text if len(text) <= _MAX_SENTENCE else text[: _MAX_SENTENCE - 1] + "…"
    return None


def _beside(body: dict[str, Any], text: str) -> str:
    """WhatsApp's number of an error, which may stand beside the sentence."""
    inner = body["error"] if isinstance(body.get("error"), dict) else {}
    codes = [place.get(name) for place in (inner, body) for name in ("code", "error_code", "errorCode")]
    is_there = any(str(code) == RESTRICTION for code in codes) and RESTRICTION not in text
    return f" (error {RESTRICTION})" if is_there else ""


def scrub(value: Any, secrets: Collection[str], depth: int = 0) -> Any:
    """A JSON value in which every occurrence of a secret, in keys too, reads `[redacted]`. Never raises."""
    if depth > _MAX_DEPTH:
        return "[too deep]"
    if isinstance(value, str):
        # The longest first: a secret that begins like another one must not leave its tail behind.
        for secret in sorted(secrets, key=len, reverse=True):
            if secret and secret in value:
                value = value.replace(secret, REDACTED)
        return value
    if isinstance(value, list):
        return [scrub(item, secrets, depth + 1) for item in value]
    if isinstance(value, dict):
        return {
            scrub(key, secrets) if isinstance(key, str) else key: scrub(item, secrets, depth + 1)
            for key, item in value.items()
        }
    return value


def retry_after(headers: Mapping[str, str], body: Any, now_s: float) -> float:
    """Seconds to wait after a 429: the body's `retry_after`, then `Retry-After`, then `X-RateLimit-Reset`."""
    named = _seconds(body.get("retry_after")) if isinstance(body, dict) else None
    if named is None:
        named = _retry_header(headers, now_s)
    if named is None:
        named = _reset_header(headers, now_s)
    return min(named if named is not None else DEFAULT_RETRY_S, _MAX_RETRY_S)


def spent_for(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds until calls are counted anew, if this one was the last of its window; otherwise None."""
    if _seconds(headers.get("X-RateLimit-Remaining")) != 0:
        return None
    reset = _reset_header(headers, now_s)
    # A success names no daily limit, so what is longer than a minute is no pause but a misunderstanding.
    return reset if reset is not None and reset <= MAX_WINDOW_S else None


def _by_words(
    status: int, headers: Mapping[str, str], body: Any, text: str | None, now_s: float
) -> UpstreamError:
    """400, 402, 409 and the like, and `success: false` inside a 2xx."""
    words = (text or "").lower()
    if _has(words, _PACE_WORDS) or (isinstance(body, dict) and _seconds(body.get("retry_after")) is not None):
        return _paced(headers, body, text, status, now_s)
    if _has(words, _AUTH_WORDS):
        return _said(UpstreamUnauthorized, "WasenderAPI does not accept the token.", text, status)
    if status == 402 or _has(words, _PLAN_WORDS):
        return _said(UpstreamLimit, "WasenderAPI does not allow this for the account.", text, status)
    if _has(words, _MISSING_WORDS):
        return _said(SessionNotFound, "WasenderAPI has no such session.", text, status)
    if isinstance(body, dict) and body.get("errors"):
        return _invalid(body, text, status)
    # The session exists and the account is fine: connecting it, or waiting until it is connected, cures it.
    for reason, phrase in (("not_connected", "not connected"), ("not_initialized", "not initialized")):
        if phrase in words:
            ours = "WasenderAPI cannot do this in the session's present state."
            return _said(UpstreamFailed, ours, text, status, details={"reason": reason})
    return _said(UpstreamFailed, f"WasenderAPI refused the call (HTTP {status}).", text, status)


def _path(location: str | None) -> str | None:
    """The path of an address; neither host nor query, which may hold what is nobody's business."""
    try:
        return None if location is None else urlsplit(location).path[:_MAX_SENTENCE]
    except ValueError:
        return None


def _missing(body: Any, text: str | None, about_session: bool) -> UpstreamError:
    # A wrong base URL answers 404 to everything. Taking that for "this session is gone" would empty the list.
    wrong_path = not about_session or all(word in (text or "").lower() for word in _ROUTE_WORDS)
    if wrong_path or body is None:
        ours = "WasenderAPI does not know this path (HTTP 404). Check WASENDER_BASE_URL."
        return _said(UpstreamFailed, ours, text, 404)
    return _said(SessionNotFound, "WasenderAPI has no such session.", text, 404)


def _invalid(body: Any, text: str | None, status: int) -> UpstreamError:
    errors = body.get("errors") if isinstance(body, dict) else None
    details = {"errors": errors if isinstance(errors, dict) else {}}
    return _said(UpstreamInvalid, "WasenderAPI did not accept what was sent.", text, status, details=details)


def _paced(
    headers: Mapping[str, str], body: Any, text: str | None, status: int, now_s: float
) -> UpstreamError:
    wait = retry_after(headers, body, now_s)
    return _said(UpstreamRateLimited, "WasenderAPI asks for a pause.", text, status, retry_after_s=wait)


def _said(
    kind: type[UpstreamError],
    ours: str,
    theirs: str | None,
    status: int,
    *,
    retry_after_s: float | None = None,
    details: dict[str, Any] | None = None,
) -> UpstreamError:
    message = f"{ours} It says: {theirs}" if theirs else ours
    return kind(message, retry_after_s=retry_after_s, details=details, status=status)


def _has(words: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in words for phrase in phrases)


def _retry_header(headers: Mapping[str, str], now_s: float) -> float | None:
    """`Retry-After` in both forms of RFC 9110 §10.2.3: seconds, or a date."""
    value = headers.get("Retry-After")
    seconds = _seconds(value)
    if seconds is None and (at := _http_date(value)) is not None:
        return max(0.0, at - _upstream_now(headers, now_s))
    return seconds


def _reset_header(headers: Mapping[str, str], now_s: float) -> float | None:
    """`X-RateLimit-Reset`, which the docs call both unix time and seconds to go.

    Told apart by size. (The vendor's own client takes what is more than 5 s ahead of now for unix time, and so
    reads an end that is near as a wait of fifty years.)
    """
    reset = _seconds(headers.get("X-RateLimit-Reset"))
    if reset is None or reset <= _MAX_RETRY_S:
        return reset
    return max(0.0, reset - _upstream_now(headers, now_s))


def _upstream_now(headers: Mapping[str, str], now_s: float) -> float:
    """Upstream's clock if it names it: its times are to be read by that, however wrong ours is."""
    at = _http_date(headers.get("Date"))
    return now_s if at is None else at


def _http_date(value: str | None) -> float | None:
    try:
        at = parsedate_to_datetime(value or "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _seconds(value: object) -> float | None:
    """A finite, non-negative number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None

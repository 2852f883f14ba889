"""Is a session's webhook in order? One URL per session exists upstream, and any other tool may take it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

WebhookState = Literal["ok", "off", "elsewhere", "events_missing", "no_secret", "refused", "silent"]

WEBHOOK_PATH = "/api/whatsapp/webhook"

NEEDED_EVENTS = frozenset({"messages.received", "session.status", "qrcode.updated"})
"""Without these the gateway misses messages or is slow to notice; others are welcome, not needed."""

SILENT_AFTER_S = 120.0
"""A change of status that we found ourselves, and no webhook told of for so long, means that none comes."""

ALL_REFUSED = 2
"""So many refused webhooks in a row, and none that was taken, are no slip of a stranger's."""

SEEN_GRAIN_S = 60.0
"""When a webhook was last seen is written once a minute: one that came meanwhile may not be noted."""


@dataclass(frozen=True, slots=True)
class WebhookFacts:
    """What is known of a session's webhook. Times are unix seconds."""

    url: str | None
    is_enabled: bool | None
    events: Sequence[str] | None
    has_secret: bool
    seen_at: float | None
    missed_at: float | None
    refused: int = 0
    """Webhooks that were refused for their secret since one was taken."""


def is_ours(url: str | None, public_url: str) -> bool:
    """Whether webhooks sent to `url` arrive at the gateway known as `public_url`, by any of its paths."""
    base = public_url.rstrip("/") + WEBHOOK_PATH
    return url is not None and (url == base or url.startswith((base + "/", base + ".php")))


def judge_webhook(facts: WebhookFacts, public_url: str, now: float) -> tuple[WebhookState, str]:
    """The state, and a sentence that tells the operator what to do about it."""
    if not facts.is_enabled or not facts.url:
        return "off", "WasenderAPI sends no webhooks for this session. Repair it to receive messages."
    if not is_ours(facts.url, public_url):
        return (
            "elsewhere",
            "Another program has taken this session's webhook. Repair it to receive messages here.",
        )
    missing = sorted(NEEDED_EVENTS - set(facts.events or ()))
    if missing:
        return "events_missing", f"The webhook leaves out {', '.join(missing)}. Repair it."
    if not facts.has_secret:
        return (
            "no_secret",
            "The webhook has no secret, so its messages are refused. Make one in WasenderAPI, then repair.",
        )
    if facts.refused >= ALL_REFUSED:
        return (
            "refused",
            "Every webhook is refused: the session's secret changed upstream. Repair it to fetch the secret again.",
        )
    missed_at = facts.missed_at
    is_unheard = missed_at is not None and (facts.seen_at is None or facts.seen_at < missed_at - SEEN_GRAIN_S)
    if is_unheard and now - (missed_at or now) > SILENT_AFTER_S:
        return (
            "silent",
            "The status changed and no webhook came. Check that WasenderAPI can reach the gateway.",
        )
    return "ok", "Webhooks arrive here."

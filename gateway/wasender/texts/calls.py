"""Calls in words: those that are messages, and the stubs that WhatsApp leaves for missed ones."""

from typing import Any

from gateway.wasender.texts.lines import flag, joined, moment, on_one_line
from gateway.wasender.values import number, text_at, under

_LOG_OUTCOMES = {
    "0": "{kind}", "connected": "{kind}",
    "1": "Missed {kind}", "missed": "Missed {kind}",
    "2": "Failed {kind}", "failed": "Failed {kind}",
    "3": "Declined {kind}", "rejected": "Declined {kind}",
    "4": "{kind}, answered on another device", "accepted_elsewhere": "{kind}, answered on another device",
    "5": "{kind}, still going on", "ongoing": "{kind}, still going on",
    "6": "Missed {kind}", "silenced_by_dnd": "Missed {kind}",
    "7": "Missed {kind}", "silenced_unknown_caller": "Missed {kind}",
}  # fmt: skip

MISSED_STUBS = {
    "40": "Missed voice call", "call_missed_voice": "Missed voice call",
    "41": "Missed video call", "call_missed_video": "Missed video call",
    "45": "Missed group voice call", "call_missed_group_voice": "Missed group voice call",
    "46": "Missed group video call", "call_missed_group_video": "Missed group video call",
    "169": "Missed voice call", "silenced_unknown_caller_audio": "Missed voice call",
    "170": "Missed video call", "silenced_unknown_caller_video": "Missed video call",
}  # fmt: skip
"""WhatsApp's notices of missed calls, by number and by name."""


def kind_of_call(is_video: bool, is_group: bool = False) -> str:
    return (
        on_one_line("group" if is_group else None, "video call" if is_video else "voice call", by=" ") or ""
    )


def call_log(part: Any) -> str:
    """What became of a call, and how long it was."""
    kind = kind_of_call(flag(part, "isVideo"))
    outcome = str(under(part, "callOutcome")).strip().lower()
    words = _LOG_OUTCOMES.get(outcome, "{kind}").format(kind=kind)
    return on_one_line(words[:1].upper() + words[1:], _duration(under(part, "durationSecs"))) or words


def planned_call(part: Any) -> str | None:
    """What is planned, and for when."""
    is_video = str(under(part, "callType")).strip().lower() in ("2", "video")
    kind = "Planned video call" if is_video else "Planned voice call"
    return joined(
        on_one_line(kind, text_at(part, "title"), by=": "), moment(under(part, "scheduledTimestampMs"))
    )


def planned_call_changed(part: Any) -> str:
    cancelled = str(under(part, "editType")).strip().lower() in ("1", "cancel")
    return "The planned call was cancelled" if cancelled else "The planned call was changed"


def business_call(part: Any) -> str | None:
    return joined("Call", text_at(part, "caption"))


def call(part: Any) -> str | None:
    """A call that is offered; its reason, where the caller gave one."""
    return joined("Call", text_at(part, "callReason"))


def _duration(value: Any) -> str | None:
    seconds = number(value)
    if seconds is None or not 0 < seconds < 1e7:
        return None
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

"""Webhooks out: what a target is sent, where it may be, and what follows the answer to a delivery.

An event that a target does not take holds the later events of its chat, and is tried again until a day has passed since
its first failure. A target that cannot be reached at all holds everything that is meant for it: one event finds out
when it is back. What waits is never given up before it has been tried.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from gateway.domain.backoff import Backoff
from gateway.domain.errors import Invalid
from gateway.domain.lines import one_line
from gateway.domain.message import MARKS_TABLE, mark_data, read_message, utc_text
from gateway.domain.networks import Network, is_public, is_within
from gateway.domain.streams import ALERTS_TABLE, SESSIONS_INBOX, Event, event_name

Mode = Literal["standard", "raw"]

RESET = "inbox.reset"
"""Says that the history of an inbox was made anew, or that the target is too late for it: load it again."""

SESSION_STATUS = "session.status"
ALERT_OPENED, ALERT_ENDED = "alert.opened", "alert.ended"
"""An operator has to know something of a session; it is over."""

EVENTS = (
    "message.created",
    "message.updated",
    "message.status",
    "message.deleted",
    "conversation.updated",
    SESSION_STATUS,
    ALERT_OPENED,
    ALERT_ENDED,
    RESET,
)
"""What a target can be sent. A reset comes whatever it has chosen."""

HELD_S = 24 * 3600.0
"""How long an event that fails holds its chat."""

BACKOFF = Backoff(first_s=2.0, most_s=600.0)
MOST_ASKED_S = 3600.0
"""A receiver that asks for a longer wait than this is asked again earlier."""

_UNAUTHORIZED = 401
_GONE = 410
_AWAY = frozenset({429, 502, 503, 504})
"""Answers that say nothing of the event: the receiver takes none at the moment."""

_MAX_URL = 2000
_MAX_REASON = 300


# ------------------------------------------------------------------------------------------ answers


@dataclass(frozen=True, slots=True)
class Tries:
    """What became of an event so far: how often it failed, and when first (unix seconds)."""

    failures: int = 0
    first_failed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said to one delivery: None where it said nothing, 0 where the event could not be sent."""

    status: int | None
    reason: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It is to be tried again; until then it holds its chat, or all that is meant for the target."""

    wait_s: float
    holds: Literal["chat", "target"]
    tries: Tries


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """It is given up, and its chat goes on."""

    tries: Tries


@dataclass(frozen=True, slots=True)
class Pause:
    """The target takes nothing more until an admin has looked; the event waits as it was."""

    reason: str


Outcome = Delivered | TryAgain | DeadLetter | Pause


def follow(answer: Answer, tries: Tries, now: float, roll: float = 1.0) -> Outcome:
    """What follows an answer. `tries` is what was before it; 0 ≤ `roll` ≤ 1."""
    status = answer.status
    if status is not None and 200 <= status < 300:
        return Delivered()
    if status == _UNAUTHORIZED:
        return Pause(
            "The receiver answers 401: it does not accept our signature. Give it the secret, then resume."
        )
    if status == _GONE:
        return Pause(
            "The receiver answers 410: it wants no more webhooks. Change the address, or delete the target."
        )
    first = now if tries.first_failed_at is None else tries.first_failed_at
    after = Tries(tries.failures + 1, first)
    left_s = first + HELD_S - now
    if left_s <= 0:
        return DeadLetter(after)
    wait_s = max(BACKOFF.pause_s(after.failures, roll), min(answer.retry_after_s or 0.0, MOST_ASKED_S))
    # The last try is made when the day is over, not minutes later.
    return TryAgain(min(wait_s, left_s), "target" if status is None or status in _AWAY else "chat", after)


def told(answer: Answer) -> str:
    """The answer in words, for the list of deliveries."""
    said = one_line(answer.reason.strip())[:_MAX_REASON]
    if not answer.status:
        return said or "no answer"
    return f"{answer.status} {said}".rstrip()


# ------------------------------------------------------------------------------------------ what is sent


def is_wanted(event: str, inbox: int, sessions: Sequence[int] | None, events: Sequence[str] | None) -> bool:
    """Whether a target of these sessions and events (None: all) is sent it."""
    return (sessions is None or inbox in sessions) and (event == RESET or events is None or event in events)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event as targets know it."""

    event: str
    session_id: int
    chat: str
    """What it is ordered by, within its session; empty for what concerns the session itself."""


def outgoing(event: Event) -> Outgoing | None:
    """What targets are told of a committed change; None where it is nothing to them."""
    row = event.record or event.row_before or event.old
    if event.inbox == SESSIONS_INBOX:
        number = row.get("wasender_session_id")
        if event.table == ALERTS_TABLE:
            name = ALERT_OPENED if event.operation == "INSERT" else ALERT_ENDED
            return Outgoing(name, number, "") if isinstance(number, int) else None
        changed = event.old.get("changed")
        is_news = event.operation == "INSERT" or (event.operation == "UPDATE" and "status" in (changed or ()))
        return Outgoing(SESSION_STATUS, number, "") if is_news and isinstance(number, int) else None
    if event.inbox < 0:
        return None
    name = "conversation.updated" if event.table == MARKS_TABLE else event_name(event)
    chat = row.get("chat") or event.old.get("chat")
    return Outgoing(name, int(event.inbox), chat if isinstance(chat, str) else "")


def event_data(event: Event, zone: tzinfo) -> dict[str, Any]:
    """The row of a change as clients see it."""
    if event.inbox == SESSIONS_INBOX:
        record = event.record or {}
        if event.table == ALERTS_TABLE:
            told = {name: record.get(name) for name in ("id", "kind", "note", "opened_at", "ended_at")}
            return {"session_id": record.get("wasender_session_id"), **told}
        named = {name: record.get(name) for name in ("name", "phone_number", "status")}
        return {"session_id": record.get("wasender_session_id"), **named}
    if event.table == MARKS_TABLE:
        return {**mark_data(event.record or event.old), "session_id": int(event.inbox)}
    if event.record is not None:
        return read_message(event.table, event.record, zone)[0]
    key = {name: value for name, value in event.old.items() if name != "changed"}
    return {**read_message(event.table, key, zone)[0], "session_id": int(event.inbox)}


def payload_of(event: Event, name: str, zone: tzinfo) -> dict[str, Any]:
    """The body of a webhook out, as Standard Webhooks names its parts."""
    return {
        "type": name,
        "timestamp": utc_text(event.at, zone),
        "session_id": session_of(event),
        "off": event.off,
        "data": event_data(event, zone),
    }


def session_of(event: Event) -> int:
    """The session that an event is of."""
    found = outgoing(event) if event.inbox == SESSIONS_INBOX else None
    return int(event.inbox) if found is None else found.session_id


def reset_payload(session_id: int, off: int, at: str) -> dict[str, Any]:
    """The body that says that an inbox has to be loaded again."""
    return {
        "type": RESET,
        "timestamp": at,
        "session_id": session_id,
        "off": off,
        "data": {"session_id": session_id},
    }


def message_id(inbox: int, epoch: str, off: int, event: str, *, is_raw: bool = False) -> str:
    """The id of a webhook out: the same for every try, and for every target."""
    if is_raw:
        return f"raw_{epoch.replace('-', '')}"
    kind = "rst" if event == RESET else "evt"
    return f"{kind}_{'s' if inbox < 0 else inbox}_{epoch.replace('-', '')}_{off}"


# ------------------------------------------------------------------------------------------ where it may be


def check_url(url: str, networks: Sequence[Network]) -> str:
    """The address of a target. Raises Invalid for one that may not be reached.

    Names are looked at again when they have been resolved: an address that is written as a number is looked at here,
    since it is not resolved.
    """
    parts = _split(url)
    if parts is None or not parts.hostname:
        raise Invalid(
            "`url` must be an address like https://shop.example/webhooks, without a user name.", details=_URL
        )
    host = parts.hostname
    if _is_number(host) and not is_reachable(host, networks, is_plain=parts.scheme == "http"):
        raise Invalid(
            f"`url` names {host}, which is no address of the internet. List its network in GATEWAY_TARGET_NETWORKS.",
            details=_URL,
        )
    if parts.scheme == "http" and not networks:
        raise Invalid(
            "`url` must begin with https://. Plain http is for networks that GATEWAY_TARGET_NETWORKS lists.",
            details=_URL,
        )
    return url


_URL = {"field": "url"}


def is_reachable(address: str, networks: Sequence[Network], *, is_plain: bool = False) -> bool:
    """Whether a delivery may go to an IP address: of the internet by https alone, else of a network that is listed."""
    return is_within(address, networks) or (not is_plain and is_public(address))


def _split(url: str) -> SplitResult | None:
    """The parts of an address; None for user names, other schemes and what is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    is_fit = parts.scheme in ("http", "https") and "@" not in parts.netloc and len(url) <= _MAX_URL
    return (
        parts
        if is_fit and "\\" not in url and url.isprintable() and " " not in url and not parts.fragment
        else None
    )


def _is_number(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


# ------------------------------------------------------------------------------------------ cursors


Cursor = Mapping[str, Mapping[str, Any]]
"""How far a target has been told of each inbox: `{"12": {"off": 184, "epoch": "…"}}`, as positions are."""


RAW = "raw"
"""What the place of a target in raw mode stands under in its cursor."""

_RAW_EVENT = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*")
_MAX_EVENTS = 100
_MAX_EVENT = 100


def read_events(value: object, mode: Mode) -> tuple[str, ...] | None:
    """The events of a target of this mode; None for all. Raises Invalid."""
    if value == "*":
        return None
    chosen = value if isinstance(value, list | tuple) else []
    if 0 < len(chosen) <= _MAX_EVENTS and all(
        isinstance(item, str) and _is_event(item, mode) for item in chosen
    ):
        return tuple(dict.fromkeys(chosen))
    names = "WasenderAPI's names, such as messages.received" if mode == "raw" else ", ".join(EVENTS)
    raise Invalid(f'`events` must be "*", or a list of: {names}.', details={"field": "events"})


def _is_event(name: str, mode: Mode) -> bool:
    return bool(_RAW_EVENT.fullmatch(name)) and len(name) <= _MAX_EVENT if mode == "raw" else name in EVENTS


def wants_raw(
    event: str, session_id: int, sessions: Sequence[int] | None, events: Sequence[str] | None
) -> bool:
    """Whether a target in raw mode of these sessions and events (None: all) is sent a webhook."""
    return (sessions is None or session_id in sessions) and (events is None or event in events)

"""`poll.results`: how often each option of a poll was chosen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gateway.domain.message import PollCounted
from gateway.wasender.message_events import Found, Skip
from gateway.wasender.message_identity import is_from_me, key_id, parties
from gateway.wasender.values import objects, present, text_at, whole

MAX_OPTIONS = 100
"""WhatsApp's own limit is 12."""

VOTERS = "who voted stands in this webhook only"


def results(element: Any, at: datetime, now: datetime) -> Sequence[Found]:
    """The votes, and why the webhook is kept: the row of a poll counts its voters, and names none."""
    element = present(element) if isinstance(element, dict) else {}
    key = present(element.get("key") or {}) if isinstance(element.get("key"), dict) else {}
    own_id = key_id(key)
    options: Any = next(
        (element[name] for name in _RESULTS if isinstance(element.get(name), list | dict)), []
    )
    votes = [found for option in objects(options)[:MAX_OPTIONS] if (found := _votes(option)) is not None]
    if own_id is None or not votes:
        return [Skip("results of a poll that name no poll, or no option")]
    who = parties(key, is_from_me(key))
    return [PollCounted(own_id, None if who is None else who.chat, tuple(votes), at), Skip(VOTERS)]


_RESULTS = ("pollResult", "pollResults", "results", "votes")


def _votes(option: dict[str, Any]) -> tuple[str, int] | None:
    label = text_at(option, "name", "optionName")
    voters = option.get("voters")
    count = (
        len(voters) if isinstance(voters, list) else whole(option.get("votes") or option.get("count")) or 0
    )
    return None if label is None else (label.strip(), max(0, count))

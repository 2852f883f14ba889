"""Which webhooks of a session keep their order: each has ordering keys, and follows what is held under one of them.

A webhook that is held because Postgres is away holds the whole session. One that is held because another transaction
has a row holds only what is said about the same message: a foreign lock delays no other message.
"""

from typing import Literal

from gateway.domain.message import Change, CodeReported, PeopleTold, Reading, SendRefused, StatusReported

Cause = Literal["away", "table", "row"]
"""Why a webhook cannot be committed: Postgres is away, a table is locked, or a row is."""

ALL = "*"
MESSAGES = "*messages"
SESSION = "*session"
PEOPLE = "*people"
"""Ordering keys with a name; the others are key ids of messages, behind `=`."""


def ordering_keys_of(reading: Reading) -> frozenset[str]:
    """All ordering keys of a webhook."""
    return frozenset({ALL}) | _kinds(reading) | _subjects(reading)


def held_keys(reading: Reading, cause: Cause) -> frozenset[str]:
    """The ordering keys under which later webhooks of the session must stay behind this one."""
    if cause == "row":
        return _subjects(reading)
    return frozenset({ALL}) if cause == "away" else _kinds(reading) or frozenset({ALL})


def _kinds(reading: Reading) -> frozenset[str]:
    return frozenset(
        SESSION if isinstance(change, StatusReported | CodeReported) else MESSAGES
        for change in reading.changes
    )


def _subjects(reading: Reading) -> frozenset[str]:
    return frozenset(_subject(change) for change in reading.changes)


def _subject(change: Change) -> str:
    match change:
        case StatusReported() | CodeReported():
            return SESSION
        case PeopleTold():
            return PEOPLE
        case SendRefused():
            return MESSAGES
        case _:
            return f"={change.key_id}"

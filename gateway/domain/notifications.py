"""What a bell says: the numbers of the inboxes or sessions that moved, or `*` for "look at all of them"."""

import re

# Any role may NOTIFY. A number that bigint cannot hold would be refused by every later read.
_NUMBERS = re.compile(r"-?[0-9]{1,18}(,-?[0-9]{1,18})*")


def inboxes_of(payload: str) -> list[int] | None:
    """The inboxes a bell names; None for `*`, and for whatever else somebody may have rung with."""
    return [int(name) for name in payload.split(",")] if _NUMBERS.fullmatch(payload) else None


def sessions_of(payload: str) -> list[int] | None:
    """The same for sessions, whose numbers have no sign."""
    return None if "-" in payload else inboxes_of(payload)

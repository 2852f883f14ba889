"""What a notification says: the numbers of the inboxes or sessions that moved, or `*` for all of them."""

import re

# Any role may NOTIFY. A number that bigint cannot hold would be refused by every later read.
_NUMBERS = re.compile(r"-?[0-9]{1,18}(,-?[0-9]{1,18})*")


def inboxes_of(payload: str) -> list[int] | None:
    """The inboxes that a notification names; None for `*`, and for a payload that is no list of numbers."""
    return [int(name) for name in payload.split(",")] if _NUMBERS.fullmatch(payload) else None


def sessions_of(payload: str) -> list[int] | None:
    """The same for sessions, whose numbers have no sign."""
    return None if "-" in payload else inboxes_of(payload)

"""What a notification says: the numbers of the inboxes or sessions that moved, or `*` for all of them."""

import re

# Any role may NOTIFY. A number that bigint cannot hold would be refused by every later read.
UNNUMBERED = "unnumbered"
"""A payload that names no inbox: a transaction has left changes to be numbered."""

_NUMBERS = re.compile(r"-?[0-9]{1,19}(,-?[0-9]{1,19})*")


def inboxes_of(payload: str) -> list[int] | None:
    """The inboxes that a notification names; None for `*`, and for a payload that is no list of numbers."""
    if not _NUMBERS.fullmatch(payload):
        return None
    numbers = [int(name) for name in payload.split(",")]
    return numbers if all(-(2**63) <= number < 2**63 for number in numbers) else None


def is_known_to_writer(payload: str) -> bool:
    """Whether its writer knows what it is about: it names one inbox, with a zero before it."""
    return payload[:1] == "0" and len(payload) > 1


def sessions_of(payload: str) -> list[int] | None:
    """The same for sessions, whose numbers have no sign."""
    return None if "-" in payload else inboxes_of(payload)

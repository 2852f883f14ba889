"""What webhooks and the phone's address book tell of people, as `gateway.tell_people_v1` takes it."""

from collections.abc import Sequence
from typing import Any

import orjson

from gateway.domain.people import Contact, ContactFact, LidResolved, Member, MembersChanged

Row = tuple[Any, ...]


def people_columns(told: Sequence[tuple[int, Sequence[ContactFact]]]) -> list[list[Any]]:
    """The columns of facts, each with the session whose phone told them."""
    rows = [
        row for session_id, facts in told for fact in facts if (row := _row(session_id, fact)) is not None
    ]
    return [[row[place] for row in rows] for place in range(10)]


def _row(session_id: int, fact: ContactFact) -> Row | None:
    match fact:
        case LidResolved():
            return (session_id, None, None, fact.lid, fact.phone, None, None, None, "[]", False)
        case Contact():
            members = None if fact.members is None else _ranks(fact.members)
            person = (fact.lid, fact.phone, fact.name, fact.push_name)
            return (session_id, fact.jid, fact.kind, *person, members, "[]", False)
        case MembersChanged():
            return _changed(session_id, fact)


def _changed(session_id: int, fact: MembersChanged) -> Row | None:
    group = (session_id, fact.group, "group", None, None, None, None)
    match fact.action:
        case "set":
            return (*group, _ranks(fact.members), "[]", False)
        case "remove":
            return (*group, {}, orjson.dumps(list(_ranks(fact.members))).decode(), True)
        case "promote" | "demote":
            rank = "admin" if fact.action == "promote" else None
            return (*group, dict.fromkeys(_ranks(fact.members), rank), "[]", True)
        case "add":
            return (*group, _ranks(fact.members), "[]", True)
        case _:
            return None


def _ranks(members: Sequence[Member]) -> dict[str, str | None]:
    """Rank by every address of each member."""
    ranks: dict[str, str | None] = {}
    for member in members:
        rank = "superadmin" if member.is_owner else "admin" if member.is_admin else None
        ranks |= dict.fromkeys(filter(None, (member.jid, member.lid)), rank)
    return ranks

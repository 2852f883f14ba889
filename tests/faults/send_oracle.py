"""What sends must have come to: the tables against upstream's own list of what it accepted."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

REACHED = frozenset({"sent", "delivered", "read", "played"})
GONE = frozenset({"failed", "cancelled"})
ENDS = REACHED | GONE | {"accepted", "unknown"}


@dataclass(frozen=True, slots=True)
class Taken:
    """One send that upstream has accepted."""

    msg_id: int
    key_id: str
    session: int
    phone: str
    text: str
    failed: bool
    """It failed on the way to WhatsApp, and upstream said so."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Taken":
        """As the simulator lists it."""
        phone = str(row["jid"]).partition("@")[0]
        return cls(
            int(row["msgId"]),
            str(row["key_id"]),
            int(row["session"]),
            phone,
            str(row["text"]),
            row["state"] == 0,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the outgoing table."""

    number: int
    """Its place in the order of the queue."""
    client_id: str
    session: int
    phone: str
    text: str
    status: str
    msg_id: int | None
    key_id: str | None
    is_in_order: bool
    """It was neither scheduled, nor tried again by a person, nor ever unknown: its place in the chat is fixed."""


def complaints(
    rows: Sequence[Row], taken: Sequence[Taken], acknowledged: Collection[str], retries: Mapping[str, int]
) -> list[str]:
    """What is wrong. `retries`: how often a person began another attempt of a row, by `client_id`."""
    found = [f"at rest it is {row.status}: {row}" for row in rows if row.status not in ENDS]
    counted = Counter(row.client_id for row in rows)
    found += [f"{client_id} stands there {n} times" for client_id, n in counted.items() if n > 1]
    found += [f"acknowledged, and no row: {one}" for one in acknowledged if one not in counted]
    return found + _by_content(rows, taken, retries) + _by_name(rows, taken) + _order(rows, taken)


def _by_content(rows: Sequence[Row], taken: Sequence[Taken], retries: Mapping[str, int]) -> list[str]:
    """Rows and sends that look alike are compared by their number."""
    found = []
    mine: defaultdict[tuple[int, str, str], list[Row]] = defaultdict(list)
    theirs: defaultdict[tuple[int, str, str], list[Taken]] = defaultdict(list)
    for row in rows:
        mine[row.session, row.phone, row.text].append(row)
    for one in taken:
        theirs[one.session, one.phone, one.text].append(one)
    for look in mine.keys() | theirs.keys():
        alike = mine[look]
        reached = sum(not one.failed for one in theirs[look])
        attempts = len(alike) + sum(retries.get(row.client_id, 0) for row in alike)
        if len(theirs[look]) > attempts:
            found.append(f"DOUBLE {look}: upstream took {len(theirs[look])} for {attempts} attempts")
        if reached > (may := sum(row.status not in GONE for row in alike)):
            found.append(f"FAILED, and it reached WhatsApp {look}: {reached} reached it, {may} may have")
        if reached < (must := sum(row.status in REACHED for row in alike)):
            found.append(f"SENT, and it was not {look}: {reached} reached WhatsApp, {must} say so")
    return found


def _by_name(rows: Sequence[Row], taken: Sequence[Taken]) -> list[str]:
    """What a row knows of upstream's number and WhatsApp's key is true, and no other row's."""
    found = []
    by_key = {one.key_id: one for one in taken}
    by_number = {one.msg_id: one for one in taken}
    for row in rows:
        for one in (row.key_id and by_key.get(row.key_id), row.msg_id and by_number.get(row.msg_id)):
            if one and (one.session, one.phone, one.text) != (row.session, row.phone, row.text):
                found.append(f"another message's name: {row}, {one}")
        if row.key_id and row.key_id not in by_key:
            found.append(f"a key of no send: {row}")
        if row.status in REACHED and row.key_id is None:
            found.append(f"sent, without a key: {row}")
        if row.status == "accepted" and row.msg_id not in by_number:
            found.append(f"accepted, and upstream knows nothing of it: {row}")
    for name in ("key_id", "msg_id"):
        twice = Counter(getattr(row, name) for row in rows if getattr(row, name) is not None)
        found += [f"{name} {value} has {n} rows" for value, n in twice.items() if n > 1]
    return found


def _order(rows: Sequence[Row], taken: Sequence[Taken]) -> list[str]:
    """Within a chat upstream took them in the order of the queue."""
    chats: defaultdict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        if row.is_in_order and row.msg_id is not None:
            chats[row.session, row.phone].append((row.number, row.msg_id))
    return [
        f"not in order in chat {chat}: {sorted(places)}"
        for chat, places in chats.items()
        if [number for _, number in sorted(places)] != sorted(number for _, number in places)
    ]

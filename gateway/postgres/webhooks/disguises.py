"""LIDs that upstream writes like phone numbers: `<digits>@s.whatsapp.net` where the digits are those of a known LID.

A batch without a number as long as a LID asks Postgres for nothing.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import asyncpg

from gateway.domain.contacts import MIN_LID_DIGITS, LidResolved
from gateway.domain.message import (
    LID_SERVER,
    PHONE_SERVER,
    CallEnded,
    Change,
    DeliveryMoved,
    MessageDeleted,
    MessageEdited,
    MessageReacted,
    MessageReceived,
    MessageSent,
    Origin,
    PeopleTold,
    PollCounted,
)
from gateway.services.webhooks.batch import InboundWebhook

_LIKE_A_LID = re.compile(rf"([0-9]{{{MIN_LID_DIGITS},}})(?:@{re.escape(PHONE_SERVER)})?")

# The number of a known LID is a person's own, whatever other LID has the same digits.
_KNOWN = """
SELECT lid FROM gateway.lids AS known
WHERE lid = ANY ($1::text[])
    AND NOT EXISTS (SELECT FROM gateway.lids AS own WHERE own.phone = split_part(known.lid, '@', 1))
"""

Rename = Callable[[str], str]


async def undisguised(pool: asyncpg.Pool, batch: Sequence[InboundWebhook]) -> Sequence[InboundWebhook]:
    """The batch with every address that is a known LID named as one. Raises what asyncpg does."""
    asked = {lid for address in _addresses(batch) if (lid := _lid_like(address)) is not None}
    if not asked:
        return batch
    told = asked & _lids_told(batch)
    known = told | {row["lid"] for row in await pool.fetch(_KNOWN, sorted(asked - told))}
    if not known:
        return batch

    def rename(address: str) -> str:
        lid = _lid_like(address)
        return lid if lid is not None and lid in known else address

    return [
        replace(
            item,
            reading=replace(
                item.reading, changes=tuple(_renamed(change, rename) for change in item.reading.changes)
            ),
        )
        for item in batch
    ]


def _lid_like(address: str) -> str | None:
    found = _LIKE_A_LID.fullmatch(address) if len(address) >= MIN_LID_DIGITS else None
    return f"{found[1]}@{LID_SERVER}" if found else None


def _addresses(batch: Sequence[InboundWebhook]) -> Iterator[str]:
    """Of everyone the changes are of; of a private chat one address is enough."""
    for item in batch:
        for change in item.reading.changes:
            match change:
                case MessageReceived():
                    yield change.from_phone
                case CallEnded():
                    yield change.missed.from_phone
                case MessageSent():
                    yield change.to_phone
                case MessageEdited() | MessageDeleted() | MessageReacted():
                    yield from filter(None, (change.by.address, change.by.chat))
                case DeliveryMoved() | PollCounted():
                    yield from filter(None, (change.chat,))


def _lids_told(batch: Sequence[InboundWebhook]) -> set[str]:
    """LIDs whose numbers the batch itself tells."""
    told: set[str] = set()
    for item in batch:
        for change in item.reading.changes:
            match change:
                case MessageReceived() if change.from_phone.isdigit():
                    told.update(_known((change.sender_lid,), change.from_phone))
                case MessageSent() if change.to_phone.isdigit():
                    told.update(_known((change.lid,), change.to_phone))
                case PeopleTold():
                    told.update(fact.lid for fact in change.facts if isinstance(fact, LidResolved))
    return told


def _known(lids: Iterable[str | None], phone: str) -> Iterator[str]:
    return (lid for lid in lids if lid is not None and lid != f"{phone}@{LID_SERVER}")


def _renamed(change: Change, rename: Rename) -> Change:
    match change:
        case MessageReceived():
            return replace(change, chat=rename(change.chat), from_phone=rename(change.from_phone))
        case CallEnded():
            missed = change.missed
            return replace(
                change,
                missed=replace(missed, chat=rename(missed.chat), from_phone=rename(missed.from_phone)),
            )
        case MessageSent():
            return replace(change, chat=rename(change.chat), to_phone=rename(change.to_phone))
        case MessageEdited() | MessageDeleted() | MessageReacted():
            return replace(change, by=_renamed_origin(change.by, rename))
        case DeliveryMoved() | PollCounted() if change.chat is not None:
            return replace(change, chat=rename(change.chat))
    return change


def _renamed_origin(by: Origin, rename: Rename) -> Origin:
    return replace(
        by,
        chat=None if by.chat is None else rename(by.chat),
        address=None if by.address is None else rename(by.address),
    )

"""What the spool holds, and how it becomes a delivery again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from gateway.domain.linking import FIRST_CODE_S
from gateway.domain.message import CodeReported, MessageReceived, MessageSent, Reading
from gateway.domain.raw_webhooks import raw_again
from gateway.services.webhooks.batch import InboundWebhook


@dataclass(frozen=True, slots=True)
class Spooled:
    """One webhook as the spool keeps it: what it says is read again."""

    id: int
    session_id: int
    received_at: datetime
    raw: bytes
    holds_all: bool = True
    """Whether everything of its session waits behind it."""


Item = tuple[Spooled, InboundWebhook]


def webhook_of(entry: Spooled, read: Callable[[Any, datetime], Reading], now: datetime) -> InboundWebhook:
    """Reads it once more; what cannot be read any more goes to the journal as it is."""
    try:
        body = orjson.loads(entry.raw)
    except ValueError:
        body = {"unreadable": entry.raw.decode("utf-8", "replace").replace("\x00", "")}
        reading = Reading(event="", known=False, reason="damaged in the spool")
    else:
        reading = without_expired_codes(read(body, entry.received_at), entry.received_at, now)
    return InboundWebhook(entry.session_id, entry.received_at, body, reading, raw_again(body))


def in_order(items: Sequence[Item]) -> list[list[Item]]:
    """The items in batches. A batch writes what was received before what was sent: no session may need it otherwise."""
    batches: list[list[Item]] = [[]]
    has_sent: set[int] = set()
    for item in items:
        entry, inbound = item
        if entry.session_id in has_sent and _has(inbound, MessageReceived):
            batches.append([])
            has_sent.clear()
        if _has(inbound, MessageSent):
            has_sent.add(entry.session_id)
        batches[-1].append(item)
    return batches


def _has(inbound: InboundWebhook, kind: type[MessageReceived] | type[MessageSent]) -> bool:
    return any(isinstance(change, kind) for change in inbound.reading.changes)


def without_expired_codes(reading: Reading, received_at: datetime, now: datetime) -> Reading:
    """What is still true of a webhook that waited: no phone can scan its QR code any more."""
    if now - received_at < timedelta(seconds=FIRST_CODE_S):
        return reading
    changes = tuple(change for change in reading.changes if not isinstance(change, CodeReported))
    if len(changes) == len(reading.changes):
        return reading
    return replace(reading, changes=changes, reason="the code had expired when it could be stored")

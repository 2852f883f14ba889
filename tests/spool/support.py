"""Deliveries to spool, and how to look at what is on the disk."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.domain.message import Reading
from gateway.services.webhooks.batch import InboundWebhook
from gateway.spool.disk import DiskSpool

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ALL = frozenset({"*"})


def delivery(name: str, session_id: int = 12, **body: Any) -> InboundWebhook:
    return InboundWebhook(session_id, AT, {"event": name, **body}, Reading(name))


async def keep(
    spool: DiskSpool, *names: str, session_id: int = 12, ordering_keys: frozenset[str] = ALL
) -> None:
    await spool.append([(delivery(name, session_id), ordering_keys) for name in names])


async def names(spool: DiskSpool) -> list[str]:
    """What waits, in the order of the replay."""
    found: list[str] = []
    after = 0
    while page := await spool.page(after):
        after = page[-1].id
        found += [name_of(item.raw) for item in page]
    return found


def name_of(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").split('"event":"')[1].split('"')[0]


async def remove_all(spool: DiskSpool) -> None:
    await spool.remove([item.id for item in await spool.page(0)])


def numbered(prefix: str, numbers: Sequence[int] | range) -> list[str]:
    return [f"{prefix}{number}" for number in numbers]

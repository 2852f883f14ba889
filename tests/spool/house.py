"""A spool, an ingest and a replay on it, and a store that does what a webhook's name says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

from gateway.domain.errors import GatewayError, RowLocked, RowRefused, TableLocked
from gateway.domain.message import (
    Change,
    CodeReported,
    MessageDeleted,
    MessageReceived,
    MessageSent,
    Reading,
    StatusReported,
)
from gateway.services.webhooks.batch import InboundWebhook, Outcome
from gateway.services.webhooks.ingest import Ingest
from gateway.services.webhooks.replay import Replay
from gateway.spool.disk import DiskSpool
from tests.spool.support import AT

DEADLINE_S = 30.0


def read(body: dict[str, Any], at: datetime) -> Reading:
    """A webhook is what it is called: `kind key …`."""
    kind, _, key = body["event"].partition(" ")
    key = key.partition(" ")[0]
    changes: dict[str, Change] = {
        "status": StatusReported("connected", at),
        "code": CodeReported("2@x", at),
        "received": MessageReceived(key, "c", "1", "text", "t", at),
        "sent": MessageSent(key, "c", "1", "text", "t", at),
        "about": MessageDeleted(key, at),
    }
    return Reading(body["event"], (changes[kind],) if kind in changes else ())


class Store:
    """What a webhook is called says what happens to it."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.sizes: list[int] = []
        self.failed: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.times: set[datetime] = set()
        self.away: GatewayError | None = None
        self.locked: set[str] = set()
        self.locked_table = False
        self.journal_fault: Exception | None = None

    async def write(self, batch: Sequence[InboundWebhook]) -> list[Outcome]:
        called = [item.reading.event for item in batch]
        if self.away:
            raise self.away
        if self.locked_table and any(name.startswith(("received", "about")) for name in called):
            raise TableLocked("locked")
        if self.locked.intersection(called):
            raise RowLocked("held")
        if any(name.startswith("refused") for name in called):
            raise RowRefused("not this")
        if "bug" in called:
            raise KeyError("bug")
        self.stored += called
        self.sizes.append(len(called))
        self.bodies += [item.body for item in batch]
        self.times |= {item.received_at for item in batch}
        return ["stored"] * len(batch)

    async def journal_failure(self, delivery: InboundWebhook, reason: str) -> None:
        if self.journal_fault:
            raise self.journal_fault
        self.failed.append(delivery.reading.event)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.01)


class House:
    def __init__(self, spool: DiskSpool) -> None:
        self.spool = spool
        self.store = Store()
        self.told: list[object] = []
        self.now = AT
        self.ingest = Ingest(self.store, lambda session_id, change: self.told.append(change), spool)
        self.replay = Replay(spool, self.store, self.ingest, read, lambda: self.now)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.replay.run(), name="replay")
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until_empty(self) -> None:
        await until(lambda: not self.spool.count())

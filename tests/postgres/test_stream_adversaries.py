"""Sixteen writers who hold, roll back and interleave, and a reader who has only bells and offsets."""

import asyncio
import random

import asyncpg
import pytest

from gateway.domain.streams import Event
from gateway.postgres.streams import StreamStore
from tests.postgres.writers import INCOMING, Bells, insert_message

WRITERS = 16
INBOXES = range(1, 6)


class Reader:
    """Follows all inboxes: waits for a bell, reads past its offsets, notes what it got."""

    def __init__(self, store: StreamStore, bells: Bells) -> None:
        self._store = store
        self._bells = bells
        self.offsets = dict.fromkeys(INBOXES, 0)
        self.events: list[Event] = []

    async def follow(self, is_done: asyncio.Event) -> None:
        while True:
            finishing = is_done.is_set()
            self._bells.rang.clear()
            await self._read()
            if finishing:
                return
            waits = [asyncio.ensure_future(event.wait()) for event in (self._bells.rang, is_done)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def _read(self) -> None:
        while page := await self._store.read_after(self.offsets, 7):
            self.events.extend(page)
            for event in page:
                self.offsets[event.inbox] = event.off


async def write(dsn: str, number: int, dice: random.Random) -> set[str]:
    """Transactions over one to three inboxes, held for a while, some of them rolled back; returns what was kept."""
    connection = await asyncpg.connect(dsn)
    kept: set[str] = set()
    try:
        for turn in range(20):
            wanted = {f"{number}-{turn}-{part}" for part in range(dice.randint(1, 3))}
            transaction = connection.transaction()
            await transaction.start()
            for key in wanted:
                await insert_message(connection, dice.choice(INBOXES), message_id=key)
                await connection.execute("SELECT pg_sleep($1)", dice.random() * 0.004)
            if dice.random() < 0.25:
                await transaction.rollback()
            else:
                await transaction.commit()
                kept |= wanted
    finally:
        await connection.close()
    return kept


@pytest.mark.parametrize("seed", [1, 2])
async def test_reader_gets_every_committed_row_once_without_gaps_and_in_order(
    database: str, connection: asyncpg.Connection, store: StreamStore, bells: Bells, seed: int
) -> None:
    is_done = asyncio.Event()
    reader = Reader(store, bells)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(reader.follow(is_done), name="reader")
        writers = [
            group.create_task(
                write(database, number, random.Random(seed * 100 + number)), name=f"writer-{number}"
            )
            for number in range(WRITERS)
        ]
        await asyncio.wait(writers)
        is_done.set()

    kept = set().union(*(writer.result() for writer in writers))
    seen = [event.record["message_id"] for event in reader.events if event.record]
    assert len(seen) == len(set(seen))
    assert set(seen) == kept
    for inbox in INBOXES:
        offsets = [event.off for event in reader.events if event.inbox == inbox]
        assert offsets == list(range(1, len(offsets) + 1))
    assert await connection.fetchval(f"SELECT count(*) FROM {INCOMING}") == len(kept)


async def test_events_of_one_row_come_in_the_order_they_were_committed(
    database: str, connection: asyncpg.Connection, store: StreamStore
) -> None:
    row = await insert_message(connection, 3, message_text="0")

    async def count_up() -> None:
        writer = await asyncpg.connect(database)
        try:
            for _ in range(25):
                await writer.execute(
                    f"UPDATE {INCOMING} SET message_text = (message_text::int + 1)::text WHERE id = $1",
                    row,
                )
        finally:
            await writer.close()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(count_up(), name=f"counter-{number}")

    events = await store.read_after({3: 1}, 1000)
    assert [event.record and event.record["message_text"] for event in events] == [
        str(n) for n in range(1, 151)
    ]

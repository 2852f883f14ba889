"""Webhooks at a steady rate while something is wrong, and what must be true when it is over."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import asyncpg

from tests.faults import oracle
from tests.faults.ledger import Ledger
from tests.faults.server import Server
from tests.faults.town import Town, following, town
from tests.faults.writers import Sender, add_session, message
from tests.realtime.live import until

PER_S = 200
LASTS_S = 4.0
"""The spool takes over after two."""

INBOXES = (1, 2, 3)


class Storm:
    """Webhooks at a steady rate, whatever becomes of the earlier ones; each is tried until it is taken."""

    def __init__(self, url: Callable[[], str], http: aiohttp.ClientSession) -> None:
        self._authenticator = [Sender(url, http, inbox) for inbox in INBOXES]
        self.ledger = Ledger()
        self.stop = asyncio.Event()

    async def blow(self) -> None:
        """Until it is told to stop; returns when the last one has been taken."""
        number = 0
        async with asyncio.TaskGroup() as group:
            while not self.stop.is_set():
                for _ in range(PER_S // 20):
                    number += 1
                    group.create_task(self._one(f"K{number}", number), name="webhook")
                await asyncio.sleep(0.05)

    async def _one(self, key: str, number: int) -> None:
        never = asyncio.Event()
        self.ledger.note(key, "unsure")
        if await self._authenticator[number % len(INBOXES)].until_taken(message(key, key), never):
            self.ledger.note(key, "kept")


async def weather(
    server: Server, folder: Path, way: str, trouble: Callable[[Town], AbstractAsyncContextManager[None]]
) -> None:
    """A storm with a trouble in its middle: all webhooks are taken, stored once, and shown in their order."""
    async with town(server, folder, ways=(way,), probe_s=1.0) as place, aiohttp.ClientSession() as http:
        writer = await asyncpg.connect(place.dsn)
        for inbox in INBOXES:
            await add_session(writer, inbox)
        await writer.close()
        storm = Storm(lambda: place.houses[0].url, http)
        async with following(place) as browser, asyncio.TaskGroup() as group:
            blowing = group.create_task(storm.blow(), name="storm")
            await until(lambda: storm.ledger.count("kept") > PER_S // 2, "webhooks are stored")
            async with trouble(place):
                before = len(storm.ledger.fates)
                await asyncio.sleep(LASTS_S)  # this is the time that counts: the world goes on meanwhile
                assert storm.ledger.count("kept") > before + PER_S / 4, "nothing was taken meanwhile"
            await until(lambda: storm.ledger.count("kept") > before + PER_S, "webhooks are taken")
            storm.stop.set()
            await blowing
            truth = await settled(place, storm.ledger)
            await until(lambda: truth.is_shown_by(browser, INBOXES), "all is shown")

            assert storm.ledger.count("kept") == len(storm.ledger.fates) == len(truth.rows)
            assert truth.complaints(storm.ledger) == []
            assert truth.complaints_about(browser, INBOXES, rows=True) == []


async def settled(place: Town, ledger: Ledger) -> oracle.Staleness:
    """The tables once everything that was acknowledged is in them."""
    connection = await asyncpg.connect(place.dsn)
    try:
        async with asyncio.timeout(30):
            while True:
                truth = await oracle.look(connection)
                if not truth.complaints(ledger):
                    return truth
                await asyncio.sleep(0.1)
    finally:
        await connection.close()

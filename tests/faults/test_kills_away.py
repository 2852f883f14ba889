"""kill -9 while Postgres is away: what the gateway has acknowledged is on its disk."""

import asyncio
from pathlib import Path

import aiohttp
import asyncpg

from tests.faults.ledger import Ledger
from tests.faults.server import Server
from tests.faults.storm import settled
from tests.faults.town import following, town
from tests.faults.writers import Sender, add_session, message
from tests.realtime.live import until


async def test_killed_again_and_again_while_postgres_is_away_every_acknowledged_webhook_is_kept(
    server: Server, tmp_path: Path, way: str
) -> None:
    """The spool's own steps: the gateway dies while webhooks are on their way to the disk, and while it replays."""
    async with town(server, tmp_path, ways=(way,), probe_s=1.0) as place, aiohttp.ClientSession() as http:
        writer = await asyncpg.connect(place.dsn)
        await add_session(writer, 12)
        await writer.close()
        house, ledger = place.houses[0], Ledger()
        sender = Sender(lambda: house.url, http, 12)
        assert await sender.once(message("before")) == 200  # from here on the secret is known
        for turn in range(3):
            async with server.away(), asyncio.TaskGroup() as group:
                for number in range(100):
                    group.create_task(once(sender, ledger, f"K{turn}-{number}"), name="webhook")
                least = ledger.count("kept") + 20
                await until(lambda: ledger.count("kept") >= least, "some are taken")  # noqa: B023
                await house.child.kill()
            await house.child.start_when_possible()
            if turn < 2:
                await house.child.kill()  # in the middle of the replay, or before it
                await house.child.start_when_possible()
        async with following(place) as browser:
            truth = await settled(place, ledger)
            await until(lambda: truth.is_shown_by(browser, [12]), "all is shown")

            assert truth.complaints(ledger) == []
            assert truth.complaints_about(browser, [12], rows=True) == []


async def once(sender: Sender, ledger: Ledger, key: str) -> None:
    ledger.note(key, "unsure")
    if await sender.once(message(key)) == 200:
        ledger.note(key, "kept")

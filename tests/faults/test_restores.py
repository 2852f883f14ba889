"""The database is replaced by an older backup of itself: the same offsets come again, with other content."""

from pathlib import Path

import asyncpg

from tests.faults.server import Server
from tests.faults.town import Town, following, town
from tests.faults.writers import add_session
from tests.postgres.writers import insert_message
from tests.realtime.live import until


async def write(place: Town, text: str, times: int) -> None:
    connection = await asyncpg.connect(place.dsn)
    try:
        for _ in range(times):
            await insert_message(connection, 12, message_text=text)
    finally:
        await connection.close()


async def prepare(place: Town) -> None:
    connection = await asyncpg.connect(place.dsn)
    await add_session(connection, 12)
    await connection.close()
    await write(place, "in the backup", 10)


async def test_a_backup_brought_back_under_a_running_gateway_resets_everybody(
    server: Server, tmp_path: Path, way: str
) -> None:
    async with town(server, tmp_path, ways=(way,), probe_s=1.0) as place:
        await prepare(place)
        async with following(place) as browser:
            await until(lambda: browser.offs.get(12) == 10, "all is well")
            async with server.backup_of(place.database) as backup:
                await write(place, "lost with the database", 5)
                await until(lambda: browser.offs.get(12) == 15, "all is well")
                await server.restore(place.database, backup)
            await until(lambda: bool(browser.resets) and browser.offs.get(12) == 10, "it is told")
            await until(lambda: not browser.is_stale, "all is well")
            await write(place, "new", 6)
            await until(lambda: browser.offs.get(12) == 16, "events go on")

            assert [frame["reason"] for frame in browser.resets if frame["topic"] == "inbox:12"] == [
                "epoch_changed"
            ]
            assert [row["message_text"] for row in browser.rows.values()] == ["new"] * 6
            assert browser.complaints == []


async def test_who_was_away_meanwhile_is_not_taken_for_up_to_date(
    server: Server, tmp_path: Path, way: str
) -> None:
    """Its offset exists again when it comes back, and stands for something else."""
    async with town(server, tmp_path, ways=(way,)) as place:
        child = place.houses[0].child
        await prepare(place)
        async with server.backup_of(place.database) as backup:
            await write(place, "lost with the database", 5)
            async with following(place) as browser:
                await until(lambda: browser.offs.get(12) == 15, "all is well")
            await child.stop()
            await server.restore(place.database, backup)
        await elsewhere(place)
        await write(place, "something else", 5)
        await child.start()
        after = {12: {"off": 15, "epoch": browser.epochs[12]}}
        async with following(place, after=after) as again:
            assert [
                (frame["reason"], frame["off"]) for frame in again.resets if frame["topic"] == "inbox:12"
            ] == [("epoch_changed", 15)]
            assert again.complaints == []


async def elsewhere(place: Town) -> None:
    """As if the backup had been brought back on another server, which is how it usually is."""
    connection = await asyncpg.connect(place.dsn)
    await connection.execute(
        """UPDATE gateway.settings SET value = '"another/00000001"' WHERE key = 'history'"""
    )
    await connection.close()

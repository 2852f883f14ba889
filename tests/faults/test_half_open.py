"""Postgres is gone without a word: sockets look alive, and nothing comes back."""

from pathlib import Path

import asyncpg

from tests.faults.server import Server
from tests.faults.town import following, town
from tests.faults.writers import add_session
from tests.postgres.writers import insert_message
from tests.realtime.live import until


async def test_a_half_open_postgres_is_noticed_told_and_made_up_for(
    server: Server, tmp_path: Path, way: str
) -> None:
    """Every connection the gateway has is dead, those of its pool as well: none may be waited for for long."""
    quick = {"listener_statement_s": 1.0, "close_s": 2.0}
    async with town(server, tmp_path, ways=(way,), timings=quick, probe_s=1.0) as place:
        writer = await asyncpg.connect(place.dsn)
        await add_session(writer, 12)
        async with following(place) as browser:
            for _ in range(20):  # a webhook more, and the pool has more connections than one
                await insert_message(writer, 12)
            await until(lambda: browser.offs.get(12) == 20, "all is well")
            place.houses[0].to_postgres.half_open()
            await insert_message(writer, 12)
            await until(lambda: browser.is_stale, "the gateway says that it hears nothing")

            await until(lambda: browser.offs.get(12) == 21, "what happened meanwhile is shown")
            await until(lambda: not browser.is_stale, "all is well again")
            assert browser.complaints == []
        await writer.close()

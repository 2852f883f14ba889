"""Postgres is away and this disk takes no more: nothing is acknowledged in vain, and what was acknowledged is kept."""

from dataclasses import asdict
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from gateway.spool.disk import SpoolLimits
from tests.faults.ledger import Ledger
from tests.faults.server import Server
from tests.faults.storm import settled
from tests.faults.town import town
from tests.faults.writers import Sender, add_session, message
from tests.postgres.ears import comes_true

FULL = {
    "at its bound": SpoolLimits(max_count=20),
    # What the disk must have left is more than any disk has: as if it had been filled by somebody else.
    "no room on the disk": SpoolLimits(reserve_bytes=1 << 62),
}
LIMITS = "gateway.spool.disk.SpoolLimits.__init__.__kwdefaults__"


@pytest.mark.parametrize("full", FULL)
async def test_what_a_full_spool_cannot_take_is_refused_and_comes_again(
    server: Server, tmp_path: Path, way: str, full: str
) -> None:
    async with (
        town(server, tmp_path, ways=(way,), constants={LIMITS: asdict(FULL[full])}, probe_s=1.0) as place,
        aiohttp.ClientSession() as http,
    ):
        writer = await asyncpg.connect(place.dsn)
        await add_session(writer, 12)
        await writer.close()
        url = place.houses[0].url
        sender, ledger = Sender(lambda: url, http, 12), Ledger()
        assert await sender.once(message("before")) == 200
        ledger.note("before", "kept")
        answers = {}
        async with server.away():
            for number in range(30):
                answers[f"K{number}"] = await sender.once(message(f"K{number}"))
            async with http.get(f"{url}/readyz") as ready:
                assert ready.status == 503
        taken = {key for key, status in answers.items() if status == 200}
        for key in taken:
            ledger.note(key, "kept")

        assert set(answers.values()) <= {200, 503}
        assert len(taken) == (20 if full == "at its bound" else 0)
        assert len((await settled(place, ledger)).rows) == 1 + len(taken)
        await comes_true(lambda: is_ready(http, url))
        for key in answers.keys() - taken:
            assert await sender.once(message(key)) == 200
            ledger.note(key, "kept")
        assert len((await settled(place, ledger)).rows) == 31


async def is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    async with http.get(f"{url}/readyz") as answer:
        return answer.status == 200

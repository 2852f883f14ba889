"""Every attack, for a moment. The same at full length, with a table: `python -m tests.attacks`."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.attacks.__main__ import attack
from tests.attacks.attacker import ATTACKS
from tests.attacks.rows import fill
from tests.attacks.victim import Victim, database, victim

SECONDS = 1.5
FILES = 1024

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target() -> AsyncIterator[Victim]:
    async with database() as dsn, victim(dsn, files=FILES) as started:
        await fill(started, 20_000)
        yield started


@pytest.mark.parametrize("name", list(ATTACKS))
async def test_one_stranger_stops_nobody(target: Victim, name: str) -> None:
    suffered = await attack(target, name, SECONDS)

    assert suffered.faults == []
    assert suffered.stale == 0
    assert suffered.ping_p99_ms() <= 250
    assert max(suffered.webhooks) < 2
    assert suffered.grown_mib <= 64
    assert suffered.left_mib <= 48

"""Every kind of attack for a moment, those of one row of the table at the same time.

At full length, one by one, with a table: `python -m tests.attacks`.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.attacks.__main__ import attack
from tests.attacks.attacker import ATTACKS
from tests.attacks.rows import fill
from tests.attacks.victim import Victim, database, victim

SECONDS = 2.0
FILES = 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target() -> AsyncIterator[Victim]:
    async with database() as dsn, victim(dsn, files=FILES) as started:
        await fill(started, 20_000)
        yield started


ROWS = {
    "requests read ahead": ["pipelined"],
    "heads without end": ["without end", "one-byte chunks"],
    "silent and slow connections": ["1,100 silent", "1,100 connections that drip", "1,100 webhooks"],
    "stuck bodies and handshakes": ["1,100 connections with", "1,100 handshakes"],
    "frames of one socket": ["empty pings", "fragments", "texts", "pongs"],
    "bodies with a wrong signature": ["webhooks of", "bodies of"],
    "headers that are no addresses": ["Origin", "Host"],
    "searches": ["searches"],
    "people who ask too much": ["refresh", "tickets", "false logins", "3,000 sockets"],
    "patterns": ["patterns"],
}


def names_of(words: list[str]) -> list[str]:
    return [name for name in ATTACKS if any(word in name for word in words)]


def test_every_attack_belongs_to_a_row() -> None:
    assert {name for words in ROWS.values() for name in names_of(words)} == set(ATTACKS)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", list(ROWS))
async def test_one_stranger_stops_nobody(target: Victim, row: str) -> None:
    suffered = await attack(target, names_of(ROWS[row]), SECONDS)

    assert suffered.faults == []
    assert suffered.stale == 0
    # The suite shares its cores with its own workers: time on the clock is the command's to show.
    assert suffered.ping_cpu_p99_ms() <= 250
    assert max(suffered.pings) < 2
    assert suffered.answered_meanwhile >= 0.9, "webhooks waited for the attack to end"
    assert suffered.grown_mib <= 64
    assert suffered.left_mib <= 48

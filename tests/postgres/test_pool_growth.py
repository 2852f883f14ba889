"""When a pool opens one more connection, and when it waits for one that it has lent."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from gateway.postgres.connection.pool import Pool, open_pool

LONG_S = 600.0
"""Longer than a test may take: a borrower that waited for this is a test that failed."""

PID = "SELECT pg_backend_pid()"


@pytest_asyncio.fixture
async def patient(database: str) -> AsyncIterator[Pool]:
    """A pool of one connection, which would wait long before it opens another one."""
    pool = await open_pool(database, timezone="UTC", pooled=False, max_size=8, grow_after_s=LONG_S)
    try:
        yield pool
    finally:
        pool.terminate()


async def borrower(pool: asyncpg.Pool, name: str, served: list[str]) -> None:
    async with pool.acquire() as connection:
        served.append(name)
        await connection.fetchval("SELECT 1")


async def waiting(pool: asyncpg.Pool, name: str, served: list[str]) -> asyncio.Task[None]:
    """A borrower that has come to the pool, and meets no free connection there."""
    task = asyncio.create_task(borrower(pool, name, served))
    await asyncio.sleep(0)
    assert not served
    return task


async def test_many_that_ask_at_once_share_the_connection_that_comes_back(patient: Pool) -> None:
    async with asyncio.timeout(30):
        pids = await asyncio.gather(*(patient.fetchval(PID) for _ in range(20)))

    assert len(set(pids)) == 1
    assert patient.get_size() == 1


async def test_a_pool_whose_connections_stay_away_opens_another_one(database: str) -> None:
    pool = await open_pool(database, timezone="UTC", pooled=False, max_size=3)
    try:
        async with asyncio.timeout(30):
            async with pool.acquire() as first, pool.acquire() as second, pool.acquire() as third:
                pids = {await connection.fetchval(PID) for connection in (first, second, third)}
    finally:
        await pool.close()

    assert len(pids) == 3


async def test_a_pool_without_any_connection_opens_one_at_once(patient: Pool) -> None:
    async with patient.acquire() as connection:
        connection.terminate()

    async with asyncio.timeout(30):
        assert await patient.fetchval("SELECT 1") == 1


async def test_borrowers_are_served_in_the_order_in_which_they_came(patient: Pool) -> None:
    served: list[str] = []
    async with asyncio.timeout(30):
        async with patient.acquire():
            tasks = [await waiting(patient, name, served) for name in ("first", "second", "third")]
        await borrower(patient, "fourth", served)  # it comes before the first has taken what is back
        await asyncio.gather(*tasks)

    assert served == ["first", "second", "third", "fourth"]


@pytest.mark.parametrize("turns", [0, 1])
async def test_a_borrower_that_leaves_takes_no_turn_from_the_next(patient: Pool, turns: int) -> None:
    """`turns` of the loop after the connection came back: before and after the borrower could notice."""
    served: list[str] = []
    async with asyncio.timeout(30):
        async with patient.acquire():
            leaving = await waiting(patient, "leaves", served)
            staying = await waiting(patient, "stays", served)
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()
        await staying

    assert served[-1] == "stays"
    assert patient.get_size() == 1


async def test_a_borrower_waits_no_longer_than_its_loan(patient: Pool) -> None:
    async with patient.acquire():
        with pytest.raises(TimeoutError):
            async with patient.acquire(timeout=0.05):
                raise AssertionError("there is no connection to lend")

    assert await patient.fetchval("SELECT 1") == 1


async def test_borrowers_that_meet_again_and_again_get_a_connection_each(database: str) -> None:
    """None of them waits long, for what is lent comes back at once: together they wait too long."""
    pool = await open_pool(database, timezone="UTC", pooled=False, max_size=3)

    async def ask_again_and_again() -> None:
        while pool.get_size() < 3:
            await pool.fetchval("SELECT pg_sleep(0.001)")

    try:
        async with asyncio.timeout(30):
            await asyncio.gather(*(ask_again_and_again() for _ in range(3)))
    finally:
        await pool.close()

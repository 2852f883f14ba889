"""A reader with a connection of its own: nobody is before it, and a connection that is gone is made anew."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest
import pytest_asyncio

from gateway.postgres.connection.pool import CONNECT_ERRORS, open_pool
from gateway.postgres.connection.readers import Reserved, Shared, connect_to_read
from gateway.postgres.streams import UNREAD_SQL, StreamStore
from gateway.runtime.repositories import live_reader
from tests.http.support import eventually
from tests.postgres.unfinished import TROUBLES, Trouble

PID = "SELECT pg_backend_pid()"


@pytest_asyncio.fixture
async def reader(database: str) -> AsyncIterator[Reserved]:
    with contextlib.closing(reading(database)) as made:
        yield made


def reading(database: str, **limits: float) -> Reserved:
    return Reserved(lambda: connect_to_read(database, name="reader"), **limits)


async def pid_of(reader: Reserved) -> int:
    return int((await reader.fetch(PID))[0][0])


async def is_there(connection: asyncpg.Connection, pid: int) -> bool:
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid))


async def until_gone(connection: asyncpg.Connection, pid: int) -> None:
    await eventually(lambda: is_there(connection, pid), lambda there: not there, "that it has left")


async def test_one_connection_serves_all_reads_one_after_the_other(reader: Reserved) -> None:
    pids = await asyncio.gather(*(pid_of(reader) for _ in range(20)))
    assert len(set(pids)) == 1


async def test_a_connection_that_was_ended_costs_one_read_at_the_most(
    reader: Reserved, connection: asyncpg.Connection
) -> None:
    before = await pid_of(reader)
    await connection.execute("SELECT pg_terminate_backend($1)", before)
    with contextlib.suppress(*CONNECT_ERRORS):
        await pid_of(reader)

    assert await pid_of(reader) != before


async def test_a_read_that_takes_too_long_is_cut_off_with_its_connection(
    database: str,
) -> None:
    with contextlib.closing(reading(database, within_s=1.0)) as reader:
        before = await pid_of(reader)
        with pytest.raises(TimeoutError):
            await reader.fetch("SELECT pg_sleep(3600)")

        assert await pid_of(reader) != before


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_read_that_is_not_executed_leaves_no_transaction_open(
    reader: Reserved, connection: asyncpg.Connection, trouble: Trouble
) -> None:
    await pid_of(reader)
    await trouble(reader.fetch)

    async def in_transactions() -> object:
        return await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reader' AND datname = current_database() "
            "AND state <> 'idle'"
        )

    await eventually(in_transactions, lambda count: count == 0, "that no transaction is open")


async def test_the_feed_reads_through_a_connection_that_no_request_shares(database: str) -> None:
    pool = await open_pool(database, timezone="UTC", max_size=1, pooled=True)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(pool.close)
        own = live_reader(database, "UTC", stack)
        assert await own.fetch(PID) != await pool.fetch(PID)


async def test_what_nobody_waits_for_may_take_longer_than_a_read(database: str) -> None:
    pool = await open_pool(database, timezone="UTC", max_size=1, pooled=False)
    try:
        with pytest.raises(TimeoutError):
            await Shared(pool, 0.05).fetch("SELECT pg_sleep(3600)")
        assert await Shared(pool, 20).fetch("SELECT pg_sleep(0.1)")
    finally:
        await pool.close()


async def test_a_reader_that_is_cancelled_leaves_no_statement_to_the_next(reader: Reserved) -> None:
    await pid_of(reader)
    waiting = asyncio.create_task(reader.fetch("SELECT pg_sleep(3600)"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    async with asyncio.timeout(15):
        assert (await reader.fetch("SELECT 7"))[0][0] == 7


async def test_a_statement_that_is_refused_leaves_the_connection_as_it_is(reader: Reserved) -> None:
    before = await pid_of(reader)
    with pytest.raises(asyncpg.UndefinedTableError):
        await reader.fetch("SELECT * FROM nowhere")

    assert await pid_of(reader) == before


async def test_a_connection_that_nobody_uses_is_closed_and_opened_for_the_next(
    database: str, connection: asyncpg.Connection
) -> None:
    with contextlib.closing(reading(database, idle_s=0.05)) as reader:
        before = await pid_of(reader)
        await until_gone(connection, before)

        assert await pid_of(reader) != before


async def test_a_closed_reader_has_left(reader: Reserved, connection: asyncpg.Connection) -> None:
    before = await pid_of(reader)
    reader.close()
    await until_gone(connection, before)


async def test_news_are_planned_once_and_not_for_every_bell(reader: Reserved) -> None:
    streams = StreamStore(reader)
    for off in range(12):
        await streams.read_unread({12: off, 13: None}, 200, 100_000)

    (plans,) = await reader.fetch(
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1", UNREAD_SQL
    )
    assert (plans["generic_plans"], plans["custom_plans"]) == (12, 0)

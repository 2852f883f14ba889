"""Transactions that cannot number their changes as they commit do what they did without us, and lose no event."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import asyncpg
import pytest
import pytest_asyncio

from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.connection.pool import connect_direct, open_pool
from gateway.postgres.connection.readers import Shared
from gateway.postgres.migrations.runner import migrate
from gateway.postgres.streams import StreamStore
from gateway.postgres.unnumbered import UnnumberedTable
from tests.postgres.writers import (
    INCOMING,
    Bells,
    insert_many,
    insert_message,
    insert_session,
    is_empty,
    version_of,
)
from tests.postgres_fixtures import FAST, clone, make_folder, run_blocking

Isolation = Literal["repeatable_read", "serializable"]


@pytest.fixture(scope="module")
def preparing_server() -> Iterator[EmbeddedPostgres]:
    """A server that allows prepared transactions, and survives being killed."""
    folder = make_folder()
    settings = {
        **FAST,
        "max_prepared_transactions": "10",
        "full_page_writes": "on",
        "synchronous_commit": "on",
    }
    server = EmbeddedPostgres(folder, settings=settings)
    server.start_now()
    try:
        run_blocking(_make_database(server, "migrated"))
        yield server
    finally:
        server.stop_now()
        shutil.rmtree(folder, ignore_errors=True)


async def _make_database(server: EmbeddedPostgres, name: str) -> None:
    admin = await asyncpg.connect(server.dsn_of("postgres"))
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    await migrate(server.dsn_of(name), report=lambda _: None)


@asynccontextmanager
async def pool_of(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(dsn, timezone="UTC", max_size=3, pooled=False)
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def unnumbered_of(dsn: str) -> AsyncIterator[UnnumberedTable]:
    async with pool_of(dsn) as pool:
        yield UnnumberedTable(pool)


@pytest_asyncio.fixture
async def unnumbered(database: str) -> AsyncIterator[UnnumberedTable]:
    async with unnumbered_of(database) as table:
        yield table


async def told(store: StreamStore, inbox: int) -> list[tuple[int, str, Any]]:
    events = await store.read_after({inbox: 0}, 1000)
    return [(event.off, event.operation, (event.record or {}).get("message_text")) for event in events]


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_counter_that_moved_fails_no_transaction(
    connection: asyncpg.Connection,
    other: asyncpg.Connection,
    store: StreamStore,
    unnumbered: UnnumberedTable,
    bells: Bells,
    isolation: Isolation,
) -> None:
    async with other.transaction(isolation=isolation):
        await other.fetchval("SELECT 1")
        await insert_message(connection, 12, message_text="first")
        await bells.heard()
        await insert_message(other, 12, message_text="second")
    assert [payload for _, payload in await bells.heard()] == ["unnumbered"]
    assert await told(store, 12) == [(1, "INSERT", "first")]

    assert (await unnumbered.number()).transactions == 1
    assert await told(store, 12) == [(1, "INSERT", "first"), (2, "INSERT", "second")]
    assert [payload for _, payload in await bells.heard()] == ["12"]
    assert await is_empty(connection)
    assert (await unnumbered.number()).transactions == 0


async def test_two_serializable_writers_of_one_inbox_are_no_conflict(
    connection: asyncpg.Connection, other: asyncpg.Connection, store: StreamStore, unnumbered: UnnumberedTable
) -> None:
    async with connection.transaction(isolation="serializable"), other.transaction(isolation="serializable"):
        for number in range(5):
            await insert_message(connection, 12, message_text=f"a{number}")
            await insert_message(other, 12, message_text=f"b{number}")
    while (await unnumbered.number()).transactions:
        pass
    events = await told(store, 12)
    assert [off for off, _, _ in events] == list(range(1, 11))
    assert sorted(text for _, _, text in events) == sorted(
        [f"{who}{number}" for who in "ab" for number in range(5)]
    )


async def test_what_changed_meanwhile_is_told_as_it_is_now(
    connection: asyncpg.Connection, other: asyncpg.Connection, store: StreamStore, unnumbered: UnnumberedTable
) -> None:
    """The change that was committed later has its number already: what comes after it must not be older."""
    ids = [await insert_message(connection, 12, message_text="old") for _ in range(3)]
    async with other.transaction(isolation="repeatable_read"):
        await other.execute(f"UPDATE {INCOMING} SET message_text = 'mine'")
        await other.execute(f"DELETE FROM {INCOMING} WHERE id = $1", ids[2])
    await connection.execute(f"UPDATE {INCOMING} SET message_text = 'newest' WHERE id = $1", ids[0])
    await connection.execute(f"DELETE FROM {INCOMING} WHERE id = $1", ids[1])
    await insert_message(connection, 12, id=ids[2], message_text="come again")
    await unnumbered.number()

    rows: dict[Any, Any] = {}
    for event in await store.read_after({12: 0}, 1000):
        if event.record is None:
            rows.pop(event.old["id"], None)
        else:
            rows[event.record["id"]] = event.record["message_text"]
    assert rows == {ids[0]: "newest", ids[2]: "come again"}


async def test_a_row_that_moved_meanwhile_leaves_its_old_inbox(
    connection: asyncpg.Connection, other: asyncpg.Connection, store: StreamStore, unnumbered: UnnumberedTable
) -> None:
    async with other.transaction(isolation="repeatable_read"):
        number = await insert_message(other, 12, message_id="moving")
    await connection.execute(f"UPDATE {INCOMING} SET wasender_session_id = 7 WHERE id = $1", number)
    await unnumbered.number()

    last = (await store.read_after({12: 0}, 1000))[-1]
    assert (last.operation, last.old["id"], last.old["message_id"]) == ("DELETE", number, "moving")
    assert [event.operation for event in await store.read_after({7: 0}, 1000)] == ["INSERT"]


async def test_sessions_and_floods_come_later_too(
    connection: asyncpg.Connection, store: StreamStore, unnumbered: UnnumberedTable
) -> None:
    before = (await store.ensure(12)).epoch
    async with connection.transaction(isolation="repeatable_read"):
        await insert_session(connection, 12, api_key="secret")
        await insert_many(connection, 12, 5001)
    await unnumbered.number()

    assert (await store.extents([12]))[12].epoch != before
    assert await version_of(connection, 12) == 1
    (session,) = await store.read_after({-1: 0}, 10)
    assert session.record is not None
    assert "api_key" not in session.record
    assert await is_empty(connection)


async def test_many_small_statements_are_a_flood_too(
    connection: asyncpg.Connection, store: StreamStore, unnumbered: UnnumberedTable
) -> None:
    before = (await store.ensure(12)).epoch
    async with connection.transaction(isolation="repeatable_read"):
        for _ in range(6):
            await insert_many(connection, 12, 1000)
        await insert_message(connection, 7, message_text="of another inbox")
    await unnumbered.number()

    assert (await store.extents([12]))[12].epoch != before
    assert await store.read_after({12: 0}, 10) == []
    assert [text for _, _, text in await told(store, 7)] == ["of another inbox"]
    assert await is_empty(connection)


async def test_a_database_whose_default_is_repeatable_read_is_numbered(
    database: str, store: StreamStore
) -> None:
    admin = await connect_direct(database)
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    await admin.close()
    writer = await connect_direct(database)
    await insert_message(writer, 12, message_text="hello")
    await writer.close()
    async with unnumbered_of(database) as table:
        assert (await table.number()).transactions == 1
    assert await told(store, 12) == [(1, "INSERT", "hello")]


PREPARING = (
    "PREPARE TRANSACTION 'p'",
    "prepare\n  transaction 'p'",
    "/* two */ PREPARE /* phase\n */ TRANSACTION 'p'",
    "PREPARE -- a comment\n TRANSACTION 'p'",
)


@pytest.mark.parametrize("statement", PREPARING)
async def test_a_prepared_transaction_is_told_once_it_is_committed(
    preparing_server: EmbeddedPostgres, statement: str
) -> None:
    async with clone(preparing_server, "migrated") as dsn, pool_of(dsn) as pool:
        table = UnnumberedTable(pool)
        writer = await connect_direct(dsn)
        await writer.execute("BEGIN")
        await insert_session(writer, 12, api_key="k")
        await insert_message(writer, 12, message_text="in two phases")
        await writer.execute(statement)
        assert await table.number() == (0, True)
        # Nobody waits for the one that is not decided yet.
        await insert_message(writer, 12, message_text="beside it")
        await writer.execute("COMMIT PREPARED 'p'")
        assert (await table.number()).transactions == 1

        store = StreamStore(Shared(pool))
        assert await told(store, 12) == [(1, "INSERT", "beside it"), (2, "INSERT", "in two phases")]
        assert await is_empty(writer)
        await writer.close()


async def test_a_prepared_transaction_that_is_rolled_back_leaves_nothing(
    preparing_server: EmbeddedPostgres,
) -> None:
    async with clone(preparing_server, "migrated") as dsn, unnumbered_of(dsn) as table:
        writer = await connect_direct(dsn)
        await writer.execute("BEGIN")
        await insert_message(writer, 12)
        await writer.execute("PREPARE TRANSACTION 'r'")
        await writer.execute("ROLLBACK PREPARED 'r'")
        assert (await table.number()).transactions == 0
        assert await is_empty(writer)
        await writer.close()


async def test_constraints_made_immediate_can_be_prepared(preparing_server: EmbeddedPostgres) -> None:
    async with clone(preparing_server, "migrated") as dsn, pool_of(dsn) as pool:
        table = UnnumberedTable(pool)
        writer = await connect_direct(dsn)
        for name, before in (("i", "SET CONSTRAINTS ALL IMMEDIATE"), ("j", "SELECT 1")):
            await writer.execute("BEGIN")
            await writer.execute(before)
            await insert_message(writer, 12, message_text="one")
            await insert_message(writer, 12, message_text="two")
            await writer.execute("SET CONSTRAINTS ALL IMMEDIATE")
            await writer.execute(f"PREPARE TRANSACTION '{name}'")
            await writer.execute(f"COMMIT PREPARED '{name}'")
            assert (await table.number()).transactions == 1
        assert [text for _, _, text in await told(StreamStore(Shared(pool)), 12)] == ["one", "two"] * 2
        assert await is_empty(writer)
        await writer.close()


async def test_after_a_crash_of_postgres_a_prepared_transaction_is_a_new_epoch(
    preparing_server: EmbeddedPostgres,
) -> None:
    """What was collected is gone with the crash, the prepared rows are not: every client has to load them."""
    dsn = preparing_server.dsn_of("crashing")
    await _make_database(preparing_server, "crashing")
    writer = await connect_direct(dsn)
    await insert_message(writer, 12, message_text="before")
    await writer.execute("BEGIN")
    await insert_message(writer, 12, message_text="prepared")
    await writer.execute("PREPARE TRANSACTION 'c'")
    await writer.execute("CHECKPOINT")
    victim = await connect_direct(dsn)
    pid = await victim.fetchval("SELECT pg_backend_pid()")
    os.kill(pid, signal.SIGKILL)  # the postmaster restarts all, and recovers
    async with asyncio.timeout(30):
        while True:
            try:
                writer = await connect_direct(dsn)
                break
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.05)
    async with pool_of(dsn) as pool:
        table, store = UnnumberedTable(pool), StreamStore(Shared(pool))
        before = (await store.extents([12]))[12].epoch
        await writer.execute("COMMIT PREPARED 'c'")
        assert (await table.number()).transactions == 1
        assert (await store.extents([12]))[12].epoch != before
    assert await writer.fetchval(f"SELECT count(*) FROM {INCOMING}") == 2
    await writer.close()

"""A dump that is restored is another history, wherever it is restored; upkeep of the same database is not."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.connection.pool import connect_direct, open_pool
from gateway.postgres.connection.readers import Shared
from gateway.postgres.streams import StreamStore
from tests.postgres.writers import insert_message
from tests.postgres_fixtures import clone
from tests.postgres_programs import run


async def is_another_history(dsn: str) -> bool:
    """Looks at the history as a gateway does when it starts, and then every few seconds."""
    pool = await open_pool(dsn, timezone="UTC", max_size=1, pooled=False)
    try:
        found = await StreamStore(Shared(pool)).check_history()
        assert not await StreamStore(Shared(pool)).check_history()
    finally:
        await pool.close()
    return found


@dataclass
class Dumped:
    dsn: str
    dump: str
    admin: asyncpg.Connection

    async def execute(self, statement: str) -> None:
        connection = await connect_direct(self.dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def epoch(self, dsn: str = "") -> str:
        connection = await connect_direct(dsn or self.dsn)
        try:
            return str(await connection.fetchval("SELECT epoch FROM gateway.inboxes WHERE inbox = 12"))
        finally:
            await connection.close()


@pytest_asyncio.fixture
async def dumped(postgres: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Dumped]:
    """A database that a gateway has worked with, and its dump."""
    async with clone(postgres, "migrated") as dsn:
        assert not await is_another_history(dsn)
        connection = await connect_direct(dsn)
        await insert_message(connection, 12)
        await connection.execute(
            "INSERT INTO gateway.session_state (wasender_session_id, version) VALUES (12, 5)"
        )
        await connection.close()
        dump = str(tmp_path / "dump")
        await run("pg_dump", "-Fc", "-f", dump, dsn)
        admin = await asyncpg.connect(postgres.dsn_of("postgres"))
        try:
            yield Dumped(dsn, dump, admin)
        finally:
            await admin.close()


def name_of(dsn: str) -> str:
    return dsn.partition("?")[0].rpartition("/")[2]


async def test_restored_into_another_database_of_the_server(
    dumped: Dumped, postgres: EmbeddedPostgres
) -> None:
    before = await dumped.epoch()
    async with clone(postgres, "template1") as copy:
        await run("pg_restore", "-d", copy, dumped.dump)
        assert await is_another_history(copy)
        assert await dumped.epoch(copy) != before
    assert not await is_another_history(dumped.dsn), "the original goes on"


async def test_restored_into_the_database_made_anew(dumped: Dumped) -> None:
    name = name_of(dumped.dsn)
    await dumped.admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await dumped.admin.execute(f"CREATE DATABASE {name}")
    await run("pg_restore", "-d", dumped.dsn, dumped.dump)
    assert await is_another_history(dumped.dsn)


async def test_restored_over_the_tables_that_are_there(dumped: Dumped) -> None:
    await run("pg_restore", "--clean", "--if-exists", "-d", dumped.dsn, dumped.dump)
    assert await is_another_history(dumped.dsn)


async def test_the_same_dump_restored_twice_gives_out_no_version_of_a_state_again(dumped: Dumped) -> None:
    versions = []
    for _ in range(2):
        await run("pg_restore", "--clean", "--if-exists", "-d", dumped.dsn, dumped.dump)
        assert await is_another_history(dumped.dsn)
        connection = await connect_direct(dumped.dsn)
        versions.append(await connection.fetchval("SELECT min(version) FROM gateway.session_state"))
        await connection.close()

    assert versions[1] > versions[0]


@pytest.mark.parametrize("emptied", ["TRUNCATE", "DELETE FROM"])
async def test_restored_as_rows_alone(dumped: Dumped, emptied: str) -> None:
    tables = (
        "SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class AS c"
        " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND n.nspname IN ('public', 'gateway')"
        # What the shop's tables lose is told, so those of the stream go after them.
        " ORDER BY n.nspname = 'gateway'"
    )
    connection = await connect_direct(dumped.dsn)
    names = [row["name"] for row in await connection.fetch(tables)]
    await connection.execute("SET session_replication_role = replica")
    for name in names:
        await connection.execute(f"{emptied} {name}{' CASCADE' if emptied == 'TRUNCATE' else ''}")
    await connection.close()
    await run("pg_restore", "--data-only", "--disable-triggers", "-d", dumped.dsn, dumped.dump)
    assert await is_another_history(dumped.dsn)


@pytest.mark.parametrize(
    "upkeep", ["VACUUM FULL FREEZE", "VACUUM FREEZE", "REINDEX SCHEMA gateway", "ANALYZE"]
)
async def test_upkeep_of_the_database_is_no_other_history(dumped: Dumped, upkeep: str) -> None:
    await dumped.execute(upkeep)
    assert not await is_another_history(dumped.dsn)


async def test_what_waited_to_be_numbered_in_the_dump_meets_no_transaction_of_the_copy(
    dumped: Dumped, postgres: EmbeddedPostgres
) -> None:
    connection = await connect_direct(dumped.dsn)
    async with connection.transaction(isolation="repeatable_read"):
        await insert_message(connection, 12)
    await connection.close()
    await run("pg_dump", "-Fc", "-f", dumped.dump, dumped.dsn)
    async with clone(postgres, "template1") as copy:
        await run("pg_restore", "-d", copy, dumped.dump)
        assert await is_another_history(copy)
        connection = await connect_direct(copy)
        for table in ("pending_changes", "unnumbered_transactions", "commit_markers", "touched_sessions"):
            assert await connection.fetchval(f"SELECT count(*) FROM gateway.{table}") == 0, table
        await connection.close()

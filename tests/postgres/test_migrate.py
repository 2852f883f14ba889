"""Applying the files of sql/: once, in order, by one at a time, without getting in the shop's way; and removing."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from gateway.domain.errors import ConfigError
from gateway.domain.message import chat_of
from gateway.postgres.connection.pool import connect_direct
from gateway.postgres.migrations.files import read_migrations, sql_folder
from gateway.postgres.migrations.runner import Waits, migrate, remove
from tests.postgres.writers import INCOMING, insert_message, insert_session


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect_direct(dsn)
    try:
        yield connection
    finally:
        await connection.close()


def quiet(_: str) -> None:
    pass


def set_on(words: str, event: asyncio.Event) -> Callable[[str], None]:
    """A report that sets `event` when a sentence holds these words."""

    def report(said: str) -> None:
        if words in said:
            event.set()

    return report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of sql/ that may be edited."""
    shutil.copytree(sql_folder(), tmp_path / "sql")
    return tmp_path / "sql"


async def test_fresh_database_gets_every_file_once_and_is_told_so(empty_database: str) -> None:
    said: list[str] = []
    applied = await migrate(empty_database, report=said.append)

    assert applied == [migration.name for migration in read_migrations(sql_folder())]
    assert said == [f"{name}: applied." for name in applied]
    assert await migrate(empty_database, report=said.append) == []


async def test_every_table_and_column_of_ours_has_a_comment(connection: asyncpg.Connection) -> None:
    silent = await connection.fetch(
        """
        SELECT c.oid::regclass::text AS tbl, a.attname
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum >= 0 AND NOT a.attisdropped
        WHERE c.relkind = 'r' AND c.relnamespace IN ('public'::regnamespace, 'gateway'::regnamespace)
            AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)
        """
    )

    assert [tuple(row) for row in silent] == []


async def test_updated_at_of_our_own_sessions_table_moves(connection: asyncpg.Connection) -> None:
    await insert_session(connection, 12)
    await connection.execute("UPDATE whatsapp_sessions SET updated_at = '2001-01-01', name = 'B'")

    assert await connection.fetchval("SELECT updated_at > now() - interval '1 minute' FROM whatsapp_sessions")


async def test_edited_file_is_refused_by_name(empty_database: str, folder: Path) -> None:
    await migrate(empty_database, report=quiet, folder=folder)
    edited = folder / "0007_integrations.sql"
    edited.write_text(edited.read_text() + "\n-- one more thing\n")
    with pytest.raises(ConfigError, match=r"0007_integrations\.sql was edited"):
        await migrate(empty_database, report=quiet, folder=folder)


async def test_database_of_a_newer_gateway_is_served_as_long_as_it_says_so(
    empty_database: str, folder: Path
) -> None:
    (folder / "9999_future.sql").write_text("CREATE TABLE gateway.future (id int);")
    await migrate(empty_database, report=quiet, folder=folder)
    said: list[str] = []

    assert await migrate(empty_database, report=said.append) == []

    assert "newer gateway (9999_future.sql)" in said[0]
    async with connected(empty_database) as connection:
        await connection.execute(
            "UPDATE gateway.settings SET value = '\"9.0\"' WHERE key = 'compatible_from'"
        )
    with pytest.raises(ConfigError, match=r"needs gateway 9.0 or newer, and this is 0\.1"):
        await migrate(empty_database, report=quiet)


async def test_database_of_another_line_of_versions_is_refused(empty_database: str, folder: Path) -> None:
    (folder / "9999_future.sql").write_text("CREATE TABLE gateway.future (id int);")
    await migrate(empty_database, report=quiet, folder=folder)
    async with connected(empty_database) as connection:
        await connection.execute("DELETE FROM gateway.settings WHERE key = 'compatible_from'")
    with pytest.raises(ConfigError, match=r"newer gateway.*9999_future"):
        await migrate(empty_database, report=quiet)


async def test_file_that_fails_leaves_nothing_of_itself(empty_database: str, folder: Path) -> None:
    (folder / "9999_broken.sql").write_text("CREATE TABLE gateway.half (id int); SELECT nonsense;")
    with pytest.raises(ConfigError, match=r"9999_broken\.sql"):
        await migrate(empty_database, report=quiet, folder=folder)
    async with connected(empty_database) as connection:
        assert await connection.fetchval("SELECT to_regclass('gateway.half')") is None
    (folder / "9999_broken.sql").write_text("CREATE TABLE gateway.half (id int);")

    assert await migrate(empty_database, report=quiet, folder=folder) == ["9999_broken.sql"]


async def test_two_at_once_apply_every_file_once(empty_database: str) -> None:
    said: list[str] = []
    async with asyncio.timeout(60):
        results = await asyncio.gather(*(migrate(empty_database, report=said.append) for _ in range(3)))

    names = [migration.name for migration in read_migrations(sql_folder())]
    assert sorted(name for result in results for name in result) == names


async def test_waiting_for_a_lock_holds_nobody_up_for_long(shop_database: str) -> None:
    waiting = asyncio.Event()
    async with connected(shop_database) as holder, connected(shop_database) as shop:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute(f"SELECT count(*) FROM {INCOMING}")
        running = asyncio.create_task(
            migrate(shop_database, report=set_on("in use", waiting), waits=Waits(lock_ms=200))
        )
        async with asyncio.timeout(30):
            await waiting.wait()
        for number in range(5):
            async with asyncio.timeout(30):
                await insert_message_of_shop(shop, number)
        await transaction.rollback()
        async with asyncio.timeout(60):
            applied = await running

    assert "0017_indexes.sql" in applied


async def insert_message_of_shop(connection: asyncpg.Connection, number: int) -> None:
    await connection.execute(
        f"INSERT INTO {INCOMING} (message_id, from_phone) VALUES ($1, '1')", f"S{number}"
    )


async def test_lock_that_never_comes_free_is_one_sentence(shop_database: str) -> None:
    async with connected(shop_database) as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute(f"LOCK TABLE {INCOMING}")
        pid = await holder.fetchval("SELECT pg_backend_pid()")
        with pytest.raises(ConfigError, match=f"process {pid}"):
            await migrate(shop_database, report=quiet, waits=Waits(lock_ms=20, patience_s=0.0))
        await transaction.rollback()


async def test_index_left_invalid_is_built_again(shop_database: str) -> None:
    async with connected(shop_database) as connection:
        # An interrupted concurrent build leaves this: here because two rows hold the same value.
        await connection.execute(
            f"ALTER TABLE {INCOMING} ADD COLUMN wa_key_id text; UPDATE {INCOMING} SET wa_key_id = 'same'"
        )
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(
                f"CREATE UNIQUE INDEX CONCURRENTLY gateway_incoming_wa_key_id ON {INCOMING} (wa_key_id)"
            )
        said: list[str] = []
        await migrate(shop_database, report=said.append)

        assert any("unfinished" in sentence for sentence in said)
        assert await connection.fetchval(
            "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = $1::text::regclass", INCOMING
        )


async def test_index_build_waits_for_old_transactions_and_says_so(shop_database: str) -> None:
    building = asyncio.Event()
    async with connected(shop_database) as old, connected(shop_database) as shop:
        transaction = old.transaction(isolation="repeatable_read")
        await transaction.start()
        await old.execute("SELECT count(*) FROM customers")  # a snapshot is all it takes
        running = asyncio.create_task(
            migrate(shop_database, report=set_on("Building", building), waits=Waits(quiet_s=0.05))
        )
        async with asyncio.timeout(30):
            await building.wait()
        async with asyncio.timeout(30):
            await insert_message_of_shop(shop, 1)
        await transaction.rollback()
        async with asyncio.timeout(60):
            assert "0017_indexes.sql" in await running


async def test_missing_rights_are_one_sentence(shop_database: str) -> None:
    async with connected(shop_database) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"CREATE ROLE not_owner; GRANT CREATE ON DATABASE {name} TO not_owner")
        try:
            with pytest.raises(ConfigError, match="must be owner of"):
                await migrate(f"{shop_database}&options=-c%20role%3Dnot_owner", report=quiet)
        finally:
            await connection.execute("DROP OWNED BY not_owner; DROP ROLE not_owner")


async def test_old_server_is_refused(empty_database: str) -> None:
    with pytest.raises(ConfigError, match="needs 99 or newer"):
        await migrate(empty_database, report=quiet, oldest_server=990000)


async def test_inbox_queries_use_the_inbox_indexes(connection: asyncpg.Connection) -> None:
    await connection.execute(
        f"""
        INSERT INTO {INCOMING} (message_id, from_phone, wasender_session_id, is_read)
        SELECT 'k' || i, (i % 400)::text, 12, i % 50 <> 0 FROM generate_series(1, 4000) AS i;
        ANALYZE {INCOMING};
        """
    )

    async def plan(condition: str) -> str:
        rows = await connection.fetch(
            f"EXPLAIN SELECT * FROM {INCOMING} WHERE coalesce(wasender_session_id, 0) = 12 {condition} "
            "AND gateway.chat_of(chat, from_phone) = '7@s.whatsapp.net' ORDER BY received_at DESC LIMIT 5"
        )
        return "\n".join(row[0] for row in rows)

    assert "gateway_incoming_chat" in await plan("")
    assert "gateway_incoming_unread" in await plan("AND NOT coalesce(is_read, false)")
    assert "Sort" not in await plan("")


@pytest.mark.parametrize(
    ("chat", "address", "found"),
    [
        ("1@g.us", "49151", "1@g.us"),
        (None, "+49 (151) 1", "491511@s.whatsapp.net"),
        ("", "49151", "49151@s.whatsapp.net"),
        (None, "99@lid", "99@lid"),
        (None, "unknown", "unknown"),
        (None, "", None),
        (None, None, None),
    ],
)
async def test_chat_of_a_row_is_the_same_in_sql_and_in_python(
    connection: asyncpg.Connection, chat: str | None, address: str | None, found: str | None
) -> None:
    assert await connection.fetchval("SELECT gateway.chat_of($1, $2)", chat, address) == found
    assert chat_of(chat, address) == found


async def test_remove_leaves_an_empty_database_as_it_was(empty_database: str) -> None:
    await migrate(empty_database, report=quiet)
    await remove(empty_database, report=quiet)
    async with connected(empty_database) as connection:
        assert (
            await connection.fetch("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
            == []
        )
        assert await connection.fetchval("SELECT to_regnamespace('gateway')") is None


async def test_remove_leaves_the_shop_with_exactly_what_it_had(shop_database: str) -> None:
    look = """
        SELECT c.relname, a.attname, c.reltuples FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT a.attisdropped ORDER BY 1, 2
    """
    triggers = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
    async with connected(shop_database) as connection:
        before = ([tuple(row)[:2] for row in await connection.fetch(look)], await connection.fetch(triggers))
        await migrate(shop_database, report=quiet)
        await remove(shop_database, report=quiet)
        after = ([tuple(row)[:2] for row in await connection.fetch(look)], await connection.fetch(triggers))
        await insert_message_of_shop(connection, 1)

    assert after == before


async def test_remove_keeps_tables_that_hold_rows_and_says_so(
    database: str, connection: asyncpg.Connection
) -> None:
    await insert_message(connection, 12)
    await insert_session(connection, 12)
    said: list[str] = []
    await remove(database, report=said.append)

    assert await connection.fetchval(f"SELECT count(*) FROM {INCOMING}") == 1
    assert any(INCOMING in sentence and "kept" in sentence for sentence in said)
    assert await connection.fetchval("SELECT to_regclass('integrations')") is None
    assert await connection.fetchval("SELECT to_regnamespace('gateway')") is None


async def test_what_was_removed_can_be_put_back(shop_database: str) -> None:
    await migrate(shop_database, report=quiet)
    await remove(shop_database, report=quiet)

    assert await migrate(shop_database, report=quiet) == [m.name for m in read_migrations(sql_folder())]


async def test_remove_finds_nothing_where_nothing_is(empty_database: str) -> None:
    said: list[str] = []
    await remove(empty_database, report=said.append)

    assert said == ["There is nothing of the gateway in this database."]

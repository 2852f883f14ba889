"""A shop's database is adopted: every row stays, no value changes, its own code goes on working."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from gateway.domain.errors import ConfigError
from gateway.postgres.connection.pool import connect_direct, open_pool
from gateway.postgres.connection.readers import Shared
from gateway.postgres.migrations.runner import migrate
from gateway.postgres.streams import StreamStore
from tests.postgres.writers import INBOX_CHANNEL, INCOMING, Bells, version_of

SHOP_TABLES = ("customers", "whatsapp_sessions", "whatsapp_session_logs", INCOMING, "message_counts")


@pytest.fixture(params=["shop_database", "uuid_shop_database"])
def shop(request: pytest.FixtureRequest) -> str:
    """Both kinds of shop: SERIAL and uuid ids."""
    dsn: str = request.getfixturevalue(request.param)
    return dsn


def quiet(_: str) -> None:
    pass


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect_direct(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def columns_of(connection: asyncpg.Connection, table: str) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute "
        "WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped",
        table,
    )
    return {row["attname"]: row["type"] for row in rows}


async def fingerprint(connection: asyncpg.Connection, columns: dict[str, dict[str, str]]) -> dict[str, str]:
    """A digest of every value of the named columns, row by row, and of where each row lies on disk."""
    found = {}
    for table, names in columns.items():
        listed = ", ".join(f'"{name}"' for name in names)
        found[table] = await connection.fetchval(
            f"SELECT md5(string_agg(md5(to_jsonb(t)::text), ',' ORDER BY md5(to_jsonb(t)::text))) "
            f"FROM (SELECT ctid::text, {listed} FROM {table}) AS t"
        )
    return found


async def test_every_row_stays_and_no_value_changes(shop: str) -> None:
    async with connected(shop) as connection:
        columns = {table: await columns_of(connection, table) for table in SHOP_TABLES}
        before = await fingerprint(connection, columns)
        await migrate(shop, report=quiet)

        assert await fingerprint(connection, columns) == before
        for table, names in columns.items():
            now = await columns_of(connection, table)
            assert {name: now[name] for name in names} == names


async def test_missing_columns_are_added_and_empty(shop: str) -> None:
    await migrate(shop, report=quiet)
    async with connected(shop) as connection:
        row = await connection.fetchrow(f"SELECT * FROM {INCOMING} WHERE message_id = '3EB0SHOP0001'")

    assert row is not None
    added = ("wasender_session_id", "chat", "wa_key_id", "push_name", "sender_lid", "edited_at", "deleted_at")
    assert {name: row[name] for name in added} == dict.fromkeys(added)


async def test_second_migration_does_nothing(shop: str) -> None:
    await migrate(shop, report=quiet)

    assert await migrate(shop, report=quiet) == []


async def test_comments_of_the_shop_stay_and_every_other_column_gets_one(shop: str) -> None:
    await migrate(shop, report=quiet)
    async with connected(shop) as connection:
        about = await connection.fetchval("SELECT obj_description('whatsapp_sessions'::regclass, 'pg_class')")
        name = await connection.fetchval("SELECT col_description('whatsapp_sessions'::regclass, 3)")

    assert about == "Our WhatsApp numbers (do not touch)"
    assert name == "Shown in the POS"


async def test_existing_sessions_have_a_state_and_an_inbox(shop: str) -> None:
    await migrate(shop, report=quiet)
    async with connected(shop) as connection:
        assert [await version_of(connection, number) for number in (101, 102, 103)] == [1, 1, 1]
        inboxes = await connection.fetch("SELECT inbox FROM gateway.inboxes ORDER BY inbox")

    assert [row["inbox"] for row in inboxes] == [-1, 0, 101, 102, 103]


async def test_old_rows_are_no_events_and_a_change_of_one_is(shop: str) -> None:
    await migrate(shop, report=quiet)
    pool = await open_pool(shop, timezone="UTC", pooled=False)
    try:
        store = StreamStore(Shared(pool))
        assert await store.read_after({0: 0}, 10) == []
        await pool.execute(f"UPDATE {INCOMING} SET is_read = true WHERE message_id = '3EB0SHOP0002'")
        (event,) = await store.read_after({0: 0}, 10)
    finally:
        await pool.close()

    assert event.old["changed"] == ["is_read"]
    assert event.record is not None
    assert event.record["received_at"] == "2025-02-28T18:06:00"
    assert "raw_data" not in event.record


async def test_trigger_of_the_shop_still_fires_and_the_insert_rings(shop: str) -> None:
    await migrate(shop, report=quiet)
    async with connected(shop) as connection, connected(shop) as ear:
        bells = Bells(ear)
        await bells.listen()
        await connection.execute(
            f"INSERT INTO {INCOMING} (message_id, from_phone) VALUES ('NEW', '4915123456789')"
        )

        counted = "SELECT count FROM message_counts WHERE phone = '4915123456789'"
        assert await connection.fetchval(counted) == 1  # the rows before came before the trigger
        assert await bells.heard() == [(INBOX_CHANNEL, "0")]


async def test_role_that_may_only_insert_still_can_and_a_bell_comes(shop: str) -> None:
    await migrate(shop, report=quiet)
    async with connected(shop) as connection, connected(shop) as ear:
        bells = Bells(ear)
        await bells.listen()
        await connection.execute(
            f"""
            DROP ROLE IF EXISTS shop_writer;
            CREATE ROLE shop_writer;
            REVOKE ALL ON SCHEMA public FROM PUBLIC;
            GRANT USAGE ON SCHEMA public TO shop_writer;
            GRANT INSERT ON {INCOMING}, message_counts TO shop_writer;
            GRANT SELECT, UPDATE ON message_counts TO shop_writer;
            GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO shop_writer;
            SET ROLE shop_writer;
            """
        )
        await connection.execute(
            f"INSERT INTO {INCOMING} (message_id, from_phone, wasender_session_id) VALUES ('BY-ROLE', '49151', 101)"
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM gateway.stream")
        await connection.execute("RESET ROLE")
        written = await connection.fetchval(
            "SELECT record ->> 'message_id' FROM gateway.stream WHERE inbox = 101"
        )
        await connection.execute("DROP OWNED BY shop_writer; DROP ROLE shop_writer")

        assert written == "BY-ROLE"
        assert await bells.heard() == [(INBOX_CHANNEL, "101")]


async def test_index_functions_work_for_everybody_whatever_the_default_privileges(shop: str) -> None:
    async with connected(shop) as connection:
        await connection.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
        await migrate(shop, report=quiet)
        await connection.execute(
            f"""
            DROP ROLE IF EXISTS plain_writer;
            CREATE ROLE plain_writer;
            DROP TRIGGER count_message ON {INCOMING};
            GRANT INSERT ON {INCOMING} TO plain_writer;
            GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO plain_writer;
            SET ROLE plain_writer;
            INSERT INTO {INCOMING} (message_id, from_phone) VALUES ('X', '49151');
            RESET ROLE;
            DROP OWNED BY plain_writer;
            DROP ROLE plain_writer;
            """
        )
        assert await connection.fetchval("SELECT count(*) FROM gateway.stream") == 1


async def test_foreign_key_of_logs_is_added_without_touching_orphans(uuid_shop_database: str) -> None:
    await migrate(uuid_shop_database, report=quiet)
    async with connected(uuid_shop_database) as connection:
        orphans = await connection.fetchval(
            "SELECT count(*) FROM whatsapp_session_logs WHERE session_id = 77"
        )
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await connection.execute(
                "INSERT INTO whatsapp_session_logs (session_id, event_type) VALUES (88, 'x')"
            )
        await connection.execute(
            "INSERT INTO whatsapp_session_logs (session_id, event_type) VALUES (NULL, 'x')"
        )
        await connection.execute("DELETE FROM whatsapp_sessions WHERE wasender_session_id = 101")
        left = await connection.fetch("SELECT session_id FROM whatsapp_session_logs ORDER BY id")

    assert orphans == 1
    assert [row["session_id"] for row in left] == [2, 77, None]


async def test_own_foreign_key_of_the_shop_is_not_doubled(shop_database: str) -> None:
    await migrate(shop_database, report=quiet)
    async with connected(shop_database) as connection:
        keys = await connection.fetchval(
            "SELECT count(*) FROM pg_constraint WHERE conrelid = 'whatsapp_session_logs'::regclass AND contype = 'f'"
        )

    assert keys == 1


async def test_index_the_shop_has_under_another_name_is_not_made_twice(shop_database: str) -> None:
    async with connected(shop_database) as connection:
        await connection.execute("ALTER INDEX idx_whatsapp_sessions_status RENAME TO by_status")
        await migrate(shop_database, report=quiet)
        indexes = await connection.fetchval(
            "SELECT count(*) FROM pg_indexes WHERE tablename = 'whatsapp_sessions' AND indexdef LIKE '%(status)'"
        )

    assert indexes == 1


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (f"CREATE VIEW {INCOMING} AS SELECT 1 AS id", "is a view"),
        (
            f"CREATE TABLE {INCOMING} (id int, message_id text) PARTITION BY RANGE (id)",
            "is a partitioned table",
        ),
        (f"CREATE TABLE {INCOMING} (id int)", "has no column message_id"),
        (
            f"CREATE TABLE {INCOMING} (id int, message_id text, wasender_session_id text)",
            "wasender_session_id is of type text",
        ),
    ],
)
async def test_table_that_cannot_be_adopted_is_refused_before_anything_is_made(
    empty_database: str, statement: str, words: str
) -> None:
    async with connected(empty_database) as connection:
        await connection.execute(statement)
        with pytest.raises(ConfigError, match=words):
            await migrate(empty_database, report=quiet)
        assert await connection.fetchval("SELECT to_regnamespace('gateway')") is None


async def test_value_that_should_be_unique_and_is_not_is_named(shop_database: str) -> None:
    async with connected(shop_database) as connection:
        await connection.execute(
            f"ALTER TABLE {INCOMING} DROP CONSTRAINT {INCOMING}_message_id_key; "
            f"INSERT INTO {INCOMING} (message_id, from_phone) VALUES ('3EB0SHOP0001', '1')"
        )
        with pytest.raises(ConfigError, match="3EB0SHOP0001"):
            await migrate(shop_database, report=quiet)
        await connection.execute(f"DELETE FROM {INCOMING} WHERE from_phone = '1'")

        assert (await migrate(shop_database, report=quiet))[0] == "0017_indexes.sql"

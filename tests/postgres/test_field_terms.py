"""Objects of the gateway are renamed in a database that a shop and its gateways use."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from gateway.postgres.connection.pool import connect_direct
from gateway.postgres.migrations.files import read_migrations, sql_folder
from gateway.postgres.migrations.runner import migrate, remove
from tests.postgres.writers import INCOMING, insert_many, insert_message, is_empty

RENAMING = "0047_field_terms.sql"

_NAMES_SQL = """
SELECT relname::text AS name, obj_description(oid, 'pg_class') AS comment
FROM pg_class WHERE relnamespace = 'gateway'::regnamespace
UNION ALL
SELECT a.attname::text, col_description(c.oid, a.attnum)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind = 'r'
UNION ALL
SELECT proname::text, obj_description(oid, 'pg_proc') FROM pg_proc WHERE pronamespace = 'gateway'::regnamespace
UNION ALL
SELECT tgname::text, NULL FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT relname::text, NULL FROM pg_class WHERE relkind = 'i' AND relname LIKE 'gateway%'
UNION ALL
SELECT conname::text, NULL FROM pg_constraint WHERE connamespace = 'gateway'::regnamespace
"""

_OLD_NAMES = {"staged", "marked", "ours", "staged_xid", "marked_pkey", "touched_pkey", "ring_v1", "mark_v1"}
_PRIVATE_WORDS = {
    "ring", "rings", "bell", "bells", "news", "upkeep", "trail",
    "roster", "lane", "truth", "doubt", "slumber", "nobody", "somebody", "whoever", "everybody",
}  # fmt: skip


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The files of sql/ as a gateway had them that knew the old names."""
    for migration in read_migrations(sql_folder()):
        if migration.name < RENAMING:
            (tmp_path / migration.name).write_text(migration.text, "utf-8")
    return tmp_path


def quiet(_: str) -> None:
    pass


async def write_until(connection: asyncpg.Connection, done: asyncio.Event, inbox: int) -> int:
    """One statement after the other, small and large, alone and in transactions; how many rows."""
    rows = 0
    while not done.is_set():
        await insert_message(connection, inbox)
        async with connection.transaction():
            await insert_many(connection, inbox, 3)
            await connection.execute(
                f"UPDATE {INCOMING} SET is_read = true WHERE wasender_session_id = $1 AND NOT is_read", inbox
            )
            await connection.execute(
                f"DELETE FROM {INCOMING} WHERE wasender_session_id = $1 AND from_phone = '49151'", inbox
            )
        rows += 1
    return rows


async def test_a_shop_that_writes_meanwhile_has_no_statement_refused(shop_database: str, older: Path) -> None:
    await migrate(shop_database, report=quiet, folder=older)
    done = asyncio.Event()
    writers = [await connect_direct(shop_database) for _ in range(4)]
    reader = await connect_direct(shop_database)
    try:
        tasks = [
            asyncio.create_task(write_until(writer, done, inbox))
            for writer, inbox in zip(writers, (3, 3, 4, 5), strict=True)
        ]
        await migrate(shop_database, report=quiet)
        for writer, _ in zip(range(3), range(3), strict=True):
            await insert_message(reader, 6 + writer)
        done.set()
        rows = await asyncio.gather(*tasks)

        assert all(rows)
        assert await is_empty(reader)
        for inbox, off, count, low in await reader.fetch(
            "SELECT i.inbox, i.off, count(s), min(s.off) FROM gateway.inboxes AS i "
            "JOIN gateway.stream AS s USING (inbox) GROUP BY i.inbox, i.off"
        ):
            assert (off, low) == (count, 1), inbox
        left = await reader.fetchval(
            f"SELECT count(*) FROM {INCOMING} WHERE wasender_session_id IN (3, 4, 5)"
        )
        told = await reader.fetchval(
            "SELECT count(*) FILTER (WHERE op = 'INSERT') - count(*) FILTER (WHERE op = 'DELETE') FROM gateway.stream"
            " WHERE inbox IN (3, 4, 5)"
        )
        assert told == left
    finally:
        for connection in (*writers, reader):
            await connection.close()


async def test_a_database_of_the_old_names_can_be_left_as_it_was(shop_database: str, older: Path) -> None:
    await migrate(shop_database, report=quiet, folder=older)
    await remove(shop_database, report=quiet)

    connection = await connect_direct(shop_database)
    try:
        assert await connection.fetchval("SELECT to_regnamespace('gateway')") is None
        assert (
            await connection.fetchval(
                "SELECT count(*) FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'wa_key_id'",
                INCOMING,
            )
            == 0
        )
    finally:
        await connection.close()


async def test_an_index_that_got_another_name_is_still_known_to_be_ours(
    connection: asyncpg.Connection,
) -> None:
    there = await connection.fetch(
        "SELECT indexrelid::regclass::text AS name FROM pg_index "
        "WHERE indrelid = 'public.whatsapp_session_logs'::regclass"
    )
    owned = await connection.fetch("SELECT name FROM gateway.owned_objects WHERE kind = 'index'")
    assert {"gateway_session_logs_by_gateway"} <= {row["name"] for row in there} & {
        row["name"] for row in owned
    }
    assert "gateway_session_logs_ours" not in {row["name"] for row in owned}


async def test_no_name_and_no_comment_of_ours_has_a_private_word(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(_NAMES_SQL)
    assert len(rows) > 100
    private = [
        tuple(row)
        for row in rows
        if row["name"] in _OLD_NAMES
        or _PRIVATE_WORDS & set(row["name"].split("_"))
        or _PRIVATE_WORDS & set((row["comment"] or "").lower().replace(",", " ").replace(".", " ").split())
    ]
    assert private == []

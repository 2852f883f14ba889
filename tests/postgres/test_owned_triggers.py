"""Triggers that a shop's tools drop, disable or turn back are found, named and made again; replicas are told of."""

import asyncpg
import pytest

from gateway.domain.triggers import explain_faults
from gateway.postgres.migrations.runner import migrate
from gateway.postgres.streams import StreamStore
from gateway.postgres.triggers import read_faults, read_subscribed
from tests.postgres.writers import INCOMING, OUTGOING, insert_message, insert_session, version_of


def quiet(_: str) -> None:
    pass


async def epochs(connection: asyncpg.Connection) -> dict[int, str]:
    return {
        row["inbox"]: str(row["epoch"])
        for row in await connection.fetch("SELECT inbox, epoch FROM gateway.inboxes")
    }


REBUILD = f"""
BEGIN;
CREATE TABLE public.rebuilt (LIKE public.{INCOMING} INCLUDING ALL);
INSERT INTO public.rebuilt SELECT * FROM public.{INCOMING};
DROP TABLE public.{INCOMING};
ALTER TABLE public.rebuilt RENAME TO {INCOMING};
SELECT setval(pg_get_serial_sequence('public.{INCOMING}', 'id'), 1000);
COMMIT;
"""

BREAKING = {
    "dropped": (f"DROP TRIGGER gateway_collect_updates ON public.{INCOMING}", "lost the trigger"),
    "disabled": (f"ALTER TABLE public.{INCOMING} DISABLE TRIGGER gateway_collect_inserts", "is disabled"),
    "all disabled": (f"ALTER TABLE public.{OUTGOING} DISABLE TRIGGER USER", "and 3 more"),
    "turned back": (f"ALTER TABLE public.{INCOMING} ENABLE TRIGGER ALL", "no longer fires for replicas"),
    "rebuilt": (REBUILD, "lost the trigger gateway_collect_deletes"),
    "a column dropped": (f"ALTER TABLE public.{INCOMING} DROP COLUMN push_name", "lost the column push_name"),
    "a table dropped": (f"DROP TABLE public.{OUTGOING}", f"table public.{OUTGOING} is gone"),
    "numbering disabled": ("ALTER TABLE gateway.commit_markers DISABLE TRIGGER ALL", "gateway_number_changes"),
}  # fmt: skip


async def test_a_migrated_database_has_no_fault(connection: asyncpg.Connection) -> None:
    assert await read_faults(connection) == []
    assert explain_faults([]) is None


@pytest.mark.parametrize(("statement", "says"), BREAKING.values(), ids=BREAKING)
async def test_what_is_broken_is_named_and_migrate_repairs_it(
    database: str, connection: asyncpg.Connection, store: StreamStore, statement: str, says: str
) -> None:
    await insert_message(connection, 12)
    before = await epochs(connection)
    await connection.execute(statement)
    sentence = explain_faults(await read_faults(connection))
    assert sentence is not None
    assert says in sentence
    assert "`gateway migrate`" in sentence

    said: list[str] = []
    assert await migrate(database, report=said.append) == []
    assert any("repaired" in line for line in said)
    assert await read_faults(connection) == []
    after = await epochs(connection)
    assert all(after[inbox] != epoch for inbox, epoch in before.items())

    top = (await store.extents([12]))[12].top
    number = await insert_message(connection, 12, message_text="told again", push_name="Ann")
    await connection.execute(f"UPDATE {INCOMING} SET is_read = true WHERE id = $1", number)
    await connection.execute(
        f"INSERT INTO {OUTGOING} (wasender_session_id, client_id, to_phone) VALUES (12, 'c', '49')"
    )
    assert [(event.table, event.operation) for event in await store.read_after({12: top}, 10)] == [
        (INCOMING, "INSERT"), (INCOMING, "UPDATE"), (OUTGOING, "INSERT"),
    ]  # fmt: skip
    assert await migrate(database, report=said.append) == []
    assert await epochs(connection) == after


async def test_a_rebuilt_table_gets_its_indexes_back(database: str, connection: asyncpg.Connection) -> None:
    await connection.execute(REBUILD)
    await connection.execute(f"ALTER TABLE public.{INCOMING} DROP COLUMN chat")
    await migrate(database, report=quiet)
    assert await connection.fetchval("SELECT to_regclass('public.gateway_incoming_chat') IS NOT NULL")


async def test_rows_written_as_a_replica_are_told_like_others(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await connection.execute("SET session_replication_role = replica")
    number = await insert_message(connection, 12, message_text="from a replica")
    await connection.execute(f"UPDATE {INCOMING} SET is_read = true WHERE id = $1", number)
    await connection.execute(f"DELETE FROM {INCOMING} WHERE id = $1", number)
    await insert_session(connection, 12)

    assert [event.operation for event in await store.read_after({12: 0}, 10)] == [
        "INSERT",
        "UPDATE",
        "DELETE",
    ]
    assert await version_of(connection, 12) == 1
    assert await read_subscribed(connection, [f"public.{INCOMING}", "public.not_there"]) == []


async def test_a_restore_with_triggers_off_is_found(connection: asyncpg.Connection) -> None:
    """What `pg_restore --disable-triggers` does around its rows."""
    await connection.execute(f"ALTER TABLE public.{INCOMING} DISABLE TRIGGER ALL")
    await insert_message(connection, 12)
    await connection.execute(f"ALTER TABLE public.{INCOMING} ENABLE TRIGGER ALL")
    assert {fault.fault for fault in await read_faults(connection)} == {"not_always"}


async def test_what_cannot_be_repaired_is_said_and_resets_nobody_again_and_again(
    database: str, connection: asyncpg.Connection
) -> None:
    await insert_message(connection, 12)
    await connection.execute(
        "INSERT INTO gateway.owned_objects (kind, tbl, name) VALUES ('column', $1, 'long_gone')", INCOMING
    )
    before = await epochs(connection)
    said: list[str] = []
    await migrate(database, report=said.append)
    assert said == [
        f"The table public.{INCOMING} has lost the column long_gone: changes there are not told to browsers; "
        "this could not be repaired."
    ]
    assert await epochs(connection) == before

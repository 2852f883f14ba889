"""Triggers of the shop that change the row they were called for: what they made of it is what browsers end with."""

import asyncpg
import pytest

from gateway.postgres.streams import StreamStore
from tests.postgres.writers import INCOMING, insert_message, is_empty

NAMED = "UPDATE {table} SET push_name = 'named by the shop' WHERE id = NEW.id AND push_name IS NULL"
MOVED = "UPDATE {table} SET wasender_session_id = 12 WHERE id = NEW.id AND wasender_session_id IS NULL"
GONE = "DELETE FROM {table} WHERE id = NEW.id"


async def add_trigger(
    connection: asyncpg.Connection, does: str, when: str = "INSERT", table: str = INCOMING
) -> None:
    await connection.execute(
        f"CREATE FUNCTION shop_{when}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {does.format(table=f'public.{table}')}; RETURN NULL; END $$; "
        f"CREATE TRIGGER shop_{when} AFTER {when} ON public.{table} FOR EACH ROW EXECUTE FUNCTION shop_{when}()"
    )


async def told(store: StreamStore, inbox: int = 12) -> list[tuple[str, str | None]]:
    """Operation and name of each event."""
    events = await store.read_after({inbox: 0}, 1000)
    return [(event.operation, (event.record or {}).get("push_name")) for event in events]


async def test_what_a_trigger_makes_of_a_new_row_comes_after_the_row(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await add_trigger(connection, NAMED)
    await insert_message(connection, 12)

    assert await told(store) == [("INSERT", None), ("UPDATE", "named by the shop")]
    assert await is_empty(connection)


async def test_what_a_trigger_makes_of_a_change_comes_after_the_change(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_message(connection, 12, push_name="Ann")
    await add_trigger(connection, NAMED, "UPDATE")
    await connection.execute(f"UPDATE {INCOMING} SET push_name = NULL")

    assert await told(store) == [("INSERT", "Ann"), ("UPDATE", None), ("UPDATE", "named by the shop")]


async def test_a_row_that_a_trigger_gives_to_another_inbox_is_nobody_elses_any_more(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await add_trigger(connection, MOVED)
    await insert_message(connection, None)

    assert [operation for operation, _ in await told(store, 0)] == ["INSERT", "DELETE"]
    assert [operation for operation, _ in await told(store, 12)] == ["INSERT"]


async def test_a_row_that_a_trigger_deletes_at_once_is_deleted_in_the_end(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await add_trigger(connection, GONE)
    await insert_message(connection, 12)

    assert [operation for operation, _ in await told(store)] == ["INSERT", "DELETE"]


async def test_rows_of_one_statement_each_get_what_their_trigger_made_of_them(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await add_trigger(connection, NAMED)
    await connection.execute(
        f"INSERT INTO {INCOMING} (message_id, from_phone, wasender_session_id, push_name) "
        "VALUES ('a', '1', 12, NULL), ('b', '1', 12, 'Bob'), ('c', '1', 12, NULL)"
    )

    assert await told(store) == [
        ("INSERT", None), ("INSERT", "Bob"), ("INSERT", None),
        ("UPDATE", "named by the shop"), ("UPDATE", "named by the shop"),
    ]  # fmt: skip


async def test_a_row_made_by_a_trigger_of_another_table_and_changed_later_keeps_its_order(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await connection.execute("CREATE TABLE orders (id bigint)")
    row = "INSERT INTO {table} (message_id, from_phone, wasender_session_id) VALUES ('o', '1', 12)"
    await connection.execute(
        f"CREATE FUNCTION order_made() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {row.format(table=f'public.{INCOMING}')}; RETURN NULL; END $$; "
        "CREATE TRIGGER order_made AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION order_made()"
    )
    async with connection.transaction():
        await connection.execute("INSERT INTO orders VALUES (1)")
        await connection.execute(f"UPDATE {INCOMING} SET push_name = 'later'")
        await connection.execute(f"UPDATE {INCOMING} SET push_name = 'last'")

    assert await told(store) == [("INSERT", None), ("UPDATE", "later"), ("UPDATE", "last")]


@pytest.mark.parametrize("does", [NAMED, MOVED, GONE])
async def test_the_last_word_of_a_busy_transaction_is_how_the_rows_are(
    connection: asyncpg.Connection, store: StreamStore, does: str
) -> None:
    await add_trigger(connection, does)
    await add_trigger(connection, does, "UPDATE")
    async with connection.transaction():
        for number in range(3):
            await insert_message(connection, 12 if number else None)
            await connection.execute(f"UPDATE {INCOMING} SET push_name = NULL, is_read = true")
            await connection.execute("SAVEPOINT here")
            await insert_message(connection, 12)
            await connection.execute("ROLLBACK TO here")

    shown: dict[int, dict[str, str | None]] = {}
    for inbox in (0, 12):
        for event in await store.read_after({inbox: 0}, 1000):
            rows = shown.setdefault(inbox, {})
            rows.pop(str(event.old["id"]), None)
            if event.record is not None:
                rows[str(event.record["id"])] = event.record["push_name"]
    real = await connection.fetch(
        f"SELECT coalesce(wasender_session_id, 0) AS inbox, id, push_name FROM {INCOMING}"
    )
    for inbox in (0, 12):
        assert shown.get(inbox, {}) == {
            str(row["id"]): row["push_name"] for row in real if row["inbox"] == inbox
        }

"""Numbering at commit: savepoints, immediate constraints, other triggers, and who waits for whom."""

import asyncio

import asyncpg

from gateway.postgres.streams import StreamStore
from tests.postgres.writers import INBOX_CHANNEL, INCOMING, Bells, insert_message, insert_session, is_empty


async def keys(store: StreamStore, inbox: int) -> list[tuple[int, str]]:
    events = await store.read_after({inbox: 0}, 1000)
    return [(event.off, (event.record or event.old)["message_id"]) for event in events]


async def test_rolled_back_transaction_leaves_no_gap(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_message(connection, 12, message_id="a")
    transaction = connection.transaction()
    await transaction.start()
    await insert_message(connection, 12, message_id="b")
    await transaction.rollback()
    await insert_message(connection, 12, message_id="c")

    assert await keys(store, 12) == [(1, "a"), (2, "c")]


async def test_rolled_back_savepoint_takes_only_its_own_changes(
    connection: asyncpg.Connection, store: StreamStore, bells: Bells
) -> None:
    async with connection.transaction():
        first = connection.transaction()
        await first.start()
        await insert_message(connection, 12, message_id="lost")
        await insert_message(connection, 7, message_id="lost too")
        await first.rollback()
        await insert_message(connection, 12, message_id="kept")
        second = connection.transaction()
        await second.start()
        await insert_message(connection, 12, message_id="lost as well")
        await second.rollback()

    assert await keys(store, 12) == [(1, "kept")]
    assert await bells.heard() == [(INBOX_CHANNEL, "12")]
    assert await is_empty(connection)


async def test_transaction_whose_every_change_was_rolled_back_rings_nothing(
    connection: asyncpg.Connection, bells: Bells
) -> None:
    async with connection.transaction():
        await connection.execute("SELECT 1")
        savepoint = connection.transaction()
        await savepoint.start()
        await insert_message(connection, 12)
        await savepoint.rollback()

    assert await bells.heard() == []
    assert await is_empty(connection)


async def test_immediate_constraints_change_nothing_about_the_stream(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    async with connection.transaction():
        await insert_message(connection, 12, message_id="a")
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        await insert_message(connection, 12, message_id="b")
        await insert_message(connection, 7, message_id="x")
        await connection.execute("SET CONSTRAINTS ALL DEFERRED")
        await insert_message(connection, 12, message_id="c")
    await insert_message(connection, 12, message_id="d")

    assert await keys(store, 12) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert await keys(store, 7) == [(1, "x")]
    assert await is_empty(connection)


async def test_deferred_trigger_of_the_shop_may_write_while_we_number(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await connection.execute(
        """
        CREATE TABLE shop_orders (id int);
        CREATE FUNCTION answer() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO whatsapp_incoming_messages (message_id, wasender_session_id) VALUES ('late ' || NEW.id, 12);
            RETURN NULL;
        END; $$;
        CREATE CONSTRAINT TRIGGER answer AFTER INSERT ON shop_orders DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION answer();
        """
    )
    async with connection.transaction():
        await insert_message(connection, 12, message_id="early")
        await connection.execute("INSERT INTO shop_orders VALUES (1), (2)")

    assert await keys(store, 12) == [(1, "early"), (2, "late 1"), (3, "late 2")]
    assert await is_empty(connection)


async def test_row_trigger_of_the_shop_that_writes_more_messages_is_followed(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await connection.execute(
        """
        CREATE FUNCTION mirror() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.message_id NOT LIKE 'mirror%' THEN
                INSERT INTO whatsapp_incoming_messages (message_id, wasender_session_id)
                VALUES ('mirror ' || NEW.message_id, 7);
            END IF;
            RETURN NEW;
        END; $$;
        CREATE TRIGGER mirror AFTER INSERT ON whatsapp_incoming_messages
            FOR EACH ROW EXECUTE FUNCTION mirror();
        """
    )
    await insert_message(connection, 12, message_id="a")

    assert await keys(store, 12) == [(1, "a")]
    assert await keys(store, 7) == [(1, "mirror a")]


async def test_open_insert_of_a_stranger_delays_nobody(
    connection: asyncpg.Connection, other: asyncpg.Connection, store: StreamStore, bells: Bells
) -> None:
    stranger = other.transaction()
    await stranger.start()
    await insert_message(other, 12, message_id="open")
    await insert_session(other, 12)
    await other.execute("INSERT INTO gateway.whatsapp_link_attempts (wasender_session_id) VALUES (12)")
    async with asyncio.timeout(30):
        await insert_message(connection, 12, message_id="same inbox")
        await insert_message(connection, 7, message_id="other inbox")

    assert await keys(store, 12) == [(1, "same inbox")]
    assert await keys(store, 7) == [(1, "other inbox")]
    assert await bells.heard() == [(INBOX_CHANNEL, "12"), (INBOX_CHANNEL, "7")]
    await stranger.commit()
    assert await keys(store, 12) == [(1, "same inbox"), (2, "open")]


async def test_two_strangers_over_the_same_inboxes_in_opposite_order_both_commit(
    connection: asyncpg.Connection, other: asyncpg.Connection, store: StreamStore
) -> None:
    one, two = connection.transaction(), other.transaction()
    await one.start()
    await two.start()
    await insert_message(connection, 1, message_id="one-1")
    await insert_message(other, 2, message_id="two-2")
    await insert_message(connection, 2, message_id="one-2")
    await insert_message(other, 1, message_id="two-1")
    async with asyncio.timeout(30):
        await asyncio.gather(one.commit(), two.commit())

    assert {key for _, key in await keys(store, 1)} == {"one-1", "two-1"}
    assert {key for _, key in await keys(store, 2)} == {"one-2", "two-2"}


async def test_many_strangers_that_make_the_same_new_inboxes_all_commit(
    database: str, connection: asyncpg.Connection, store: StreamStore
) -> None:
    async def write(number: int) -> None:
        writer = await asyncpg.connect(database)
        try:
            async with writer.transaction():
                for inbox in range(1, 21) if number % 2 else range(20, 0, -1):
                    await insert_message(writer, inbox)
        finally:
            await writer.close()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(12):
            group.create_task(write(number), name=f"writer-{number}")

    assert {
        inbox: extent.top for inbox, extent in (await store.extents(range(1, 21))).items()
    } == dict.fromkeys(range(1, 21), 12)


async def test_repeatable_read_writer_is_never_told_to_retry_because_of_a_counter(
    connection: asyncpg.Connection, other: asyncpg.Connection, store: StreamStore
) -> None:
    """Its changes get their numbers afterwards: see test_numbered_later.py."""
    overtaken = other.transaction(isolation="repeatable_read")
    await overtaken.start()
    await insert_message(other, 12, message_id="overtaken")
    await insert_message(connection, 12, message_id="faster")
    await overtaken.commit()

    assert await keys(store, 12) == [(1, "faster")]


async def test_crash_before_commit_leaves_nothing_behind(
    connection: asyncpg.Connection, other: asyncpg.Connection, store: StreamStore
) -> None:
    transaction = other.transaction()
    await transaction.start()
    await insert_message(other, 12, message_id="never")
    pid = await other.fetchval("SELECT pg_backend_pid()")
    await connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    await insert_message(connection, 12, message_id="a")

    assert await keys(store, 12) == [(1, "a")]
    assert await connection.fetchval(f"SELECT count(*) FROM {INCOMING}") == 1

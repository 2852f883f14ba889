"""What one change leaves in the stream, and which bell it rings."""

import json
from datetime import datetime

import asyncpg
import pytest

from gateway.postgres.streams import StreamStore
from tests.postgres.writers import INBOX_CHANNEL, INCOMING, OUTGOING, Bells, insert_message, is_empty


async def test_insert_is_one_event_with_the_row_but_without_raw_data(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    row = await insert_message(connection, 12, message_text="hi", raw_data={"sessionId": "secret"})

    (event,) = await store.read_after({12: 0}, 10)
    assert (event.inbox, event.off, event.table, event.operation) == (12, 1, INCOMING, "INSERT")
    assert event.record is not None
    assert event.record["message_text"] == "hi"
    assert "raw_data" not in event.record
    assert event.old == {"id": row}
    assert datetime.fromisoformat(event.at).tzinfo is not None
    assert await is_empty(connection)


async def test_update_names_the_columns_that_changed(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    row = await insert_message(connection, 12)
    await connection.execute(
        f"UPDATE {INCOMING} SET is_read = true, message_text = 'edited', edited_at = now()"
    )

    _, event = await store.read_after({12: 0}, 10)
    assert event.operation == "UPDATE"
    assert event.old == {"id": row, "changed": ["edited_at", "is_read", "message_text"]}
    assert event.record is not None
    assert event.record["message_text"] == "edited"


async def test_update_that_changes_nothing_visible_leaves_no_event_and_rings_no_bell(
    connection: asyncpg.Connection, store: StreamStore, bells: Bells
) -> None:
    await insert_message(connection, 12)
    await bells.heard()
    await connection.execute(
        f"""UPDATE {INCOMING} SET raw_data = '{{"a": 1}}', message_text = message_text"""
    )

    assert len(await store.read_after({12: 0}, 10)) == 1
    assert await bells.heard() == []


async def test_statement_that_meets_no_row_rings_no_bell(
    connection: asyncpg.Connection, bells: Bells
) -> None:
    await connection.execute(f"INSERT INTO {INCOMING} (message_id) SELECT 'x' WHERE false")
    await connection.execute(f"UPDATE {INCOMING} SET is_read = true")
    await connection.execute(f"DELETE FROM {INCOMING}")

    assert await bells.heard() == []
    assert await is_empty(connection)


async def test_delete_holds_what_a_client_needs_to_find_the_row(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    incoming = await insert_message(connection, 12, message_id="KEY-A", from_phone="+49 151 1")
    outgoing = await connection.fetchval(
        f"INSERT INTO {OUTGOING} (client_id, wasender_session_id, chat) VALUES ('c-1', 12, '1@g.us') RETURNING id"
    )
    await connection.execute(f"DELETE FROM {INCOMING}")
    await connection.execute(f"DELETE FROM {OUTGOING}")

    first, second = await store.read_after({12: 2}, 10)
    assert (first.operation, first.table, first.record) == ("DELETE", INCOMING, None)
    assert first.old == {"id": incoming, "message_id": "KEY-A", "chat": "491511@s.whatsapp.net"}
    assert (second.operation, second.table, second.record) == ("DELETE", OUTGOING, None)
    assert second.old == {"id": outgoing, "client_id": "c-1", "chat": "1@g.us"}


async def test_row_that_moves_to_another_chat_says_which_one_it_left(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    row = await insert_message(connection, 12, from_phone="77@lid")
    await connection.execute(f"UPDATE {INCOMING} SET from_phone = '49 151'")
    await connection.execute(f"UPDATE {INCOMING} SET from_phone = '49151'")

    moved, reformatted = await store.read_after({12: 1}, 10)
    assert moved.old == {"id": row, "changed": ["from_phone"], "chat": "77@lid"}
    assert reformatted.old == {"id": row, "changed": ["from_phone"]}


async def test_row_that_changes_its_inbox_is_deleted_in_one_and_created_in_the_other(
    connection: asyncpg.Connection, store: StreamStore, bells: Bells
) -> None:
    await insert_message(connection, None)
    await bells.heard()
    await connection.execute(f"UPDATE {INCOMING} SET wasender_session_id = 12")

    events = await store.read_after({0: 1, 12: 0}, 10)
    assert [(event.inbox, event.off, event.operation) for event in events] == [
        (0, 2, "DELETE"),
        (12, 1, "INSERT"),
    ]
    assert await bells.heard() == [(INBOX_CHANNEL, "0,12")]


async def test_row_that_changes_its_key_is_deleted_before_it_is_created(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    row = await insert_message(connection, 12)
    await connection.execute(f"UPDATE {INCOMING} SET id = id + 100")

    events = await store.read_after({12: 1}, 10)
    assert [(event.operation, event.old["id"]) for event in events] == [
        ("DELETE", row),
        ("INSERT", row + 100),
    ]


async def test_incoming_and_outgoing_share_one_order(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    async with connection.transaction():
        await insert_message(connection, 12)
        await connection.execute(f"INSERT INTO {OUTGOING} (client_id, wasender_session_id) VALUES ('c', 12)")
        await insert_message(connection, 12)

    events = await store.read_after({12: 0}, 10)
    assert [(event.off, event.table) for event in events] == [(1, INCOMING), (2, OUTGOING), (3, INCOMING)]


async def test_rows_of_one_statement_keep_their_order(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await connection.execute(
        f"INSERT INTO {INCOMING} (message_id, wasender_session_id) "
        "SELECT 'k' || i, 12 FROM generate_series(1, 500) AS i"
    )

    events = await store.read_after({12: 0}, 1000)
    assert [event.off for event in events] == list(range(1, 501))
    assert [event.record and event.record["message_id"] for event in events] == [
        f"k{i}" for i in range(1, 501)
    ]


async def test_one_transaction_over_many_inboxes_rings_once(
    connection: asyncpg.Connection, bells: Bells
) -> None:
    async with connection.transaction():
        for inbox in (30, 2, None, 30, 11):
            await insert_message(connection, inbox)

    assert await bells.heard() == [(INBOX_CHANNEL, "0,2,11,30")]


async def test_bell_that_would_be_long_is_a_star(connection: asyncpg.Connection, bells: Bells) -> None:
    await connection.execute(
        f"INSERT INTO {INCOMING} (message_id, wasender_session_id) "
        "SELECT 'k' || i, 1000000 + i FROM generate_series(1, 3000) AS i"
    )

    assert await bells.heard() == [(INBOX_CHANNEL, "*")]


@pytest.mark.parametrize("placeholder", [0, -1, -7])
async def test_placeholder_session_of_another_writer_is_inbox_zero(
    connection: asyncpg.Connection, store: StreamStore, placeholder: int
) -> None:
    await insert_message(connection, placeholder)

    assert [event.inbox for event in await store.read_after({0: 0, -1: 0, -7: 0}, 10)] == [0]


async def test_copy_upsert_and_merge_are_seen(connection: asyncpg.Connection, store: StreamStore) -> None:
    await connection.copy_records_to_table(
        INCOMING, records=[("copied", 12)], columns=["message_id", "wasender_session_id"]
    )
    await connection.execute(
        f"""
        INSERT INTO {INCOMING} (message_id, wasender_session_id)
        VALUES ('copied', 12), ('inserted', 12)
        ON CONFLICT (message_id) DO UPDATE SET is_read = true
        """
    )
    await connection.execute(
        f"""
        MERGE INTO {INCOMING} AS m
        USING (VALUES ('copied'), ('merged')) AS v (key) ON m.message_id = v.key
        WHEN MATCHED THEN DELETE
        WHEN NOT MATCHED THEN INSERT (message_id, wasender_session_id) VALUES (v.key, 12)
        """
    )

    events = await store.read_after({12: 0}, 10)
    assert [event.off for event in events] == [1, 2, 3, 4, 5]
    assert events[0].operation == "INSERT"
    assert {event.operation for event in events[1:3]} == {"INSERT", "UPDATE"}
    assert {event.operation for event in events[3:]} == {"INSERT", "DELETE"}


async def test_json_looks_the_same_whoever_wrote_the_row(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await connection.execute("SET timezone = 'Asia/Kathmandu'; SET datestyle = 'German, DMY'")
    await insert_message(connection, 12, received_at=datetime.fromisoformat("2026-01-02T03:04:05Z"))

    (event,) = await store.read_after({12: 0}, 10)
    assert event.record is not None
    assert event.record["received_at"] == "2026-01-02T03:04:05+00:00"


async def test_column_added_later_is_seen_by_connections_that_wrote_before(
    connection: asyncpg.Connection, other: asyncpg.Connection, store: StreamStore
) -> None:
    for _ in range(7):  # enough for every plan to be a cached one
        await insert_message(connection, 12)
        await connection.execute(f"UPDATE {INCOMING} SET is_read = NOT is_read")
    top = (await store.extents([12]))[12].top
    await other.execute(f"ALTER TABLE {INCOMING} ADD COLUMN mood text")
    await insert_message(connection, 12, mood="good")
    await connection.execute(f"UPDATE {INCOMING} SET mood = 'better' WHERE mood = 'good'")

    created, updated = await store.read_after({12: top}, 10)
    assert created.record is not None
    assert created.record["mood"] == "good"
    assert updated.old["changed"] == ["mood"]


async def test_a_row_with_a_column_that_cannot_be_told_is_read_a_few_times_and_not_once_per_column(
    connection: asyncpg.Connection,
) -> None:
    await connection.execute(
        """
        CREATE SEQUENCE reads;
        CREATE FUNCTION is_read(value text) RETURNS boolean LANGUAGE sql VOLATILE RETURN nextval('reads') > 0;
        CREATE DOMAIN counted AS text CHECK (is_read(VALUE));
        ALTER TABLE whatsapp_incoming_messages ADD COLUMN own counted, ADD COLUMN fresh json, ADD COLUMN list text[];
        """
    )
    await insert_message(connection, 12, own="once", list=["a"])
    await connection.execute(f"UPDATE {INCOMING} SET fresh = $1::text::json", '"\\u0000"')
    before = await connection.fetchval("SELECT last_value FROM reads")
    told = await connection.fetchval(
        f"SELECT gateway.record_of_v1(m.*, '{INCOMING}'::regclass)::text FROM {INCOMING} AS m"
    )
    record = json.loads(told)

    assert (record[""], record["fresh"], record["own"], record["list"]) == (["fresh"], None, "once", ["a"])
    assert record["wasender_session_id"] == 12
    assert await connection.fetchval("SELECT last_value FROM reads") - before <= 5

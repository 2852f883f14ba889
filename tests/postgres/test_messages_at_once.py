"""Batches of nothing but messages: one statement, and as careful as one that is written in steps."""

from typing import Any

import asyncpg
import pytest

from gateway.domain.message import MessageReceived
from gateway.postgres.connection.pool import open_pool
from gateway.postgres.webhooks.batches import WebhookTable
from tests.postgres.delivery_parts import JID, delivery, received
from tests.postgres.writers import INCOMING, insert_message

LID = "777@lid"


def by_lid(key: str, **more: Any) -> MessageReceived:
    return received(key, **{"chat": LID, "from_phone": LID, **more})


async def test_a_batch_of_messages_is_one_statement(database: str) -> None:
    pool = await open_pool(database, timezone="UTC", max_size=1, pooled=False)
    asked: list[str] = []
    try:
        deliveries = WebhookTable(pool, None)
        await deliveries.write([delivery()])  # notes that webhooks come, which it does once a minute
        async with pool.acquire() as connection:
            connection.add_query_logger(lambda record: asked.append(record.query))
        known = received("B", sender_lid="1@lid")
        assert await deliveries.write([delivery(received("A")), delivery(known), delivery()]) == [
            "stored",
            "stored",
            "ignored",
        ]
    finally:
        await pool.close()

    assert len(asked) == 1
    assert "BEGIN" not in asked[0]


async def test_a_message_that_another_session_holds_is_kept_beside_it_once(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    await insert_message(connection, 13, message_id="K")
    batch = [delivery(received()), delivery(received("other")), delivery(received())]

    assert await table.write(batch) == ["stored", "stored", "duplicate"]

    rows = await connection.fetch(
        f"SELECT message_id, wa_key_id FROM {INCOMING} WHERE wasender_session_id = 12"
    )
    assert {tuple(row.values()) for row in rows} == {("K@12", "K"), ("other", "other")}


async def test_a_number_told_later_in_the_batch_counts_for_what_came_before(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    told = received("B", sender_lid=LID)

    assert await table.write([delivery(by_lid("A")), delivery(told)]) == ["stored"] * 2

    rows = await connection.fetch(f"SELECT chat, from_phone, sender_lid FROM {INCOMING}")
    assert {tuple(row.values()) for row in rows} == {(JID, "49151", LID)}


async def test_a_lid_that_has_moved_to_another_number_is_learned_anew(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    await table.write([delivery(received("A", sender_lid=LID))])
    await table.write([delivery(received("B", sender_lid=LID, from_phone="49152"))])
    await table.write([delivery(by_lid("C"))])

    assert await connection.fetchval(f"SELECT from_phone FROM {INCOMING} WHERE message_id = 'C'") == "49152"


@pytest.mark.parametrize("size", [1, 2])
async def test_a_trigger_of_the_shop_finds_its_own_tables(
    table: WebhookTable,
    connection: asyncpg.Connection,
    size: int,
) -> None:
    await connection.execute(f"""
        CREATE TABLE shop_notes (key text, waits_for text);
        CREATE FUNCTION shop_note() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO shop_notes VALUES (NEW.message_id, current_setting(''lock_timeout'')); RETURN NEW; END';
        CREATE TRIGGER shop_note AFTER INSERT ON {INCOMING} FOR EACH ROW EXECUTE FUNCTION shop_note();
    """)

    assert await table.write([delivery(received(f"K{turn}")) for turn in range(size)]) == ["stored"] * size

    notes = await connection.fetch("SELECT waits_for FROM shop_notes")
    assert [note["waits_for"] for note in notes] == ["100ms" if size == 1 else "400ms"] * size


async def test_a_row_that_a_trigger_of_the_shop_swallows_is_kept_in_the_journal(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    await connection.execute(f"""
        CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN IF NEW.message_id = ''B'' THEN RETURN NULL; END IF; RETURN NEW; END';
        CREATE TRIGGER swallow BEFORE INSERT ON {INCOMING} FOR EACH ROW EXECUTE FUNCTION swallow();
    """)

    outcomes = await table.write([delivery(received(key)) for key in "CBA"])

    assert outcomes == ["stored", "ignored", "stored"]
    assert await connection.fetchval("SELECT body FROM gateway.journal WHERE outcome = 'ignored'") is not None


async def test_what_has_been_collected_is_found_by_index_also_after_a_vacuum(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    collecting = ("pending_changes", "commit_markers", "touched_sessions")
    for name in collecting:
        await connection.execute(f"VACUUM gateway.{name}")

    async with connection.transaction():
        # In an order that is not that of the keys, so that they are collected anew.
        await table.write_rows(connection, [delivery(received(key)) for key in "CAB"])
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        scans = await connection.fetch(
            "SELECT relname, seq_scan FROM pg_stat_xact_all_tables WHERE schemaname = 'gateway' AND relname = ANY ($1)",
            collecting,
        )

    assert {row["relname"]: row["seq_scan"] for row in scans} == dict.fromkeys(collecting, 0)

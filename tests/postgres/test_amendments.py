"""Messages and their changes against each other: none is lost, none comes twice, none wins wrongly."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg

from gateway.domain.message import MessageEdited, Sealed
from gateway.postgres.connection.pool import open_pool
from gateway.postgres.webhooks.batches import WebhookTable
from tests.postgres.delivery_parts import AT, BY, delivery, received
from tests.postgres.writers import INCOMING, JSON_NULL, insert_session


def after(seconds: float) -> Any:
    return AT + timedelta(seconds=seconds)


async def test_a_crafted_key_id_ends_in_a_row_or_in_the_journal(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    for key, session in (("K@7", 8), ("K", 9), ("K~49151", 7), ("K@7~49151", 10)):
        assert await table.write([delivery(received(key), session_id=session)]) == ["stored"]

    outcomes = await asyncio.wait_for(table.write([delivery(received("K"), session_id=7)]), 10)

    assert outcomes == ["ignored"]
    assert await connection.fetchval("SELECT body IS NOT NULL FROM gateway.journal WHERE outcome = 'ignored'")
    assert await asyncio.wait_for(table.write([delivery(received("K@7"), session_id=9)]), 10) == ["stored"]


async def test_a_key_id_that_is_taken_for_another_session_gets_its_authors_name(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    for key, session in (("K@7", 8), ("K", 9)):
        await table.write([delivery(received(key), session_id=session)])

    assert await asyncio.wait_for(table.write([delivery(received("K"), session_id=7)]), 10) == ["stored"]
    ids = f"SELECT message_id FROM {INCOMING} WHERE wasender_session_id = 7"
    assert await connection.fetchval(ids) == "K@7~49151"


async def test_json_of_the_shop_that_is_no_jsonb_closes_no_sealed_change(
    database: str, connection: asyncpg.Connection
) -> None:
    await insert_session(connection, 12)
    await connection.execute("ALTER TABLE whatsapp_sessions ADD COLUMN theirs json")
    await connection.execute("UPDATE whatsapp_sessions SET theirs = $1::text::json", JSON_NULL)
    pool = await open_pool(database, timezone="UTC", max_size=2, pooled=False)
    try:
        table = WebhookTable(pool, None, unseal=lambda sealed, original, author, changer: "opened")
        await table.write([delivery(received())])
        await table.write([delivery(MessageEdited("K", None, AT, BY, Sealed({}, "edit")))])
    finally:
        await pool.close()

    assert await connection.fetchval(f"SELECT message_text FROM {INCOMING}") == "opened"

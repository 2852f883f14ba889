"""A shop's column may be called like any word of ours: webhooks are written all the same."""

import re
from pathlib import Path

import asyncpg

from gateway.domain.contacts import LidResolved
from gateway.domain.message import (
    DeliveryMoved,
    DeliveryState,
    MessageDeleted,
    MessageEdited,
    MessageReacted,
    PeopleTold,
)
from gateway.postgres.webhooks.batches import WebhookTable
from tests.postgres.delivery_parts import AT, BY, delivery, received, sent
from tests.postgres.writers import INCOMING, OUTGOING

SQL = Path(__file__).parents[2] / "sql"
FILES = (
    "0061_one_person.sql",
    "0062_amend.sql",
    "0063_receive.sql",
    "0068_moves_at_once.sql",
    "0064_contacts.sql",
    "0065_people_work.sql",
)


async def test_columns_that_are_called_like_our_words_harm_nothing(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    words = {word for name in FILES for word in re.findall(r"\b[a-z_][a-z_0-9]*\b", (SQL / name).read_text())}
    for shop_table in (INCOMING, OUTGOING):
        there = await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum <> 0", shop_table
        )
        odd = sorted(words - {row["attname"] for row in there})
        await connection.execute(
            f"ALTER TABLE {shop_table} " + ", ".join(f'ADD COLUMN "{word}" text' for word in odd)
        )
    lid = "77000000000001@lid"
    batch = [
        delivery(received()),
        delivery(sent("S")),
        delivery(received("L", chat=lid, from_phone=lid)),
        delivery(MessageEdited("K", "new", AT, BY)),
        delivery(MessageReacted("S", "👍", AT, BY)),
        delivery(DeliveryMoved("S", DeliveryState.READ, AT)),
        delivery(MessageDeleted("K", AT, BY)),
        delivery(PeopleTold((LidResolved(lid, "4915100000001"),))),
    ]
    for item in batch:
        assert await table.write([item]) == ["stored"], item.reading.changes

    assert (
        await connection.fetchval(f"SELECT from_phone FROM {INCOMING} WHERE wa_key_id = 'L'")
        == "4915100000001"
    )
    assert await table.write([delivery(received(text="other"))]) == ["ignored"]

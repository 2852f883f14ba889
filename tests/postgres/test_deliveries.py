"""Batches of webhooks in one transaction: all of it or nothing, in a safe order, waiting for nobody for long."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from gateway.domain.errors import RowLocked, RowRefused, TableLocked
from gateway.domain.message import (
    DeliveryMoved,
    DeliveryState,
    MessageDeleted,
    MessageEdited,
    Reading,
    StatusReported,
)
from gateway.postgres.connection.pool import open_pool
from gateway.postgres.webhooks.batches import LOCK_TIMEOUT, LOCK_TIMEOUT_ALONE, WebhookTable
from gateway.services.webhooks.batch import InboundWebhook
from tests.postgres.delivery_parts import AT, BY, JID, delivery, received, sent
from tests.postgres.writers import INCOMING, OUTGOING, insert_message, insert_session


async def count(connection: asyncpg.Connection, table: str = INCOMING) -> int:
    return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


@pytest.mark.parametrize("turned", [False, True])
async def test_an_edit_or_deletion_in_the_batch_of_its_message_is_not_lost(
    table: WebhookTable, connection: asyncpg.Connection, turned: bool
) -> None:
    batch = [
        delivery(received()),
        delivery(MessageEdited("K", "new", AT, BY)),
        delivery(MessageDeleted("K", AT, BY)),
        delivery(sent("S")),
        delivery(DeliveryMoved("S", DeliveryState.READ, AT)),
    ]

    assert await table.write(batch[::-1] if turned else batch) == ["stored"] * 5

    (row,) = await connection.fetch(f"SELECT * FROM {INCOMING}")
    assert (row["message_text"], row["deleted_at"]) == ("new", AT)
    assert await connection.fetchval(f"SELECT status FROM {OUTGOING}") == "read"


async def test_a_refused_batch_leaves_nothing_behind(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    await connection.execute(f"ALTER TABLE {INCOMING} ADD CHECK (message_text <> 'refuse me')")
    with pytest.raises(RowRefused):
        await table.write([delivery(received("A")), delivery(received("B", text="refuse me"))])

    assert await count(connection) == await count(connection, "gateway.journal") == 0
    assert await count(connection, "gateway.stream") == 0


async def test_a_held_row_is_said_to_be_locked_within_a_moment_and_nothing_is_stored(
    table: WebhookTable, connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    async with other.transaction():
        await insert_message(other, 12, message_id="B")
        with pytest.raises(RowLocked):
            await table.write([delivery(received("A")), delivery(received("B"))])
        assert await count(connection, "gateway.journal") == 0
        assert await table.write([delivery(received("A"))]) == ["stored"]


async def test_a_row_is_waited_for_less_long_than_postgres_waits_before_it_looks_for_deadlocks(
    connection: asyncpg.Connection,
) -> None:
    for ours in (LOCK_TIMEOUT, LOCK_TIMEOUT_ALONE):
        sql = "SELECT $1::text::interval < current_setting('deadlock_timeout')::interval"
        assert await connection.fetchval(sql, ours)


async def test_a_batch_that_waits_for_a_row_holds_nothing_that_others_of_its_session_need(
    table: WebhookTable, other: asyncpg.Connection, connection: asyncpg.Connection
) -> None:
    await insert_session(connection, 12)
    async with other.transaction():
        await insert_message(other, None, message_id="held")
        waiting = asyncio.create_task(table.write([delivery(received("held"))] * 2), name="waiting")
        done: list[str] = []
        while not waiting.done():
            done += await table.write([delivery(received(f"free {len(done)}"))])
        with pytest.raises(RowLocked):
            await waiting

    assert len(done) > 3
    assert set(done) == {"stored"}


async def test_a_foreign_lock_on_our_notes_costs_no_webhook_its_answer(
    table: WebhookTable, other: asyncpg.Connection, connection: asyncpg.Connection
) -> None:
    await insert_session(connection, 12)
    seen = "SELECT webhook_seen_at FROM gateway.session_state WHERE wasender_session_id = 12"
    async with other.transaction():
        await other.execute("SELECT FROM gateway.session_state WHERE wasender_session_id = 12 FOR UPDATE")
        async with asyncio.timeout(30):
            assert await table.write([delivery(received())]) == ["stored"]

    assert await connection.fetchval(seen) is None


async def test_that_webhooks_come_is_noted_and_rings_no_bell(
    table: WebhookTable, connection: asyncpg.Connection, bells: Any
) -> None:
    await insert_session(connection, 12)
    await bells.heard()
    await table.write([delivery()])

    seen = "SELECT webhook_seen_at FROM gateway.session_state WHERE wasender_session_id = 12"
    assert await connection.fetchval(seen) is not None
    assert await bells.heard() == []


async def test_batches_with_the_same_rows_in_opposite_order_both_commit(
    database: str, table: WebhookTable, connection: asyncpg.Connection
) -> None:
    pool = await open_pool(database, timezone="UTC", max_size=2, pooled=False)
    try:
        other = WebhookTable(pool, str(uuid.uuid4()))
        keys = [f"K{number:03}" for number in range(60)]
        for _ in range(5):
            async with asyncio.timeout(10):
                outcomes = await asyncio.gather(
                    table.write([delivery(received(key)) for key in keys]),
                    other.write([delivery(received(key)) for key in keys[::-1]]),
                )
            flat = [outcome for batch in outcomes for outcome in batch]
            assert (flat.count("stored"), flat.count("duplicate")) == (60, 60)
            await connection.execute(f"DELETE FROM {INCOMING}")
    finally:
        await pool.close()


async def test_browsers_see_the_messages_of_a_batch_in_the_order_in_which_they_came(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    keys = [f"K{number}" for number in (9, 10, 2, 33, 1)]
    batch = [delivery(received(key), session_id=session_id) for key in keys for session_id in (12, 13)]
    await table.write([*batch, *(delivery(sent("S" + key)) for key in keys)])

    for session_id, suffix in ((12, ""), (13, "@13")):
        rows = await connection.fetch(
            "SELECT record FROM gateway.stream WHERE inbox = $1 AND tbl = $2 AND op = 'INSERT' ORDER BY off",
            session_id, INCOMING,
        )  # fmt: skip
        assert [row["record"]["message_id"] for row in rows] == [key + suffix for key in keys]
    rows = await connection.fetch("SELECT record FROM gateway.stream WHERE tbl = $1 ORDER BY off", OUTGOING)
    assert [row["record"]["wa_key_id"] for row in rows] == ["S" + key for key in keys]


async def test_a_locked_table_and_a_held_inbox_are_told_from_a_held_row(
    table: WebhookTable, connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    await table.write([delivery(received("A"))])
    async with other.transaction():
        await other.execute("SELECT FROM gateway.inboxes FOR UPDATE")
        with pytest.raises(TableLocked):
            await table.write([delivery(received("B"))])
    async with other.transaction():
        await other.execute(f"LOCK TABLE {INCOMING} IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TableLocked):
            await table.write([delivery(received("B"))])
    async with other.transaction():
        await insert_message(other, 12, message_id="B")
        with pytest.raises(RowLocked) as raised:
            await table.write([delivery(received("B"))])
        assert not isinstance(raised.value, TableLocked)


async def test_the_journal_says_what_became_of_each_and_by_whom(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    batch = [
        delivery(received()),
        delivery(received()),
        delivery(),
        InboundWebhook(
            12, AT, {"odd": True}, Reading("weather", known=False, reason="an event we do not know")
        ),
    ]

    assert await table.write(batch) == ["stored", "duplicate", "ignored", "unknown"]

    rows = await connection.fetch("SELECT * FROM gateway.journal ORDER BY id")
    assert [row["outcome"] for row in rows] == ["stored", "duplicate", "ignored", "unknown"]
    assert rows[3]["body"] == {"odd": True}
    assert {row["received_at"] for row in rows} == {AT}
    assert len({row["gateway"] for row in rows} - {None}) == 1


async def test_a_delivery_with_one_new_and_one_known_message_counts_as_stored(table: WebhookTable) -> None:
    await table.write([delivery(received("A"))])

    assert await table.write([delivery(received("A"), received("B"))]) == ["stored"]


async def test_a_statuss_casing_is_left_when_it_says_the_same(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    await insert_session(connection, 12, status="QR_READY")
    status = "SELECT status FROM whatsapp_sessions"

    await table.write([delivery(StatusReported("need_scan", AT))])
    assert await connection.fetchval(status) == "QR_READY"
    await table.write([delivery(StatusReported("connected", AT), StatusReported("expired", AT))])
    assert await connection.fetchval(status) == "expired"


async def test_states_that_come_early_wait_for_their_message_and_the_furthest_wins(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    for state in (DeliveryState.SENT, DeliveryState.READ, DeliveryState.DELIVERED):
        await table.write([delivery(DeliveryMoved("K", state, AT + timedelta(seconds=state)))])
    assert await count(connection, "gateway.early_deliveries") == 1

    await table.write([delivery(sent())])

    (row,) = await connection.fetch(f"SELECT * FROM {OUTGOING}")
    assert (row["status"], row["read_at"]) == ("read", AT + timedelta(seconds=DeliveryState.READ))
    assert await count(connection, "gateway.early_deliveries") == 0


async def test_a_message_the_gateway_sent_itself_is_not_written_a_second_time(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        f"INSERT INTO {OUTGOING} (client_id, wasender_session_id, chat, to_phone, message_text, status, wa_key_id,"
        " origin) VALUES ('mine', 12, $1, '49151', 'x', 'sent', 'K', 'gateway')",
        JID,
    )

    assert await table.write([delivery(sent())]) == ["duplicate"]
    assert await connection.fetchval(f"SELECT origin FROM {OUTGOING}") == "gateway"


async def test_the_number_behind_a_lid_is_learned_in_the_batch_that_needs_it(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    lid = "198@lid"
    await table.write(
        [
            delivery(received("A", chat=lid, from_phone=lid, sender_lid=lid)),
            delivery(received("B", sender_lid=lid)),
            delivery(sent("C", chat=lid, to_phone=lid)),
        ]
    )

    assert {row["from_phone"] for row in await connection.fetch(f"SELECT * FROM {INCOMING}")} == {"49151"}
    assert await connection.fetchval(f"SELECT chat FROM {OUTGOING}") == JID


async def test_a_crowd_teaches_no_number(table: WebhookTable, connection: asyncpg.Connection) -> None:
    await table.write([delivery(received(chat="1@g.us", from_phone="1@g.us", sender_lid="198@lid"))])

    assert await count(connection, "gateway.lids") == 0

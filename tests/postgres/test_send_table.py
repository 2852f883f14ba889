"""The queue in its table: begun by its newest holder alone, and kept apart from what was there."""

import asyncpg
import pytest

from gateway.postgres.connection.pool import open_pool
from gateway.postgres.migrations.runner import begin_anew, migrate
from gateway.postgres.sending.store import SendTable
from gateway.services.sending.ports import Start

SESSION = """
INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number, status) VALUES (12, 'Shop', '+1', 'connected')
"""
QUEUE = """
SELECT gateway.queue_send_v1(12, $1, $2, NULL, 'ok', 'text', NULL, NULL, 'api', 'A', 'a', '{"look": "ok"}', 'hash')
"""


async def test_only_the_newest_holder_begins_a_call_and_only_of_the_row_that_it_read(
    database: str, connection: asyncpg.Connection
) -> None:
    pool = await open_pool(database, timezone="UTC", max_size=2, pooled=False)
    try:
        table = SendTable(pool)
        await connection.execute(SESSION)
        await connection.execute(QUEUE, "a", "1555@s.whatsapp.net")
        await table.take(12, "old")
        view = await table.view(12, "old")
        assert view is not None
        (send,) = view.sends
        await connection.execute("UPDATE whatsapp_outgoing_messages SET message_text = 'other'")
        assert await table.begin(12, "old", send, send) is Start.CHANGED

        view = await table.view(12, "old")
        await table.take(12, "new")
        assert await table.begin(12, "old", send, send) is Start.FENCED
        assert await table.view(12, "old") is None
        await table.view(12, "new")
        assert await table.begin(12, "new", send, send) is Start.BEGUN
    finally:
        await pool.close()


async def test_rows_of_before_and_rows_without_a_status_are_never_seen(
    database: str, connection: asyncpg.Connection
) -> None:
    await connection.execute(SESSION)
    await connection.execute(
        "INSERT INTO whatsapp_outgoing_messages (wasender_session_id, client_id, chat, message_text, status, origin)"
        " VALUES (12, 'old', '1@s.whatsapp.net', 'x', 'queued', 'sql'),"
        " (12, 'none', '1@s.whatsapp.net', 'x', NULL, NULL)"
    )
    assert (
        await connection.fetchval("SELECT status FROM whatsapp_outgoing_messages WHERE client_id = 'none'")
        is None
    )
    pool = await open_pool(database, timezone="UTC", max_size=2, pooled=False)
    try:
        table = SendTable(pool)
        assert await table.busy_sessions() == []
        await table.take(12, "holder")
        view = await table.view(12, "holder")
        assert view is not None
        assert list(view.sends) == []
    finally:
        await pool.close()


async def test_another_history_makes_what_waits_unknown(
    database: str, connection: asyncpg.Connection
) -> None:
    await connection.execute(SESSION)
    await connection.execute(QUEUE, "a", "1555@s.whatsapp.net")
    await connection.execute("SELECT gateway.check_history_v1()")
    await connection.execute("UPDATE gateway.settings SET value = '\"another\"' WHERE key = 'history'")

    await connection.execute("SELECT gateway.take_queue_v1(12, 'holder')")

    row = await connection.fetchrow("SELECT status, error_code FROM whatsapp_outgoing_messages")
    assert row is not None
    assert (row["status"], row["error_code"]) == ("unknown", "restored")


@pytest.mark.parametrize("is_restored", [True, False], ids=["restored", "the same history"])
async def test_triggers_that_are_repaired_stop_no_queue_unless_the_history_is_new(
    database: str, connection: asyncpg.Connection, is_restored: bool
) -> None:
    await connection.execute(SESSION)
    await connection.execute(QUEUE, "a", "1555@s.whatsapp.net")
    await connection.execute("SELECT gateway.check_history_v1()")
    epoch = await connection.fetchval("SELECT epoch FROM gateway.inboxes WHERE inbox = 0")
    if is_restored:
        await connection.execute("UPDATE gateway.settings SET value = '\"another\"' WHERE key = 'history'")
    await connection.execute("ALTER TABLE whatsapp_incoming_messages DISABLE TRIGGER ALL")

    await migrate(database, report=lambda line: None)

    assert await connection.fetchval("SELECT epoch FROM gateway.inboxes WHERE inbox = 0") != epoch
    status = await connection.fetchval("SELECT status FROM whatsapp_outgoing_messages")
    assert status == ("unknown" if is_restored else "queued")


async def test_what_waited_in_a_copy_that_the_operator_declares_is_unknown(
    database: str, connection: asyncpg.Connection
) -> None:
    await connection.execute(SESSION)
    await connection.execute(QUEUE, "a", "1555@s.whatsapp.net")
    await connection.execute("SELECT gateway.check_history_v1()")

    await begin_anew(database, report=lambda line: None)

    row = await connection.fetchrow("SELECT status, error_code FROM whatsapp_outgoing_messages")
    assert row is not None
    assert tuple(row) == ("unknown", "restored")


async def test_a_row_from_sql_that_waited_when_the_backup_was_made_is_not_sent_after_a_restore(
    connection: asyncpg.Connection,
) -> None:
    waiting = (
        "INSERT INTO whatsapp_outgoing_messages (wasender_session_id, client_id, chat, message_text, status, origin)"
        " VALUES (12, $1, '1@s.whatsapp.net', 'x', 'queued', 'sql')"
    )
    await connection.execute(waiting, "before the setting")
    await connection.execute("SELECT gateway.turn_sending_from_sql_v1(true)")
    await connection.execute(waiting, "fresh")
    await connection.execute("SELECT gateway.check_history_v1()")
    await connection.execute("UPDATE gateway.settings SET value = '\"another\"' WHERE key = 'history'")

    await connection.execute("SELECT gateway.check_history_v1()")

    rows = await connection.fetch("SELECT client_id, status FROM whatsapp_outgoing_messages ORDER BY id")
    assert [tuple(row) for row in rows] == [("before the setting", "queued"), ("fresh", "unknown")]


async def test_a_column_of_another_type_is_named_and_nothing_else_fails(
    connection: asyncpg.Connection,
) -> None:
    assert await connection.fetchval("SELECT gateway.sending_fault_v1()") is None
    await connection.execute(
        "ALTER TABLE whatsapp_outgoing_messages DROP COLUMN error_code, ADD COLUMN error_code integer"
    )

    fault = await connection.fetchval("SELECT gateway.sending_fault_v1()")

    assert (
        fault == "Column error_code of whatsapp_outgoing_messages is of type integer, and sending needs text"
    )

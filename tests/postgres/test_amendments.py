"""Messages and their changes against each other: none is lost, none comes twice, none wins wrongly."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import asyncpg
import pytest
from asyncpg.transaction import Transaction

from gateway.domain.errors import StoreUnavailable
from gateway.domain.message import (
    CallAnswered,
    CallEnded,
    DeliveryMoved,
    DeliveryState,
    MessageDeleted,
    MessageEdited,
    MessageReacted,
    Origin,
    Sealed,
    StatusReported,
)
from gateway.postgres.connection.pool import connect_direct, open_pool
from gateway.postgres.webhooks.batches import WebhookTable
from gateway.postgres.webhooks.writes import write_amendments
from gateway.services.webhooks.early import EarlyChanges
from tests.postgres.delivery_parts import AT, BY, JID, delivery, received, sent
from tests.postgres.writers import INCOMING, JSON_NULL, OUTGOING, insert_session

ME = Origin(JID, is_me=True)


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


async def write_at_once(database: str, table: WebhookTable, early: Any) -> None:
    """Writes the message K, and `early` while that is not committed yet."""
    opened = await connect_direct(database)
    try:
        async with opened.transaction():
            batch = [delivery(received()), delivery(sent("S"))]
            written = WebhookTable(cast(asyncpg.Pool, None), None)
            await written.write_rows(opened, batch)
            await table.write([delivery(early)])
    finally:
        await opened.close()


async def wait_for_lock(connection: asyncpg.Connection) -> None:
    """Returns when another connection waits for a row."""
    while not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())"
    ):
        await connection.execute("SELECT pg_sleep(0.01)")


async def test_of_two_edits_at_once_the_later_one_wins_whoever_writes_last(
    database: str, table: WebhookTable, connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    watcher = await connect_direct(database)
    try:
        for message, shop_table, by in ((received(), INCOMING, BY), (sent("S"), OUTGOING, ME)):
            await table.write([delivery(message)])
            async with other.transaction():
                await write_amendments(
                    other, "5s", [(12, MessageEdited(message.key_id, "late", after(20), by))]
                )
                item = (12, MessageEdited(message.key_id, "early", after(10), by))
                waiting = asyncio.create_task(write_amendments(connection, "5s", [item]))
                await asyncio.wait_for(wait_for_lock(watcher), 5)
            assert await waiting == ["older"]
            assert await connection.fetchval(f"SELECT message_text FROM {shop_table}") == "late"
    finally:
        await watcher.close()


async def test_a_change_that_came_while_its_message_was_written_is_applied_by_the_sweep(
    database: str, table: WebhookTable, connection: asyncpg.Connection
) -> None:
    await write_at_once(database, table, MessageEdited("K", "new", AT, BY))
    await table.write([delivery(MessageReacted("none", "👍", AT, BY))])
    await table.sweep()
    assert await connection.fetchval(f"SELECT message_text FROM {INCOMING}") == "old", "too young"
    await connection.execute("UPDATE gateway.early_changes SET came_at = now() - interval '6 seconds'")
    await table.sweep()
    assert await connection.fetchval(f"SELECT message_text FROM {INCOMING}") == "new"
    assert await connection.fetchval("SELECT count(*) FROM gateway.early_changes") == 1


async def test_a_delivery_state_that_came_while_its_message_was_written_is_applied_by_the_sweep(
    database: str, table: WebhookTable, connection: asyncpg.Connection
) -> None:
    await write_at_once(database, table, DeliveryMoved("S", DeliveryState.READ, AT))
    await connection.execute("UPDATE gateway.early_deliveries SET came_at = now() - interval '6 seconds'")
    await table.sweep()

    assert await connection.fetchval(f"SELECT status FROM {OUTGOING}") == "read"
    assert await connection.fetchval("SELECT count(*) FROM gateway.early_deliveries") == 0


async def test_the_sweep_goes_on_after_a_failure() -> None:
    swept = asyncio.Event()
    failures: list[Exception] = [StoreUnavailable("away"), ValueError("odd")]

    class Store:
        left_early = asyncio.Event()

        async def sweep(self, *, is_recent: bool = False) -> None:
            if failures:
                raise failures.pop()
            swept.set()

    task = asyncio.create_task(EarlyChanges(Store(), sweep_s=0.0).run())
    await asyncio.wait_for(swept.wait(), 5)
    task.cancel()


@pytest.mark.parametrize(
    ("early", "what", "then"),
    [
        (MessageEdited("K", "new", AT, BY), f"SELECT message_text FROM {INCOMING}", "new"),
        (DeliveryMoved("S", DeliveryState.READ, AT), f"SELECT status FROM {OUTGOING}", "read"),
    ],
)
async def test_a_change_that_crossed_its_message_is_applied_at_once_and_not_with_the_next_sweep(
    early: Any, what: str, then: str, database: str, table: WebhookTable, connection: asyncpg.Connection
) -> None:
    task = asyncio.create_task(EarlyChanges(table, sweep_s=3600.0, follow_ups_s=(0.0, 0.1, 0.2)).run())
    try:
        await write_at_once(database, table, early)
        async with asyncio.timeout(5):
            while await connection.fetchval(what) != then:
                await connection.execute("SELECT pg_sleep(0.01)")
    finally:
        task.cancel()


async def test_a_change_whose_commit_was_not_confirmed_is_looked_for_as_soon_as_any_other(
    table: WebhookTable, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second try finds it kept, and would say nothing of it."""
    closed = Transaction.__aexit__

    async def commit_and_lose_the_answer(self: Transaction, *error: Any) -> None:
        await closed(self, *error)
        raise ConnectionResetError("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "__aexit__", commit_and_lose_the_answer)
        with pytest.raises(StoreUnavailable):
            await table.write([delivery(DeliveryMoved("S", DeliveryState.READ, AT))])

    assert await connection.fetchval("SELECT count(*) FROM gateway.early_deliveries") == 1
    assert table.left_early.is_set()


async def test_a_sealed_change_that_could_not_be_opened_once_is_opened_by_the_sweep(
    database: str, connection: asyncpg.Connection
) -> None:
    pool = await open_pool(database, timezone="UTC", max_size=3, pooled=False)
    failures: list[Exception] = [OSError("the connection broke")]

    def unseal(*_: Any) -> str:
        if failures:
            raise failures.pop()
        return "opened"

    try:
        table = WebhookTable(pool, None, unseal=unseal)
        await table.write([delivery(MessageEdited("K", None, AT, BY, Sealed({}, "edit")))])
        await table.write([delivery(received())])
        assert await connection.fetchval(f"SELECT edited_on_phone FROM {INCOMING}")
        await connection.execute("UPDATE gateway.early_changes SET came_at = now() - interval '6 seconds'")
        await table.sweep()
    finally:
        await pool.close()

    (row,) = await connection.fetch(f"SELECT message_text, edited_on_phone FROM {INCOMING}")
    assert tuple(row) == ("opened", None)
    assert await connection.fetchval("SELECT count(*) FROM gateway.early_changes") == 0


async def test_an_edit_back_to_a_known_text_counts_against_one_that_lay_between(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    await table.write([delivery(received())])
    for text, seconds in (("B", 10), ("B", 30), ("C", 20)):
        await table.write([delivery(MessageEdited("K", text, after(seconds), BY))])

    assert await connection.fetchval(f"SELECT message_text FROM {INCOMING}") == "B"
    assert await table.write([delivery(MessageEdited("K", "B", after(31), BY))]) == ["duplicate"]


async def test_an_early_edit_that_an_early_later_one_replaces_is_in_the_journal_with_its_body(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    assert await table.write([delivery(MessageEdited("K", "late", after(20), BY))]) == ["stored"]
    assert await table.write([delivery(MessageEdited("K", "early", after(10), BY))]) == ["ignored"]
    assert await table.write([delivery(MessageEdited("K", "late", after(20), BY))]) == ["duplicate"]

    assert await connection.fetchval("SELECT body IS NOT NULL FROM gateway.journal WHERE outcome = 'ignored'")


async def test_that_a_call_was_answered_is_known_after_its_early_changes_were_taken(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    await table.write([delivery(CallAnswered("K", AT))])
    await table.write([delivery(MessageReacted("K", "👍", AT, BY))])
    await table.write([delivery(received(type="call", text="Missed"))])

    assert (
        await connection.fetchval("SELECT count(*) FROM gateway.early_changes WHERE kind = 'answered'") == 1
    )


@pytest.mark.parametrize(
    ("by", "outcome"), [(Origin(None, "49151"), "refused"), (Origin(None, is_named=False), "stored")]
)
async def test_a_change_that_names_its_author_and_no_chat_means_no_message(
    table: WebhookTable, by: Origin, outcome: str
) -> None:
    await table.write([delivery(received())])

    assert await table.write([delivery(MessageDeleted("K", AT, by))]) == [outcome]


async def test_a_declined_call_that_ends_stays_declined(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    raw = {"call": "K", "outcome": "declined"}
    await table.write([delivery(received(type="call", text="Declined voice call", raw=raw))])
    ended = received(type="call", text="Missed voice call", raw={"call": "K", "outcome": "ended"})
    await table.write([delivery(CallEnded("K", ended))])

    assert await connection.fetchval(f"SELECT message_text FROM {INCOMING}") == "Declined voice call"


async def test_a_missed_call_that_was_declined_after_all_says_so(
    table: WebhookTable, connection: asyncpg.Connection
) -> None:
    await table.write([delivery(received(type="call", text="Missed", raw={"outcome": "missed"}))])
    await table.write([delivery(received(type="call", text="Declined", raw={"outcome": "declined"}))])

    assert await connection.fetchval(f"SELECT message_text FROM {INCOMING}") == "Declined"


@pytest.mark.parametrize("source", ["poll", "probe", "api"])
async def test_an_answer_of_wasenderapi_beats_a_status_that_is_older(
    table: WebhookTable, connection: asyncpg.Connection, source: str
) -> None:
    await insert_session(connection, 12, status="connected")
    await connection.execute("UPDATE gateway.session_state SET checked_at = $1, source = $2", AT, source)

    old = StatusReported("logged_out", after(-60))
    assert await table.write([delivery(old)]) == ["ignored"]
    assert await connection.fetchval("SELECT status FROM whatsapp_sessions") == "connected"


async def test_an_own_change_without_a_chat_means_an_own_message(table: WebhookTable) -> None:
    await table.write([delivery(received("K"), sent("S"))])
    own = Origin(None, is_me=True)

    assert await table.write([delivery(MessageEdited("S", "new", AT, own))]) == ["stored"]
    assert await table.write([delivery(MessageEdited("K", "new", AT, own))]) == ["refused"]

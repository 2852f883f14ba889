"""What goes with age, what stays for ever, and that forgetting waits for nobody."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
import pytest_asyncio

from gateway.domain.errors import StoreUnavailable
from gateway.postgres.connection.pool import open_pool
from gateway.postgres.connection.readers import Shared
from gateway.postgres.retention import RetentionTable
from gateway.postgres.streams import StreamStore
from tests.postgres.writers import INCOMING, insert_many, insert_message, insert_session

BATCH = 100


@pytest_asyncio.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_pool(database, timezone="UTC", max_size=2, pooled=False)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def retention(pool: asyncpg.Pool) -> RetentionTable:
    return RetentionTable(pool)


async def prune_everything(retention: RetentionTable) -> dict[str, int]:
    """How many of each kind went."""
    gone: dict[str, int] = {}
    for kind in retention.kinds:
        while count := await retention.prune(kind, BATCH):
            gone[kind] = gone.get(kind, 0) + count
    return gone


JOURNAL = "INSERT INTO gateway.journal (received_at, outcome) SELECT now() - $1::interval, 'stored'"
LOG = "INSERT INTO whatsapp_session_logs (event_type, created_at, written_by) SELECT 'x', now() - $1::interval, $2"
ATTEMPT = (
    "INSERT INTO gateway.whatsapp_link_attempts (wasender_session_id, started_at, ended_at, reason)"
    " SELECT $2, now() - $1::interval, now() - $1::interval, 'timeout'"
)
EARLY = (
    "INSERT INTO gateway.early_deliveries (wasender_session_id, wa_key_id, state, at, came_at)"
    " SELECT 12, $1::interval::text, 2, '2023-11-14', now() - $1::interval"
)
EARLY_CHANGE = (
    "INSERT INTO gateway.early_changes (wasender_session_id, wa_key_id, kind, author, at, change, came_at)"
    " SELECT 12, $1::interval::text, 'edit', 'me', now(), '{}', now() - $1::interval"
)
TICKET = (
    "INSERT INTO gateway.tickets (digest, kind, claims, expires_at)"
    " SELECT sha256($1::interval::text::bytea), 'ws', '{}', now() - $1::interval"
)

ECHO = (
    "INSERT INTO gateway.sent_echoes (session, key_id, chat, look, at, came_at, is_named)"
    " SELECT 12, $1::interval::text, 'x', 'x', now(), now() - $1::interval, true"
)
RECEIPT = (
    "INSERT INTO gateway.read_receipts (session, key_id, chat, key, made_at)"
    " SELECT 12, $1::interval::text, 'x', '{}', now() - $1::interval"
)
NUMBER = (
    "INSERT INTO gateway.number_checks (jid, is_there, session, asked_at)"
    " SELECT $1::interval::text, true, 12, now() - $1::interval"
)
DELIVERED = (
    "WITH t AS (INSERT INTO gateway.webhook_targets (url, secret) VALUES ('https://x.example/', 'x') RETURNING id)"
    " INSERT INTO gateway.webhook_deliveries (target, inbox, off, epoch, session, event, state, made_at, ended_at)"
    " SELECT id, 12, 1, gen_random_uuid(), 12, 'x', $2, now() - interval '99 days', now() - $1::interval FROM t"
)
RAW = (
    "WITH t AS (INSERT INTO gateway.webhook_targets (url, secret, mode) VALUES ('https://x.example/', 'x', $2))"
    " INSERT INTO gateway.raw_webhooks (session, event, chat, body, key_at, at)"
    " SELECT 12, 'x', '', '{}', '{}', now() - $1::interval"
)


def days(count: float) -> timedelta:
    return timedelta(days=count)


@pytest.mark.parametrize(
    ("kind", "sql", "due", "not_yet", "more"),
    [
        ("journal", JOURNAL, 30.1, 29.9, ()),
        ("logs", LOG, 365.1, 364.9, ("gateway",)),
        ("raw webhooks", RAW, 3.1, 2.9, ("raw",)),
        ("webhook deliveries", DELIVERED, 1.1, 0.9, ("delivered",)),
        ("webhook deliveries", DELIVERED, 30.1, 29.9, ("dead",)),
        ("early deliveries", EARLY, 7.1, 6.9, ()),
        ("early changes", EARLY_CHANGE, 7.1, 6.9, ()),
        ("sent echoes", ECHO, 7.1, 6.9, ()),
        ("read receipts", RECEIPT, 7.1, 6.9, ()),
        ("number checks", NUMBER, 30.1, 29.9, ()),
        ("tickets", TICKET, 0.1, -0.1, ()),
    ],
)
async def test_what_is_due_goes_and_nothing_else(
    connection: asyncpg.Connection,
    retention: RetentionTable,
    kind: str,
    sql: str,
    due: float,
    not_yet: float,
    more: tuple[str, ...],
) -> None:
    for age in (due, due + 1, not_yet):
        await connection.execute(sql, days(age), *more)

    assert await prune_everything(retention) == {kind: 2}


async def test_events_go_after_seven_days_and_messages_never(
    connection: asyncpg.Connection, retention: RetentionTable
) -> None:
    await insert_many(connection, 12, 5)
    await connection.execute("UPDATE gateway.stream SET at = now() - interval '7 days 1 hour' WHERE off <= 3")
    await connection.execute(
        f"UPDATE {INCOMING} SET received_at = now() - interval '3 years', created_at = NULL"
    )
    await connection.execute("UPDATE gateway.stream SET at = now() WHERE off > 3")

    assert await prune_everything(retention) == {"stream": 3}
    assert await connection.fetchval(f"SELECT count(*) FROM {INCOMING}") == 5


async def test_webhooks_are_kept_as_they_came_only_while_a_target_is_in_raw_mode(
    connection: asyncpg.Connection, retention: RetentionTable
) -> None:
    for _ in range(3):
        await connection.execute(RAW, days(0.1), "standard")

    assert await prune_everything(retention) == {"raw webhooks": 3}


async def test_log_rows_of_the_shops_own_code_stay(
    connection: asyncpg.Connection, retention: RetentionTable
) -> None:
    await connection.execute(LOG, days(4000), None)

    assert await prune_everything(retention) == {}


async def test_of_attempts_the_newest_of_each_session_stays(
    connection: asyncpg.Connection, retention: RetentionTable
) -> None:
    await insert_session(connection, 12)
    for age in (50, 40, 35):
        await connection.execute(ATTEMPT, days(age), 12)
    await connection.execute(ATTEMPT, days(90), 13)

    assert await prune_everything(retention) == {"attempts": 2}


async def test_a_message_that_is_held_until_it_is_clear_whose_it_is_stays(
    connection: asyncpg.Connection, retention: RetentionTable
) -> None:
    await connection.execute(ECHO, days(8))
    await connection.execute("UPDATE gateway.sent_echoes SET message = '{}'")
    assert await prune_everything(retention) == {}

    await connection.execute("UPDATE gateway.sent_echoes SET claimed_by = 1")
    assert await prune_everything(retention) == {"sent echoes": 1}


async def test_it_goes_in_batches(connection: asyncpg.Connection, retention: RetentionTable) -> None:
    await connection.execute(JOURNAL + " FROM generate_series(1, 250)", days(40))

    assert [await retention.prune("journal", BATCH) for _ in range(4)] == [100, 100, 50, 0]


async def test_a_row_that_somebody_holds_is_passed_over(
    connection: asyncpg.Connection, other: asyncpg.Connection, retention: RetentionTable
) -> None:
    for age in (500, 400):
        await connection.execute(LOG, days(age), "gateway")
    async with other.transaction():
        await other.execute("SELECT FROM whatsapp_session_logs ORDER BY created_at LIMIT 1 FOR UPDATE")
        assert await retention.prune("logs", BATCH) == 1

    assert await retention.prune("logs", BATCH) == 1


async def test_a_table_that_somebody_holds_is_left_for_later(
    connection: asyncpg.Connection, other: asyncpg.Connection, retention: RetentionTable
) -> None:
    await connection.execute(LOG, days(500), "gateway")
    async with other.transaction():
        await other.execute("LOCK TABLE whatsapp_session_logs IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable):
            await retention.prune("logs", BATCH)

    assert await retention.prune("logs", BATCH) == 1


async def test_old_log_rows_are_found_without_going_through_the_shops(
    connection: asyncpg.Connection,
) -> None:
    await connection.execute(LOG + " FROM generate_series(1, 20000)", days(500), None)
    await connection.execute("ANALYZE whatsapp_session_logs")
    plan = await connection.fetch(
        "EXPLAIN SELECT id FROM whatsapp_session_logs WHERE written_by = 'gateway'"
        " AND created_at < now() - interval '365 days' ORDER BY created_at LIMIT 1000"
    )

    assert any("gateway_session_logs_by_gateway" in row[0] for row in plan), plan


async def test_writers_go_on_while_events_are_forgotten(
    connection: asyncpg.Connection, other: asyncpg.Connection, pool: asyncpg.Pool, retention: RetentionTable
) -> None:
    await insert_many(connection, 12, 300)
    await connection.execute("UPDATE gateway.stream SET at = now() - interval '8 days'")
    async with other.transaction():
        await insert_message(other, 12)  # numbered as it commits: until then nobody waits for it
        assert await prune_everything(retention) == {"stream": 300}
    extent = (await StreamStore(Shared(pool)).extents([12]))[12]
    assert (extent.floor, extent.top) == (300, 301)


async def test_old_messages_go_with_what_belongs_to_them_and_what_may_still_be_sent_stays(
    database: str, connection: asyncpg.Connection
) -> None:
    for number, age in enumerate((1.0, 29.0, 31.0, 400.0)):
        await connection.execute(
            "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, wasender_session_id, received_at)"
            " VALUES ($1, '49151', 12, now() - $2::interval)",
            f"in{number}",
            days(age),
        )
    for status in ("sent", "failed", "queued", "sending", "unknown"):
        await connection.execute(
            "INSERT INTO whatsapp_outgoing_messages (client_id, to_phone, wasender_session_id, created_at, status)"
            " VALUES ($1, '49151', 12, now() - interval '31 days', $1)",
            status,
        )
    await connection.execute(
        "INSERT INTO gateway.journal (received_at, outcome, event, body, wasender_session_id)"
        " SELECT now() - age * interval '1 day', 'stored', event, '{}', 12"
        " FROM unnest(ARRAY[1, 31]) AS age, unnest(ARRAY['messages.received', 'session.status']) AS event"
    )
    await connection.execute(
        "INSERT INTO gateway.media (session, tbl, ref, kind) VALUES"
        " (12, 'whatsapp_incoming_messages', 'in2', 'image'), (12, 'whatsapp_incoming_messages', 'in1', 'image')"
    )
    pool = await open_pool(database, timezone="UTC", max_size=2, pooled=False)
    try:
        kept = RetentionTable(pool)
        assert "messages" not in kept.kinds
        table = RetentionTable(pool, 30)
        while await table.prune("messages", BATCH):
            pass
    finally:
        await pool.close()
    left = await connection.fetch("SELECT message_id FROM whatsapp_incoming_messages ORDER BY 1")
    assert [row["message_id"] for row in left] == ["in0", "in1"]
    left = await connection.fetch("SELECT client_id FROM whatsapp_outgoing_messages ORDER BY 1")
    assert [row["client_id"] for row in left] == ["queued", "sending", "unknown"]
    assert await connection.fetchval("SELECT string_agg(ref, ',') FROM gateway.media") == "in1"
    bodies = await connection.fetch(
        "SELECT event FROM gateway.journal WHERE body IS NULL AND received_at < now() - interval '30 days'"
    )
    assert [row["event"] for row in bodies] == ["messages.received"]
    told = await connection.fetchval("SELECT count(*) FROM gateway.stream WHERE op = 'DELETE'")
    assert told == 4

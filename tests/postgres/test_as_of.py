"""What is written late never replaces what is newer: statuses, codes, settings, delivery states."""

import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from gateway.domain.message import (
    Change,
    CodeReported,
    DeliveryMoved,
    DeliveryState,
    MessageSent,
    Reading,
    StatusReported,
)
from gateway.domain.session import SessionId, UpstreamSession
from gateway.postgres.connection.clock import DatabaseClock
from gateway.postgres.connection.pool import open_pool
from gateway.postgres.sessions.link_attempts import AttemptTable
from gateway.postgres.sessions.sessions import SessionTable
from gateway.postgres.sessions.vault import Vault
from gateway.postgres.webhooks.batches import WebhookTable
from gateway.services.webhooks.batch import InboundWebhook
from tests.postgres.writers import OUTGOING, insert_session

NOW = datetime.now(UTC)
EARLIER, EARLIEST = NOW - timedelta(seconds=5), NOW - timedelta(seconds=10)


@dataclass
class Tables:
    sessions: SessionTable
    attempts: AttemptTable
    deliveries: WebhookTable

    async def webhook(self, change: Change, came: datetime) -> str:
        [outcome] = await self.deliveries.write([InboundWebhook(12, came, {}, Reading("any", (change,)))])
        return outcome


@pytest_asyncio.fixture
async def tables(database: str, connection: asyncpg.Connection) -> AsyncIterator[Tables]:
    await insert_session(connection, 12, status="connecting")
    pool = await open_pool(database, timezone="UTC", max_size=5, pooled=False)
    clock = DatabaseClock()
    try:
        yield Tables(
            SessionTable(pool, Vault("s" * 32), clock),
            AttemptTable(pool, clock),
            WebhookTable(pool, str(uuid.uuid4()), clock),
        )
    finally:
        await pool.close()


async def status(connection: asyncpg.Connection) -> Any:
    return await connection.fetchval("SELECT status FROM whatsapp_sessions")


def told(word: str) -> StatusReported:
    # Now, not when this module was imported: a status half a minute older than an answer of upstream's counts no more.
    return StatusReported(word, datetime.now(UTC))


# ------------------------------------------------------------------------------------------ statuses


async def test_a_webhook_that_had_to_wait_does_not_take_back_a_newer_status(
    tables: Tables, connection: asyncpg.Connection
) -> None:
    assert await tables.webhook(told("connected"), NOW) == "stored"
    assert await tables.webhook(told("need_scan"), EARLIER) == "ignored"

    assert await status(connection) == "connected"
    entry = await connection.fetchrow("SELECT * FROM gateway.journal ORDER BY id DESC LIMIT 1")
    assert entry is not None
    assert entry["reason"] == "something newer was known"


async def test_two_statuses_of_one_moment_are_written_in_their_order(
    tables: Tables, connection: asyncpg.Connection
) -> None:
    for word in ("need_scan", "connected", "logged_out", "connecting", "connected"):
        assert await tables.webhook(told(word), EARLIER) == "stored"

    assert await status(connection) == "connected"


@pytest.mark.parametrize("source", ["api", "probe"])
async def test_an_answer_whose_question_is_older_than_a_webhook_leaves_its_status(
    tables: Tables, connection: asyncpg.Connection, source: Any
) -> None:
    await tables.webhook(told("connected"), NOW)

    heard = await tables.sessions.record_status(12, "disconnected", source, EARLIER.timestamp())
    assert (heard.is_changed, heard.is_old) == (False, True)
    assert await status(connection) == "connected"
    heard = await tables.sessions.record_status(12, "disconnected", source, time.time())
    assert (heard.is_changed, heard.is_old) == (True, False)


async def test_a_poll_that_was_overtaken_by_a_webhook_leaves_its_status(
    tables: Tables, connection: asyncpg.Connection
) -> None:
    holder = str(uuid.uuid4())
    await tables.attempts.begin(12, holder, "Ann")
    await tables.webhook(told("connected"), NOW)

    heard = await tables.attempts.record_status(12, "need_scan", "poll", holder, as_of=EARLIER.timestamp())
    assert heard is not None
    assert heard.is_old
    assert await status(connection) == "connected"


async def test_a_status_confirmed_since_is_not_taken_back_either(
    tables: Tables, connection: asyncpg.Connection
) -> None:
    await tables.webhook(told("connected"), EARLIEST)
    await tables.webhook(told("connected"), NOW)
    await tables.webhook(told("expired"), EARLIER)

    assert await status(connection) == "connected"


async def test_a_poller_whose_attempt_is_no_longer_its_own_writes_no_status(
    tables: Tables, connection: asyncpg.Connection
) -> None:
    holder, other = str(uuid.uuid4()), str(uuid.uuid4())
    await tables.attempts.begin(12, holder, "Ann")
    await tables.attempts.take(12, other)

    assert await tables.attempts.record_status(12, "need_scan", "poll", holder) is None
    assert await status(connection) == "connecting"
    assert await tables.attempts.record_status(12, "need_scan", "poll", other) is not None
    await tables.attempts.end(12, other, "timeout", None)
    assert await tables.attempts.record_status(12, "expired", "poll", other) is None
    assert await status(connection) == "need_scan"


# ------------------------------------------------------------------------------------------ the trail


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        ("connected", "logged_out", "disconnected"),
        ("CONNECTED", "expired", "disconnected"),
        ("connected", "disconnected", "disconnected"),
        ("connecting", "logged_out", "disconnected"),
        ("need_scan", "disconnected", None),
        ("need_scan", "connecting", None),
        ("connected", "weather", None),
        ("disconnected", "connected", "connected"),
        ("connected", "gone", "session_gone"),
    ],
)
async def test_a_turn_worth_telling_is_in_the_trail_as_soon_as_the_status_is(
    tables: Tables, connection: asyncpg.Connection, before: str, after: str, event: str | None
) -> None:
    await connection.execute("UPDATE whatsapp_sessions SET status = $1", before)
    await tables.webhook(StatusReported(after, NOW, "because"), NOW)
    await tables.webhook(StatusReported(after, NOW, "because"), NOW)

    lines = await connection.fetch("SELECT * FROM whatsapp_session_logs")
    assert [line["event_type"] for line in lines] == ([event] if event else [])
    if event:
        metadata = lines[0]["metadata"]
        assert (metadata["status"], metadata["reason"], metadata["source"]) == (after, "because", "webhook")


async def test_a_trail_that_the_shop_refuses_costs_no_status(
    tables: Tables, connection: asyncpg.Connection
) -> None:
    await connection.execute("ALTER TABLE whatsapp_session_logs ADD CHECK (event_type = 'mine')")

    assert await tables.webhook(told("connected"), NOW) == "stored"
    assert await status(connection) == "connected"
    assert (await tables.sessions.record_status(12, "gone", "api", time.time())).is_changed
    assert await connection.fetchval("SELECT count(*) FROM whatsapp_session_logs") == 0


async def test_while_a_phone_is_being_linked_connected_is_told_by_the_attempt(
    tables: Tables, connection: asyncpg.Connection
) -> None:
    await tables.attempts.begin(12, str(uuid.uuid4()), "Ann")
    await tables.webhook(told("connected"), NOW)

    assert await connection.fetchval("SELECT count(*) FROM whatsapp_session_logs") == 0


# ------------------------------------------------------------------------------------------ codes


async def test_a_code_that_had_to_wait_does_not_replace_a_newer_one(tables: Tables) -> None:
    holder = str(uuid.uuid4())
    await tables.attempts.begin(12, holder, "Ann")
    await tables.webhook(CodeReported("newer", NOW), NOW)
    await tables.webhook(CodeReported("older", NOW), EARLIER)
    polled = await tables.attempts.record_code(12, "oldest", holder, as_of=EARLIEST.timestamp())

    assert polled is not None
    assert (polled.code, polled.number) == ("newer", 1)
    polled = await tables.attempts.record_code(12, "newest", holder, as_of=time.time())
    assert polled is not None
    assert (polled.code, polled.number) == ("newest", 2)


# ------------------------------------------------------------------------------------------ settings


def named(name: str, **more: Any) -> UpstreamSession:
    return UpstreamSession(SessionId(12), name=name, **more)


async def test_settings_stored_since_the_question_are_not_replaced(tables: Tables) -> None:
    asked_at = time.time()
    await tables.sessions.save_session(named("new"), "api", time.time())

    session, word = await tables.sessions.save_session(named("old"), "api", asked_at)
    assert (session.name, word) == ("new", "overtaken")
    session, word = await tables.sessions.save_session(named("newest"), "api", time.time())
    assert (session.name, word) == ("newest", "updated")


async def test_a_list_that_was_held_takes_over_settings_but_no_status_that_moved_meanwhile(
    tables: Tables,
) -> None:
    asked_at = time.time()
    await tables.webhook(told("connected"), datetime.now(UTC))

    session, word = await tables.sessions.save_session(named("x", status="need_scan"), "api", asked_at)
    assert (session.name, session.status, word) == ("x", "connected", "updated")


async def test_a_key_made_while_another_was_stored_is_asked_for(tables: Tables) -> None:
    asked_at = time.time()
    assert await tables.sessions.record_key(12, "one", time.time())
    assert not await tables.sessions.record_key(12, "two", asked_at)

    secrets = await tables.sessions.secrets(12)
    assert secrets is not None
    assert secrets.api_key == "one"


# ------------------------------------------------------------------------------------------ delivery states


def moved(state: DeliveryState, at: datetime) -> DeliveryMoved:
    return DeliveryMoved("K", state, at)


def sent() -> MessageSent:
    return MessageSent("K", "49151@s.whatsapp.net", "49151", "text", "x", EARLIEST - timedelta(seconds=1))


FAILED, SENT, READ = DeliveryState.FAILED, DeliveryState.SENT, DeliveryState.READ
MOVES = [
    ([(FAILED, NOW), (SENT, EARLIER)], "failed"),
    ([(FAILED, EARLIER), (SENT, NOW)], "sent"),
    ([(SENT, NOW), (FAILED, EARLIER)], "sent"),
    ([(SENT, EARLIER), (FAILED, NOW)], "failed"),
    ([(READ, EARLIER), (FAILED, NOW)], "read"),
    ([(SENT, NOW), (READ, EARLIER)], "read"),
]


@pytest.mark.parametrize(("moves", "word"), MOVES)
@pytest.mark.parametrize("is_early", [False, True], ids=["known", "before the message"])
async def test_of_two_delivery_states_the_later_or_the_further_one_counts(
    tables: Tables,
    connection: asyncpg.Connection,
    moves: list[tuple[DeliveryState, datetime]],
    word: str,
    is_early: bool,
) -> None:
    if not is_early:
        await connection.execute(
            f"INSERT INTO {OUTGOING} (wasender_session_id, wa_key_id, status) VALUES (12, 'K', 'queued')"
        )
    for state, at in moves:
        await tables.webhook(moved(state, at), NOW)
    if is_early:
        await tables.webhook(sent(), NOW)

    assert await connection.fetchval(f"SELECT status FROM {OUTGOING}") == word


# ------------------------------------------------------------------------------------------ clocks


async def test_our_clock_is_read_as_postgres_shows_it(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = time.time
    monkeypatch.setattr("gateway.postgres.connection.clock.time.time", lambda: truth() - 3600)
    shown = await DatabaseClock().when(connection)

    theirs = await connection.fetchval("SELECT clock_timestamp()")
    assert abs((theirs - shown).total_seconds()) < 60

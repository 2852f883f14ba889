"""Postgres is frozen (SIGSTOP): sockets stay open, new ones too, and nothing is answered, no cancellation either.

Whatever waits for it ends within its budget, with the error that says so; and when Postgres goes on, so does the rest.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from gateway.cli.doctor import Checkup
from gateway.domain.errors import ConfigError, GatewayError, StoreUnavailable
from gateway.postgres.admin.overview import OverviewTable
from gateway.postgres.auth.people import PeopleTable
from gateway.postgres.backup.database import count_gateways
from gateway.postgres.connection import listener as listening
from gateway.postgres.connection.pool import READ_S, Pool, connect_direct, mapped_errors, open_pool
from gateway.postgres.connection.readers import Reserved, Shared, connect_to_read
from gateway.postgres.contacts.contacts import ContactTable
from gateway.postgres.inbox.conversation_list import ConversationListTable
from gateway.postgres.inbox.export import ExportTable
from gateway.postgres.inbox.inbox import InboxTable
from gateway.postgres.inbox.marks import MarkTable
from gateway.postgres.media.keep import MediaKeepTable
from gateway.postgres.migrations.runner import Waits, migrate
from gateway.postgres.presence.presence import PresenceTable
from gateway.postgres.retention import RetentionTable
from gateway.postgres.sending.checks import CheckTable
from gateway.postgres.sending.outbox import OutboxTable
from gateway.postgres.sending.store import SendTable
from gateway.postgres.sessions.audit_log import AuditLogTable
from gateway.postgres.sessions.link_attempts import AttemptTable
from gateway.postgres.sessions.sessions import SessionTable
from gateway.postgres.sessions.vault import Vault
from gateway.postgres.streams import StreamStore
from gateway.postgres.templates.templates import TemplateTable
from gateway.postgres.triggers import TriggerTable
from gateway.postgres.unnumbered import UnnumberedTable
from gateway.postgres.webhook_targets.targets import TargetTable
from gateway.postgres.webhooks.batches import WebhookTable
from gateway.runtime.database import close_pool
from gateway.services.deadlines import within
from gateway.services.inbox import ConversationQuery, ThreadQuery
from tests.faults.server import Server
from tests.launcher.settings import NOWHERE, settings_for
from tests.postgres.delivery_parts import delivery, received
from tests.postgres.ears import Ears
from tests.postgres.writers import insert_session

BUDGET_S = 1.0
SLACK_S = 0.7
"""For a busy machine; what was wrong took the budget several times."""

HOLDER = "6a1b7d44-3f0e-4a55-9d5e-0d6f3a1a0001"


@dataclass
class House:
    """A pool with a small budget, and what is built on it."""

    server: Server
    dsn: str
    pool: Pool

    @property
    def attempts(self) -> AttemptTable:
        return AttemptTable(self.pool)

    @property
    def sessions(self) -> SessionTable:
        return SessionTable(self.pool, Vault("s" * 32, is_sealing=False))

    @property
    def inbox(self) -> InboxTable:
        return InboxTable(self.pool, UTC)

    @property
    def webhooks(self) -> WebhookTable:
        return WebhookTable(self.pool, str(uuid.uuid4()))

    async def write_in_a_transaction(self) -> None:
        with mapped_errors():
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute("UPDATE whatsapp_sessions SET status = status")


@pytest_asyncio.fixture
async def house(server: Server) -> AsyncIterator[House]:
    async with server.database() as name:
        dsn = server.dsn_of(name)
        pool = await open_pool(dsn, timezone="UTC", max_size=2, pooled=False, loan_s=BUDGET_S)
        try:
            async with pool.acquire() as connection:
                await insert_session(connection, 7)
            yield House(server, dsn, pool)
        finally:
            pool.terminate()


def pages(house: House) -> Awaitable[object]:
    return house.inbox.conversations(ConversationQuery(sessions=None, limit=50))


QUESTIONS: dict[str, Callable[[House], Awaitable[object]]] = {
    "a read": lambda house: house.sessions.get_session(7),
    "a read of one statement": lambda house: Shared(house.pool, BUDGET_S).fetch("SELECT 1"),
    "a write": lambda house: house.sessions.record_connected(7, None),
    "a write in a transaction": lambda house: house.write_in_a_transaction(),
    "a status": lambda house: house.sessions.record_status(7, "connected", "poll", time.time()),
    "a page of the inbox": pages,
    "a thread": lambda house: house.inbox.messages(ThreadQuery(7, "49151@s.whatsapp.net", 50)),
    "a batch of webhooks at once": lambda house: house.webhooks.write([delivery(received(), session_id=7)]),
    "a batch of webhooks in steps": lambda house: house.webhooks.write([delivery(session_id=7)]),
    "the journal": lambda house: house.webhooks.journal_failure(delivery(session_id=7), "why"),
    "an attempt begun": lambda house: house.attempts.begin(7, HOLDER, "Ann"),
    "an attempt read": lambda house: house.attempts.current(7),
    "an attempt's code": lambda house: house.attempts.record_code(7, "2@x", HOLDER),
    "an attempt's status": lambda house: house.attempts.record_status(7, "need_scan", "poll", HOLDER),
    "an attempt's end": lambda house: house.attempts.end(7, HOLDER, "timeout", None),
    "a stream": lambda house: StreamStore(Shared(house.pool, BUDGET_S)).extents(),
    "the list of conversations": lambda house: ConversationListTable(house.pool).step(),
    "people": lambda house: PeopleTable(house.pool).people(),
    "contacts": lambda house: ContactTable(house.pool, house.sessions).claim_lookups(5),
    "retention": lambda house: RetentionTable(house.pool).prune("journal", 10),
    "numbering": lambda house: UnnumberedTable(house.pool).number(),
}


async def took(work: Awaitable[object]) -> float:
    """Seconds until it was given up with the error for a Postgres that does not answer."""
    started = time.monotonic()
    async with asyncio.timeout(20):  # so that a hang is a failure
        with pytest.raises((StoreUnavailable, TimeoutError)):
            await work
    return time.monotonic() - started


@pytest.mark.parametrize("question", sorted(QUESTIONS))
async def test_each_question_to_a_frozen_postgres_ends_within_its_budget(house: House, question: str) -> None:
    ask = QUESTIONS[question]
    await ask(house)  # the connection is open, and knows the statement
    with house.server.frozen():
        assert await took(ask(house)) < BUDGET_S + SLACK_S
    await eventually(lambda: ask(house))


CHAT = "49151@s.whatsapp.net"

TOPICS: dict[str, Callable[[Pool], Awaitable[object]]] = {
    "a queue": lambda pool: SendTable(pool).take(7, HOLDER),
    "a row on its way out": lambda pool: OutboxTable(pool, UTC).by_number(7, 1),
    "what is still to be asked": lambda pool: CheckTable(pool).next_check(7),
    "webhooks out": lambda pool: TargetTable(pool, Vault("s" * 32, is_sealing=False)).all(),
    "templates": lambda pool: TemplateTable(pool).all(),
    "presence": lambda pool: PresenceTable(pool).read(),
    "media": lambda pool: MediaKeepTable(pool).counts(),
    "operations": lambda pool: OverviewTable(pool).counts(),
    "marks": lambda pool: MarkTable(pool).owner_of(7, CHAT),
    "the audit log": lambda pool: AuditLogTable(pool).log(7, "connected", "It is linked.", {}),
    "an export": lambda pool: ExportTable(pool, None).count(7, CHAT),
    "triggers": lambda pool: TriggerTable(pool).faults(),
}


async def test_the_questions_of_every_topic_end_within_their_budget(house: House) -> None:
    """All in one freeze, each over a connection of its own."""
    pool = await open_pool(
        house.dsn, timezone="UTC", max_size=len(TOPICS), pooled=False, loan_s=BUDGET_S, grow_after_s=0
    )
    try:
        await asyncio.gather(*(ask(pool) for ask in TOPICS.values()))
        with house.server.frozen():
            times = await asyncio.gather(*(took(ask(pool)) for ask in TOPICS.values()))
    finally:
        pool.terminate()

    late = {topic: took_s for topic, took_s in zip(TOPICS, times, strict=True) if took_s > BUDGET_S + SLACK_S}
    assert late == {}


@pytest.mark.parametrize("question", ["a read", "a write in a transaction", "a batch of webhooks in steps"])
async def test_one_frozen_backend_costs_one_budget_and_then_another_takes_its_place(
    house: House, question: str
) -> None:
    ask = QUESTIONS[question]
    await ask(house)
    backend = await house.pool.fetchval("SELECT pg_backend_pid()")
    with house.server.frozen(backend):
        assert await took(ask(house)) < BUDGET_S + SLACK_S
        for _ in range(3):
            await ask(house)


async def test_the_wait_for_a_connection_counts_against_the_budget(house: House) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(house.pool.acquire(timeout=60))
        with house.server.frozen():
            assert await took(house.sessions.get_session(7)) < BUDGET_S + SLACK_S


async def test_a_new_connection_to_a_frozen_postgres_counts_against_the_budget(house: House) -> None:
    async with house.pool.acquire(timeout=60):  # the one that is open
        with house.server.frozen():
            assert await took(house.sessions.get_session(7)) < BUDGET_S + SLACK_S
    await eventually(lambda: house.sessions.get_session(7))


async def test_a_transaction_that_is_frozen_in_the_middle_is_not_waited_for_to_roll_back(
    house: House,
) -> None:
    async def work() -> None:
        async with house.pool.acquire() as connection, connection.transaction():
            await connection.execute("UPDATE whatsapp_sessions SET status = 'half'")
            with house.server.frozen():
                await connection.execute("UPDATE whatsapp_sessions SET status = 'whole'")

    assert await took(work()) < BUDGET_S + SLACK_S
    assert await house.pool.fetchval("SELECT status FROM whatsapp_sessions") not in ("half", "whole")


async def test_a_statement_that_has_less_time_than_its_loan_ends_in_its_own(house: House) -> None:
    """The loan's half a minute went into the wait for the server's answer to the cancellation."""

    async def work() -> None:
        async with house.pool.acquire(timeout=15) as connection:
            await connection.fetch("SELECT 1", timeout=BUDGET_S)

    with house.server.frozen():
        assert await took(work()) < BUDGET_S + SLACK_S


async def test_who_is_cancelled_at_a_frozen_postgres_is_gone_within_the_budget(house: House) -> None:
    with house.server.frozen():
        task = asyncio.create_task(house.write_in_a_transaction(), name="cancelled")
        await asyncio.sleep(0.05)
        task.cancel()
        started = time.monotonic()
        await asyncio.wait([task], timeout=20)

        assert task.done()
        assert time.monotonic() - started < BUDGET_S + SLACK_S
    await eventually(lambda: house.sessions.get_session(7))


async def test_a_budget_from_outside_is_kept_whatever_the_inside_has(house: House) -> None:
    """Ten seconds took forty: those ten, and then the thirty that the driver waits for its cancellation."""
    async with asyncio.timeout(20):
        with house.server.frozen():
            started = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await within(0.2, house.attempts.current(7))
            assert time.monotonic() - started < 0.2 + SLACK_S


async def test_a_healthy_server_whose_statement_is_too_slow_keeps_its_connection(house: House) -> None:
    async with house.pool.acquire() as connection:
        backend = connection.get_server_pid()
    with pytest.raises(TimeoutError):
        await house.pool.execute("SELECT pg_sleep(60)")

    assert await house.pool.fetchval("SELECT pg_backend_pid()") == backend
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active'"
    assert await house.pool.fetchval(f"{running} AND pid <> pg_backend_pid()") == 0


# ------------------------------------------------------------------------------ connections of their own


def impatient_ears(house: House, probe_s: float) -> Ears:
    return Ears(house.dsn, probe_s, statement_s=BUDGET_S, connect_s=BUDGET_S)


async def test_the_listener_connects_for_no_longer_than_its_budget(house: House) -> None:
    ears = impatient_ears(house, 5)
    with house.server.frozen():
        started = time.monotonic()
        with pytest.raises(ConfigError, match="did not answer"):
            await ears.listener.open()
        assert time.monotonic() - started < BUDGET_S + SLACK_S
    await ears.listener.close()


async def test_a_lease_and_its_return_end_within_their_budget(house: House) -> None:
    ears = impatient_ears(house, 60)
    await ears.listener.open()
    with house.server.frozen():
        started = time.monotonic()
        assert await ears.listener.acquire(7) is False
        await ears.listener.release(7)
        assert time.monotonic() - started < BUDGET_S + SLACK_S
    await ears.listener.close()


async def test_a_listener_takes_its_leave_of_a_frozen_postgres_within_a_second(house: House) -> None:
    ears = Ears(house.dsn, 60)
    await ears.listener.open()
    with house.server.frozen():
        started = time.monotonic()
        await ears.listener.close()
        assert time.monotonic() - started < listening.FAREWELL_S + SLACK_S


async def test_the_feeds_own_connection_keeps_its_budget(house: House) -> None:
    reader = Reserved(lambda: connect_to_read(house.dsn, name="feed", connect_s=BUDGET_S), within_s=BUDGET_S)
    await reader.fetch("SELECT 1")
    with house.server.frozen():
        assert await took(reader.fetch("SELECT 1")) < BUDGET_S + SLACK_S
        assert await took(reader.fetch("SELECT 1")) < BUDGET_S + SLACK_S, "connecting anew"
    assert await reader.fetch("SELECT 1")
    reader.close()


async def test_a_look_at_the_migrations_keeps_its_budget(house: House) -> None:
    with house.server.frozen():
        started = time.monotonic()
        with pytest.raises(GatewayError):
            await migrate(house.dsn, report=lambda _: None, waits=Waits(connect_s=BUDGET_S, look_s=BUDGET_S))
        assert time.monotonic() - started < BUDGET_S + SLACK_S


async def test_a_pool_closes_in_front_of_a_frozen_postgres(house: House) -> None:
    with house.server.frozen():
        asking = asyncio.create_task(house.attempts.current(7), name="asking")
        await asyncio.sleep(0.05)
        started = time.monotonic()
        await close_pool(house.pool, BUDGET_S)
        assert time.monotonic() - started < BUDGET_S + SLACK_S
        with pytest.raises(StoreUnavailable):
            await asking


async def test_the_doctor_of_a_postgres_that_falls_silent_comes_to_its_end(
    house: House, tmp_path: Path
) -> None:
    settings = settings_for(house.dsn, tmp_path, **NOWHERE)
    async with contextlib.AsyncExitStack() as stack:
        findings = Checkup(settings, stack, budget_s=BUDGET_S).findings()
        assert [(await anext(findings)).subject for _ in range(2)] == ["secret", "database"]
        with house.server.frozen():
            started = time.monotonic()
            found = [finding async for finding in findings]
            assert time.monotonic() - started < BUDGET_S + SLACK_S
    assert found
    assert not any(finding.is_fine for finding in found)


async def test_a_look_whether_gateways_run_keeps_its_budget(house: House) -> None:
    connection = await connect_direct(house.dsn)
    with house.server.frozen():
        assert await took(count_gateways(connection)) < READ_S + SLACK_S
    connection.terminate()


async def eventually(ask: Callable[[], Awaitable[object]]) -> None:
    """It works again, as soon as the thawed server has got to it."""
    async with asyncio.timeout(20):
        while True:
            try:
                await ask()
                return
            except (StoreUnavailable, TimeoutError, asyncpg.InterfaceError):
                continue

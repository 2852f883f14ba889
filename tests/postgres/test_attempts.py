"""Linking attempts in Postgres: one runs, one holder writes, and every new code has the next number."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from gateway.postgres.connection.pool import open_pool
from gateway.postgres.sessions.link_attempts import AttemptTable
from gateway.postgres.sessions.sessions import SessionTable
from gateway.postgres.sessions.vault import Vault
from tests.postgres.writers import SESSIONS_CHANNEL, Bells, insert_session, version_of


@pytest_asyncio.fixture
async def table(database: str, connection: asyncpg.Connection) -> AsyncIterator[AttemptTable]:
    await insert_session(connection, 7)
    pool = await open_pool(database, timezone="UTC", max_size=8, pooled=False)
    try:
        yield AttemptTable(pool)
    finally:
        await pool.close()


@pytest.fixture
def holder() -> str:
    return str(uuid.uuid4())


def other_holder() -> str:
    return str(uuid.uuid4())


async def test_an_attempt_begins_without_a_code(table: AttemptTable, holder: str) -> None:
    attempt, is_new = await table.begin(7, holder, "Ann")

    assert is_new
    assert (attempt.session_id, attempt.holder, attempt.actor) == (7, holder, "Ann")
    assert (attempt.code, attempt.number, attempt.ended_at) == (None, 0, None)
    assert attempt.started_at == pytest.approx(time.time(), abs=60)
    assert await table.current(7) == attempt
    assert await table.running() == [attempt]


async def test_of_many_who_begin_at_once_one_wins_and_all_see_its_attempt(table: AttemptTable) -> None:
    begun = await asyncio.gather(*(table.begin(7, other_holder(), f"person {n}") for n in range(20)))

    assert [is_new for _, is_new in begun].count(True) == 1
    assert len({attempt.id for attempt, _ in begun}) == 1


async def test_after_the_end_a_new_one_can_begin(table: AttemptTable, holder: str) -> None:
    first, _ = await table.begin(7, holder, "Ann")
    assert await table.end(7, holder, "timeout", None)
    assert await table.running() == []
    second, is_new = await table.begin(7, holder, "Ann")

    assert is_new
    assert second.id > first.id
    assert await table.current(7) == second


async def test_a_new_code_has_the_next_number_and_the_same_one_keeps_its_own(
    table: AttemptTable, holder: str
) -> None:
    await table.begin(7, holder, "Ann")
    codes = [await table.record_code(7, code, holder) for code in ("a", "a", "b", "b", "a")]

    assert [(item.code, item.seq, item.number) for item in codes if item] == [
        ("a", 1, 1), ("a", 1, 1), ("b", 2, 2), ("b", 2, 2), ("a", 3, 3),
    ]  # fmt: skip
    first, again = codes[:2]
    assert first is not None
    assert again is not None
    assert (first.issued_at, first.expires_at) == (again.issued_at, again.expires_at)
    assert first.expires_at == pytest.approx((first.issued_at or 0) + 60, abs=0.01)


async def lives(
    table: AttemptTable, connection: asyncpg.Connection, holder: str, *replaced_after: float
) -> list[float]:
    """The life that each code of an attempt is given, when they are replaced after so many seconds."""
    await table.begin(7, holder, "Ann")
    found = []
    for number, after in enumerate((*replaced_after, 0.0)):
        attempt = await table.record_code(7, f"code {number}", holder)
        assert attempt is not None
        found.append((attempt.expires_at or 0) - (attempt.issued_at or 0))
        await connection.execute(
            "UPDATE gateway.whatsapp_link_attempts SET issued_at = issued_at - make_interval(secs => $1),"
            " expires_at = expires_at - make_interval(secs => $1)",
            after,
        )
    return found


@pytest.mark.parametrize(
    ("replaced_after", "given"),
    [
        ([60, 20, 20], [60, 20, 20, 20]),
        ([45, 20], [60, 20, 20]),
        ([0, 15, 15], [60, 20, 15, 15]),
        ([45, 45, 45], [60, 20, 45, 45]),
        ([60, 1, 300], [60, 20, 10, 60]),
    ],
    ids=["whatsapp's clock", "the first has a clock of its own", "early", "late", "nothing teaches too much"],
)
async def test_the_life_of_a_code_is_whatsapps_until_the_attempt_shows_another(
    table: AttemptTable,
    connection: asyncpg.Connection,
    holder: str,
    replaced_after: list[float],
    given: list[float],
) -> None:
    assert await lives(table, connection, holder, *replaced_after) == pytest.approx(given, abs=2)


async def test_a_code_that_was_replaced_while_upstream_failed_teaches_nothing(
    table: AttemptTable, connection: asyncpg.Connection, holder: str
) -> None:
    await lives(table, connection, holder, 60, 50)
    await table.note_trouble(7, {"code": "upstream_error"}, holder)
    renewed = await table.record_code(7, "after the outage", holder)
    assert renewed is not None
    assert (renewed.expires_at or 0) - (renewed.issued_at or 0) == pytest.approx(50, abs=2)


async def test_trouble_is_noted_by_its_holder_alone_and_passes(table: AttemptTable, holder: str) -> None:
    await table.begin(7, holder, "Ann")
    assert await table.note_trouble(7, {"code": "upstream_error"}, other_holder()) is None
    noted = await table.note_trouble(7, {"code": "upstream_error"}, holder)
    again = await table.note_trouble(7, {"code": "rate_limited"}, holder)
    passed = await table.note_trouble(7, None, holder)

    assert noted is not None
    assert again is not None
    assert passed is not None
    assert (noted.trouble, again.trouble, passed.trouble) == (
        {"code": "upstream_error"}, {"code": "rate_limited"}, None,
    )  # fmt: skip
    assert noted.trouble_at == again.trouble_at
    assert (passed.trouble_at or 0) > (noted.trouble_at or 0)


async def test_numbers_of_codes_go_on_over_attempts(table: AttemptTable, holder: str) -> None:
    for expected in (1, 2, 3):
        await table.begin(7, holder, "Ann")
        attempt = await table.record_code(7, "the same each time", holder)
        assert attempt is not None
        assert (attempt.seq, attempt.number) == (expected, 1)
        await table.end(7, holder, "cancelled", None)


async def test_many_who_bring_the_same_code_at_once_make_one_number(table: AttemptTable, holder: str) -> None:
    await table.begin(7, holder, "Ann")
    brought = await asyncio.gather(*(table.record_code(7, "a", None) for _ in range(20)))

    assert {attempt.seq for attempt in brought if attempt} == {1}
    assert {attempt.number for attempt in brought if attempt} == {1}


async def test_a_poller_that_lost_its_attempt_writes_nothing(table: AttemptTable, holder: str) -> None:
    await table.begin(7, holder, "Ann")
    await table.record_code(7, "a", holder)
    taken = await table.take(7, other_holder())
    assert taken is not None

    assert await table.record_code(7, "b", holder) is None
    assert await table.mark_scanned(7, holder) is None
    assert await table.touch(7, holder) is None
    assert not await table.end(7, holder, "timeout", None)
    assert await table.current(7) == taken


async def test_a_webhook_brings_a_code_without_being_the_holder(table: AttemptTable, holder: str) -> None:
    await table.begin(7, holder, "Ann")
    attempt = await table.record_code(7, "from a webhook", None)

    assert attempt is not None
    assert (attempt.code, attempt.holder) == ("from a webhook", holder)


async def test_after_the_end_nothing_is_written(table: AttemptTable, holder: str) -> None:
    await table.begin(7, holder, "Ann")
    await table.record_code(7, "a", holder)
    assert await table.end(7, None, "error", {"code": "upstream_limit"})

    assert await table.record_code(7, "b", holder) is None
    assert await table.record_code(7, "b", None) is None
    assert await table.take(7, holder) is None
    assert not await table.end(7, None, "timeout", None)
    ended = await table.current(7)
    assert ended is not None
    assert (ended.reason, ended.error, ended.code) == ("error", {"code": "upstream_limit"}, None)


async def test_a_code_without_an_attempt_is_nothing(
    table: AttemptTable, connection: asyncpg.Connection
) -> None:
    assert await table.record_code(7, "a", None) is None
    assert await table.current(7) is None

    assert await connection.fetchval("SELECT coalesce(max(code_seq), 0) FROM gateway.session_state") == 0


async def test_a_scan_is_dated_once_until_there_is_another_code(table: AttemptTable, holder: str) -> None:
    await table.begin(7, holder, "Ann")
    await table.record_code(7, "a", holder)
    first = await table.mark_scanned(7, holder)
    second = await table.mark_scanned(7, holder)
    assert first is not None
    assert second is not None
    assert first.scanned_at is not None
    assert first.scanned_at == second.scanned_at

    renewed = await table.record_code(7, "b", holder)
    assert renewed is not None
    assert renewed.scanned_at is None


async def test_every_change_of_an_attempt_rings_and_makes_a_new_version(
    table: AttemptTable, holder: str, connection: asyncpg.Connection, bells: Bells
) -> None:
    await bells.heard()
    before = await version_of(connection, 7) or 0
    await table.begin(7, holder, "Ann")
    await table.record_code(7, "a", holder)
    await table.mark_scanned(7, holder)
    await table.end(7, holder, "connected", None)

    assert await version_of(connection, 7) == before + 4
    assert await bells.heard() == [(SESSIONS_CHANNEL, "7")] * 4


async def test_the_same_code_again_rings_nothing(table: AttemptTable, holder: str, bells: Bells) -> None:
    await table.begin(7, holder, "Ann")
    await table.record_code(7, "a", holder)
    await bells.heard()
    await table.record_code(7, "a", holder)

    assert await bells.heard() == []


async def test_the_same_status_again_rings_nothing_in_whatever_casing(
    table: AttemptTable, connection: asyncpg.Connection, bells: Bells
) -> None:
    await connection.execute("UPDATE whatsapp_sessions SET status = 'QR_READY'")
    await bells.heard()
    for status, source in (("need_scan", "poll"), ("need_scan", "webhook"), ("need_scan", "webhook")):
        await table.record_status(7, status, source)  # type: ignore[arg-type]

    assert await bells.heard() == []
    assert await connection.fetchval("SELECT status FROM whatsapp_sessions") == "QR_READY"
    source = await connection.fetchval(
        "SELECT source FROM gateway.session_state WHERE wasender_session_id = 7"
    )
    assert source == "webhook"


async def test_a_write_knows_the_version_of_the_row_it_made_and_another_writer_makes_another(
    table: AttemptTable, database: str
) -> None:
    """Two gateways: what a notification shows is one's own echo exactly when the version is one's own."""
    pool = await open_pool(database, timezone="UTC", max_size=2, pooled=False)
    try:
        there = SessionTable(pool, Vault("s" * 32, is_sealing=False))

        async def shown() -> int | None:
            (row,) = await there.read_states([7])
            return row.row_version

        mine = await table.record_status(7, "connecting", "poll")
        assert mine is not None
        assert mine.row_version == await shown()
        again = await table.record_status(7, "connecting", "poll")
        assert again is not None
        assert again.row_version is None
        assert await shown() == mine.row_version
        await there.record_status(7, "logged_out", "webhook", time.time() + 1)
        await there.record_status(7, "connecting", "webhook", time.time() + 2)

        assert await shown() != mine.row_version
    finally:
        await pool.close()

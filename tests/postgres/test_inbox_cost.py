"""What a page costs: a bounded number of rows read, however many are stored."""

from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from gateway.domain.refs import MessageRef
from gateway.postgres.connection.pool import open_pool
from gateway.postgres.inbox.conversation_list import ConversationListTable
from gateway.postgres.inbox.inbox import InboxTable
from gateway.postgres.inbox.page import DEFAULT_PROBE
from gateway.services.inbox import ConversationQuery, ThreadQuery
from gateway.services.live.conversation_list import Progress
from tests.postgres.writers import insert_message

BUSY = "555@s.whatsapp.net"

# 40 chats in each of 25 inboxes, and one chat that is larger than all of them.
FILL = """
SET session_replication_role = replica;
INSERT INTO public.whatsapp_incoming_messages
    (message_id, from_phone, wasender_session_id, message_text, push_name, is_read, replied, received_at)
SELECT 'm' || i, (49000 + i / 25 % 40)::text, i % 25 + 1, 'text', 'Ann', i % 100 <> 0, i % 3 <> 0,
    '2025-01-01'::timestamptz + i * interval '1 min'
FROM generate_series(1, 10000) AS i;
INSERT INTO public.whatsapp_incoming_messages
    (message_id, from_phone, wasender_session_id, message_text, push_name, is_read, replied, received_at)
SELECT 'b' || i, '555', 7, 'text', 'Bob', true, true, '2025-01-01'::timestamptz + i * interval '1 min'
FROM generate_series(1, 10000) AS i;
INSERT INTO public.whatsapp_outgoing_messages (client_id, to_phone, wasender_session_id, message_text, sent_at)
SELECT 'b' || i, '555', 7, 'text', '2025-01-01'::timestamptz + i * interval '1 min'
FROM generate_series(1, 10000) AS i;
SET session_replication_role = origin;
INSERT INTO gateway.inboxes (inbox) SELECT generate_series(1, 25);
"""

ANALYZE = (
    "ANALYZE public.whatsapp_incoming_messages, public.whatsapp_outgoing_messages, gateway.conversations"
)

_READ = """
SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint
FROM pg_stat_user_tables
WHERE relname IN ('whatsapp_incoming_messages', 'whatsapp_outgoing_messages')
"""


class Counted:
    """An inbox on one connection, and how many rows of the messages it has read."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.inbox = InboxTable(pool, UTC)
        self.projection = ConversationListTable(pool)

    async def rows_read(self) -> int:
        await self._pool.execute("SELECT pg_stat_force_next_flush()")
        return int(await self._pool.fetchval(_READ))

    async def catch_up(self) -> None:
        while await self.projection.step() is not Progress.DONE:
            pass


@pytest_asyncio.fixture
async def counted(database: str, connection: asyncpg.Connection) -> AsyncIterator[Counted]:
    await connection.execute(FILL)
    await connection.execute(ANALYZE)
    pool = await open_pool(database, timezone="UTC", max_size=1, pooled=False)
    try:
        counted = Counted(pool)
        await counted.catch_up()
        await connection.execute(ANALYZE)
        yield counted
    finally:
        await pool.close()


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"sessions": [7]},
        {"sessions": [3, 4, 5]},
        {"filter": "unread"},
        {"filter": "unreplied"},
        {"is_everything": True},
        {"after": ("2025-01-07T15:00:00Z", 3, BUSY)},
    ],
)
async def test_a_page_of_the_list_reads_its_last_messages_and_no_others(
    counted: Counted, more: dict[str, Any]
) -> None:
    before = await counted.rows_read()
    page = await counted.inbox.conversations(ConversationQuery(**{"sessions": None, **more}))

    assert page.items
    # The newest of each table, and one more to see that no other is of the same moment.
    assert await counted.rows_read() - before <= 5 * len(page.items)


async def test_a_page_of_a_list_that_is_a_little_behind_looks_at_the_touched_chats(
    counted: Counted, connection: asyncpg.Connection
) -> None:
    for number in range(10):
        await insert_message(connection, 7, message_id=f"new{number}", from_phone="555", is_read=True)
    before = await counted.rows_read()
    page = await counted.inbox.conversations(ConversationQuery([7]))

    assert page.items[0].chat == BUSY
    assert await counted.rows_read() - before <= 5 * len(page.items) + 30


async def test_following_an_event_reads_a_few_rows_of_its_chat(
    counted: Counted, connection: asyncpg.Connection
) -> None:
    await insert_message(connection, 7, message_id="new", from_phone="555")
    before = await counted.rows_read()
    await counted.catch_up()

    assert await counted.rows_read() - before <= 10


async def test_a_page_of_a_thread_reads_about_what_it_shows(counted: Counted) -> None:
    before = await counted.rows_read()
    page = await counted.inbox.messages(ThreadQuery(7, BUSY, 50))
    first = await counted.rows_read() - before
    oldest = page.items[0]
    page = await counted.inbox.messages(ThreadQuery(7, BUSY, 50, before=_before(oldest)))

    assert len(page.items) == 50
    # Of both tables: which rows a page needs is asked before they are fetched.
    assert first <= 4 * 51 + 10
    assert await counted.rows_read() - before <= 2 * (4 * 51 + 10)


async def test_a_thread_is_opened_around_a_message_and_read_on_at_the_same_price(counted: Counted) -> None:
    page = await counted.inbox.messages(ThreadQuery(7, BUSY, 200))
    ref = MessageRef(page.items[0]["direction"], str(page.items[0]["id"]))
    before = await counted.rows_read()
    page = await counted.inbox.messages(ThreadQuery(7, BUSY, 50, around=(ref,)))
    around = await counted.rows_read() - before
    page = await counted.inbox.messages(ThreadQuery(7, BUSY, 50, after=page.after))

    assert len(page.items) == 50
    assert around <= 6 * 51 + 10
    assert await counted.rows_read() - before <= 2 * (6 * 51 + 10)


async def test_a_chat_is_found_and_marked_read_without_going_through_it(counted: Counted) -> None:
    before = await counted.rows_read()
    assert await counted.inbox.sessions_of_chat(BUSY, None) == [7]
    assert await counted.inbox.mark_read(7, BUSY) == 0
    assert await counted.inbox.mark_read(1, "49000@s.whatsapp.net") > 0

    assert await counted.rows_read() - before <= 40


async def test_a_search_that_the_newest_messages_answer_reads_no_others(counted: Counted) -> None:
    before = await counted.rows_read()
    page = await counted.inbox.conversations(ConversationQuery(None, search="text"))

    assert len(page.items) == 50
    assert await counted.rows_read() - before <= DEFAULT_PROBE.chats * (2 * DEFAULT_PROBE.messages + 5)


async def test_a_search_for_what_nobody_wrote_finds_nothing(counted: Counted) -> None:
    page = await counted.inbox.conversations(ConversationQuery(None, search="never written"))

    assert page.items == []


def _before(oldest: dict[str, Any]) -> tuple[str, str, str, str]:
    return oldest["at"], oldest["arrived_at"], oldest["direction"], str(oldest["id"])

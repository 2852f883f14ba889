"""The list of conversations kept ready says what the messages say, whatever is done to them and however late it is."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import pytest_asyncio

from gateway.domain.refs import MessageRef
from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.connection.pool import connect_direct, open_pool
from gateway.postgres.inbox.conversation_list import DEFAULT_STEP, LOCK, ConversationListTable, StepSize
from gateway.postgres.inbox.inbox import InboxTable
from gateway.postgres.inbox.page import DEFAULT_PROBE, ProbeSize
from gateway.postgres.migrations.runner import migrate
from gateway.services.inbox import Conversation, ConversationFilter, ConversationQuery, Place, ThreadQuery
from gateway.services.live.conversation_list import Progress
from tests.postgres.chance_writer import ChanceWriter
from tests.postgres.conversation_oracle import Oracle
from tests.postgres_fixtures import clone

FILTERS: tuple[ConversationFilter, ...] = ("all", "unread", "unreplied", "mine", "free", "done", "groups")


class Bench:
    """The inbox under test beside the oracle, on one database."""

    def __init__(
        self, dsn: str, pool: asyncpg.Pool, zone: str, connection: asyncpg.Connection, *, is_small: bool
    ) -> None:
        self.dsn = dsn
        self.pool = pool
        probe = ProbeSize(8, 3) if is_small else DEFAULT_PROBE
        step = StepSize(events=5, chats=3, rows=12) if is_small else DEFAULT_STEP
        self.inbox = InboxTable(pool, ZoneInfo(zone), probe=probe)
        self.projection = ConversationListTable(pool, step)
        self.oracle = Oracle(connection)

    async def catch_up(self) -> None:
        for _ in range(1000):
            if await self.projection.step() is Progress.DONE:
                return
        raise AssertionError("the projection never comes to an end")

    async def listed(self) -> int:
        """How many conversations are kept ready."""
        return int(await self.pool.fetchval("SELECT count(*) FROM gateway.conversations"))

    async def pages(self, query: ConversationQuery) -> list[tuple[Any, ...]]:
        """All pages of a list, one after the other, in the oracle's terms."""
        found: list[Conversation] = []
        after: tuple[str, int, str] | None = None
        while True:
            page = await self.inbox.conversations(replace(query, after=after))
            found += page.items
            if page.next is None:
                break
            place, session_id, chat = page.next
            after = (str(place), int(session_id), str(chat))
        return [
            (item.session_id, item.chat, item.last_at, item.unread, item.replied, item.name) for item in found
        ]

    async def thread(self, session_id: int, chat: str, limit: int) -> list[tuple[str, str]]:
        found: list[dict[str, Any]] = []
        before: Place | None = None
        while True:
            page = await self.inbox.messages(ThreadQuery(session_id, chat, limit, before=before))
            found = page.items + found
            before = page.before
            if before is None:
                return _named(found)

    async def forwards(self, session_id: int, chat: str, limit: int) -> list[tuple[str, str]]:
        """The same thread, read from its beginning."""
        found: list[dict[str, Any]] = []
        after: Place | None = ("-infinity", "-infinity", "in", "")
        while after is not None:
            page = await self.inbox.messages(ThreadQuery(session_id, chat, limit, after=after))
            found += page.items
            after = page.after
        return _named(found)

    async def around(self, session_id: int, chat: str, limit: int, thread: list[tuple[str, str]]) -> None:
        """Around each message stand those before and after it, and what is said to be beside them is there."""
        for place, (direction, number) in list(enumerate(thread))[-6:]:
            ref = MessageRef("in" if direction == "in" else "out", number)
            page = await self.inbox.messages(ThreadQuery(session_id, chat, limit, around=(ref,)))
            first, end = max(0, place - limit // 2), place + limit - limit // 2
            assert _named(page.items) == thread[first:end]
            assert (page.before is None, page.after is None) == (first == 0, end >= len(thread))

    async def compare(self, chance: random.Random) -> None:
        """Everything that can be asked says what the oracle says."""
        for sessions in (None, [12], [0, 13, 999]):
            which = chance.choice(FILTERS)
            search = chance.choice((None, None, "blue"))
            is_everything = chance.random() < 0.5
            query = ConversationQuery(
                sessions, which, search, chance.choice((3, 200)), None, is_everything, "ann"
            )
            expected = await self.oracle.conversations(sessions, which, search, is_everything)
            assert await self.pages(query) == expected, query
            if is_everything:
                turned = replace(query, is_oldest_first=True)
                assert await self.pages(turned) == expected[::-1], turned
            totals = (await self.inbox.conversations(ConversationQuery(sessions, limit=1, sub="ann"))).totals
            assert totals is not None
            assert asdict(totals) == await self.oracle.totals(sessions), sessions
        for item in (await self.inbox.conversations(ConversationQuery(None, limit=200))).items[:4]:
            thread = await self.thread(item.session_id, item.chat, chance.choice((2, 200)))
            assert thread == await self.oracle.messages(item.session_id, item.chat)
            assert thread == await self.forwards(item.session_id, item.chat, chance.choice((2, 200)))
            await self.around(item.session_id, item.chat, chance.choice((1, 2, 5)), thread)
            last = item.last_message
            assert last is not None
            unsent = await self.oracle.unsent()
            assert (last["direction"], str(last["id"])) == [row for row in thread if row not in unsent][-1]
            # One placeholder's chat may be found a moment later: nothing names the placeholders there are.
            found = {number for number in await self.inbox.sessions_of_chat(item.chat, None) if number >= 0}
            assert found == {
                number for number in await self.oracle.sessions_of_chat(item.chat) if number >= 0
            }


def _named(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(item["direction"], str(item["id"])) for item in found]


@asynccontextmanager
async def opened(dsn: str, zone: str, *, is_small: bool = False) -> AsyncIterator[Bench]:
    """With `is_small` so little is done at once that every way to go on is taken."""
    pool = await open_pool(dsn, timezone=zone, max_size=2, pooled=False)
    try:
        connection = await connect_direct(dsn, timezone=zone)
        try:
            yield Bench(dsn, pool, zone, connection, is_small=is_small)
        finally:
            await connection.close()
    finally:
        await pool.close()


@pytest_asyncio.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with opened(database, "UTC") as bench:
        yield bench


@pytest_asyncio.fixture
async def writer(connection: asyncpg.Connection) -> ChanceWriter:
    return ChanceWriter(connection, seed=1)


@pytest.mark.parametrize(
    ("template", "pump"),
    [
        ("migrated", "stopped"),
        ("migrated", "behind"),
        ("migrated", "caught up"),
        ("shop", "behind"),
        ("shop", "caught up"),
        ("shop_uuid", "stopped"),
    ],
)
async def test_the_list_says_what_the_messages_say(
    postgres: EmbeddedPostgres, template: str, pump: str
) -> None:
    zone = "UTC" if template == "migrated" else "Europe/Berlin"
    chance = random.Random(f"{template} {pump}")
    async with clone(postgres, template) as dsn:
        await migrate(dsn, report=lambda _: None)
        async with opened(dsn, zone, is_small=True) as bench:
            writing = await connect_direct(dsn)
            try:
                await writing.execute("DROP TABLE IF EXISTS customers CASCADE")
                writer = ChanceWriter(writing, seed=chance.randrange(1000))
                for turn in range(35):
                    for _ in range(chance.choice((1, 3))):
                        await writer.write()
                    if turn in (12, 26):
                        await chance.choice((writer.prune, writer.truncate))()
                    if pump == "behind" and chance.random() < 0.5:
                        await bench.projection.step()
                    if pump == "caught up":
                        await bench.catch_up()
                    await bench.compare(chance)
            finally:
                await writing.close()


async def test_a_flood_is_listed_before_and_after_it_has_been_read(
    bench: Bench, writer: ChanceWriter
) -> None:
    chance = random.Random(1)
    for _ in range(10):
        await writer.write()
    await bench.catch_up()
    await writer.flood()
    await bench.compare(chance)
    await bench.projection.step()
    await bench.compare(chance)
    await bench.catch_up()
    await bench.compare(chance)


async def test_a_list_that_is_up_to_date_reads_no_message_but_the_last_ones(
    bench: Bench, writer: ChanceWriter, connection: asyncpg.Connection
) -> None:
    """What the list says then comes from the list: a row put there by hand is shown."""
    await writer.receive()
    await bench.catch_up()
    await connection.execute("UPDATE gateway.conversations SET unread = 77")

    rows = await bench.pages(ConversationQuery(None, is_everything=True))
    assert [row[3] for row in rows] == [77]


async def test_a_stream_with_a_hole_is_not_trusted(
    bench: Bench, writer: ChanceWriter, connection: asyncpg.Connection
) -> None:
    for _ in range(5):
        await writer.receive()
    await bench.catch_up()
    for _ in range(5):
        await writer.receive()
    await connection.execute("DELETE FROM gateway.stream")

    await bench.compare(random.Random(1))
    await bench.catch_up()
    await bench.compare(random.Random(1))
    assert await bench.listed() > 0


async def test_another_zone_for_naive_times_is_another_list(uuid_shop_database: str) -> None:
    await migrate(uuid_shop_database, report=lambda _: None)
    for zone in ("Europe/Berlin", "America/Lima"):
        async with opened(uuid_shop_database, zone) as bench:
            await bench.pool.execute("DROP TABLE IF EXISTS customers CASCADE")
            await bench.compare(random.Random(1))
            await bench.catch_up()
            await bench.compare(random.Random(1))
            assert await bench.listed() > 0


async def test_a_thread_loses_nothing_where_clocks_are_put_forward(shop_database: str) -> None:
    """The shop's naive times between 2 and 3 do not exist that night: read as Berlin's, they come after 3."""
    await migrate(shop_database, report=lambda _: None)
    async with opened(shop_database, "Europe/Berlin") as bench:
        for number, time in enumerate(
            ("00:30", "02:10", "02:50", "03:00", "03:05", "03:55", "04:10", "06:30")
        ):
            await bench.pool.execute(
                "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, received_at)"
                f" VALUES ('night{number}', '49777', '2025-03-30 {time}')"
            )
        for limit in (1, 2, 3):
            thread = await bench.thread(0, "49777@s.whatsapp.net", limit)
            assert thread == await bench.oracle.messages(0, "49777@s.whatsapp.net")
            assert thread == await bench.forwards(0, "49777@s.whatsapp.net", limit)
            await bench.around(0, "49777@s.whatsapp.net", limit, thread)


async def test_one_gateway_follows_at_a_time_and_the_other_goes_on_when_it_ends(
    bench: Bench, writer: ChanceWriter, other: asyncpg.Connection
) -> None:
    await writer.receive()
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        assert await bench.projection.step() is Progress.BUSY
        await bench.compare(random.Random(1))
    await bench.catch_up()
    assert await bench.listed() == 1


async def test_nobody_waits_for_the_list_and_it_for_nobody(
    bench: Bench, writer: ChanceWriter, other: asyncpg.Connection
) -> None:
    """A stranger's open transaction neither holds it up nor is seen before its time."""
    await writer.receive()
    async with other.transaction():
        await ChanceWriter(other, seed=7).send()
        await bench.catch_up()
        await bench.compare(random.Random(1))
    await bench.compare(random.Random(1))
    await bench.catch_up()
    await bench.compare(random.Random(1))

"""Supabase's own clients whose rights grow: they say SUBSCRIBED again, and a page that reloads then has everything."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from gateway.domain.access import Role
from gateway.postgres.connection.pool import connect_direct
from gateway.realtime.pace import SocketPace
from tests.clients.supabase_pages import CLIENTS, IDS, INCOMING, SupabasePage, everything, supabase_page
from tests.launcher.running import UNWATCHED, Running, running
from tests.launcher.settings import settings_for
from tests.postgres.writers import insert_message
from tests.realtime.test_supabase_tokens import PROJECT_SECRET, minted

READS_ALL = {"gateway_sessions": "*"}
"""Without it a token of the project reads nothing."""


@pytest.fixture(params=CLIENTS, ids=IDS)
def client(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest_asyncio.fixture
async def gateway(database: str, tmp_path: Path) -> AsyncIterator[Running]:
    """One that takes the tokens of the shop's Supabase project."""
    async with running(settings_for(database, tmp_path, supabase_jwt_secret=PROJECT_SECRET)) as started:
        yield started


@pytest_asyncio.fixture
async def writer(database: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect_direct(database)
    try:
        yield opened
    finally:
        await opened.close()


async def subscribed_again(page: SupabasePage, after: int) -> None:
    """The channel says SUBSCRIBED after so many lines, and never that it is closed for good."""
    await page.status("SUBSCRIBED", after=after)
    assert "CLOSED" not in [line.get("status") for line in page.lines]


async def test_the_pattern_of_the_readme_hears_at_once(
    client: str, gateway: Running, writer: asyncpg.Connection
) -> None:
    # The anon key in the address, the user's token as an option, heartbeats as far apart as they are by default.
    token = minted("authenticated", app_metadata=READS_ALL)
    environment = {"SUPABASE_TOKEN": token, "HEARTBEAT_MS": "25000"}
    async with supabase_page(client, gateway.url, minted("anon"), **environment) as page:
        await page.tell(listen="incoming", bindings=[everything()])
        if client == "supabase-old":
            await page.tell(token=token)  # this one has no such option
        said = await page.system("ok")
        await page.status("SUBSCRIBED", after=len(page.lines) - 2)
        await insert_message(writer, 12, message_text="hello")

        assert said == "Subscribed to PostgreSQL"
        assert (await page.text("hello"))["type"] == "INSERT"


@pytest.mark.parametrize(
    ("before", "after"),
    [({}, {"gateway_sessions": [12]}), ({"gateway_sessions": [13]}, {"gateway_sessions": [12, 13]}),
     ({"gateway_sessions": [13]}, {"gateway_sessions": "*"})],
    ids=["nothing to something", "one more", "all"],
)  # fmt: skip
async def test_a_token_that_reads_more_brings_subscribed_again(
    client: str,
    gateway: Running,
    writer: asyncpg.Connection,
    before: dict[str, object],
    after: dict[str, object],
) -> None:
    async with supabase_page(client, gateway.url, minted("anon", app_metadata=before)) as page:
        await page.subscribe("incoming", everything())
        seen = len(page.lines)
        await page.tell(token=minted("anon", app_metadata=after))
        if not before:
            # Python's client takes the word that it may read nothing for a fault, and joins again all the time.
            await page.system("ok")
            seen = max(seen, len(page.lines) - 2)
        await subscribed_again(page, seen)
        await insert_message(writer, 12, message_text="to 12")

        assert (await page.text("to 12"))["type"] == "INSERT"
        await page.changes(1)


async def test_a_token_that_reads_the_same_says_nothing(
    client: str, gateway: Running, writer: asyncpg.Connection
) -> None:
    async with supabase_page(client, gateway.url, gateway.token(Role.VIEWER, sessions={12})) as page:
        await page.subscribe("incoming", everything())
        for number in range(3):
            await page.tell(token=gateway.token(Role.VIEWER, sessions={12}, life_s=700 + number))
            await insert_message(writer, 12, message_text=f"message {number}")
            await page.text(f"message {number}")

        assert [line["status"] for line in page.lines if "status" in line] == ["SUBSCRIBED"]


async def test_a_column_that_is_added_later_is_listened_to(
    client: str, database: str, tmp_path: Path, writer: asyncpg.Connection
) -> None:
    timings = replace(UNWATCHED, sockets=SocketPace(tables_s=0.0))
    async with (
        running(settings_for(database, tmp_path), timings=timings) as gateway,
        supabase_page(client, gateway.url, gateway.token()) as page,
    ):
        await page.tell(listen="incoming", bindings=[everything(filter="branch=eq.north")])
        await page.system("error")
        seen = len(page.lines)
        await writer.execute(f"ALTER TABLE {INCOMING} ADD COLUMN branch text")
        await page.system("ok")
        await page.status("SUBSCRIBED", after=max(0, seen - 1))
        for branch in ("south", "north"):
            key = await insert_message(writer, 12, message_text=branch)
            await writer.execute(f"UPDATE {INCOMING} SET branch = $1 WHERE id = $2", branch, key)

        assert (await page.text("north"))["new"]["branch"] == "north"
        await page.changes(1)

"""A channel that begins to be allowed to read is called back: its client joins again, says SUBSCRIBED, and reloads."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from gateway.domain.access import Role
from gateway.realtime.hub.cursors import Cursor
from gateway.realtime.pace import SocketPace
from gateway.realtime.supabase.connection import SupabaseConnection
from tests.launcher.running import UNWATCHED, Running, running
from tests.launcher.settings import settings_for
from tests.postgres.writers import insert_message
from tests.realtime.live import roster_of, until
from tests.realtime.phoenix import ALL_INCOMING, INCOMING, SESSIONS, Phoenix, phoenix
from tests.realtime.test_supabase_tokens import PROJECT_SECRET, TOPIC, minted, renew

VERSIONS = ["1.0.0", "2.0.0"]

READS_ALL = {"gateway_sessions": "*"}
"""Without it a token of the project reads nothing."""


@pytest_asyncio.fixture
async def project(database: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(settings_for(database, tmp_path, supabase_jwt_secret=PROJECT_SECRET)) as gateway:
        yield gateway


async def faults(client: Phoenix) -> list[str]:
    """Reasons of the phx_errors that have come up to now."""
    await client.changes_until_now()
    return [said.payload["reason"] for said in client.said if said.event == "phx_error"]


def second(gateway: Running, count: int = 1) -> None:
    """So many seconds pass, as far as the sockets' one timer is concerned."""
    for _ in range(count):
        roster_of(gateway).tick()


@pytest.mark.parametrize("vsn", VERSIONS)
async def test_a_token_that_may_read_calls_back_the_channel_that_could_not(
    project: Running, writer: asyncpg.Connection, vsn: str
) -> None:
    async with phoenix(project, minted("anon"), vsn=vsn) as client:
        await client.join("shop", ALL_INCOMING, token=minted("anon", sub="page"))
        await client.system()
        await renew(client, minted("authenticated", app_metadata=READS_ALL))
        fault = await client.next("phx_error")
        await insert_message(writer, 12, message_text="between")
        between = await client.change()
        reply = await client.join("shop", ALL_INCOMING, token=minted("authenticated", app_metadata=READS_ALL))
        await insert_message(writer, 12, message_text="after")
        after = await client.change()

        assert await client.changes_until_now() == []
    assert (fault.topic, fault.ref) == (TOPIC, "1")
    assert reply["status"] == "ok"
    assert [item["record"]["message_text"] for item in (between, after)] == ["between", "after"]
    assert "phx_close" not in [said.event for said in client.said]


@pytest.mark.parametrize(
    ("before", "after", "is_called"),
    [
        ({12}, {12, 13}, True),
        ({12}, {13}, True),
        ({12}, None, True),
        ({12, 13}, {12}, False),
        ({12}, {12}, False),
        (None, {12}, False),
        (None, None, False),
        (set(), {12}, True),
        ({12}, set(), False),
    ],
    ids=str,
)
async def test_only_a_token_that_reads_more_calls_back(
    gateway: Running, before: set[int] | None, after: set[int] | None, is_called: bool
) -> None:
    async with phoenix(gateway, gateway.token(Role.VIEWER, sessions=before)) as client:
        await client.join("shop", ALL_INCOMING)
        await renew(client, gateway.token(Role.AGENT, sessions=after))

        assert bool(await faults(client)) is is_called


async def test_a_first_join_that_forgot_the_pages_token_is_called_back_once(project: Running) -> None:
    # The newest client leaves the token out of its first join; with the second one it comes.
    async with phoenix(project, minted("anon")) as client:
        await client.join("shop", ALL_INCOMING)
        second(project)
        assert len(await faults(client)) == 1
        await client.join("shop", ALL_INCOMING)
        second(project, 3)

        assert len(await faults(client)) == 1, "a page that is not logged in is left alone after that"


@pytest.mark.parametrize("changes", [(), (ALL_INCOMING,)], ids=["none", "all"])
async def test_whoever_reads_or_wants_nothing_is_not_called_back(
    project: Running, changes: tuple[dict[str, Any], ...]
) -> None:
    key = minted("authenticated", app_metadata=READS_ALL) if changes else minted("anon")
    async with phoenix(project, key) as client:
        await client.join("shop", *changes)
        second(project, 3)

        assert await faults(client) == []


async def test_a_page_that_says_it_has_no_other_token_is_not_called_back(project: Running) -> None:
    key = minted("anon")
    async with phoenix(project, key) as client:
        await client.join("shop", ALL_INCOMING, token=key)
        second(project, 3)

        assert await faults(client) == []


@pytest.mark.parametrize(
    ("wish", "statement"),
    [
        ({"event": "*", "schema": "public", "table": SESSIONS}, f"ALTER TABLE hidden RENAME TO {SESSIONS}"),
        (
            {**ALL_INCOMING, "filter": "branch=eq.north"},
            f"ALTER TABLE {INCOMING} ADD COLUMN branch text DEFAULT 'north'",
        ),
        (
            {**ALL_INCOMING, "select": ["id", "branch"]},
            f"ALTER TABLE {INCOMING} ADD COLUMN branch text DEFAULT 'north'",
        ),
    ],
    ids=["table", "filter", "select"],
)
async def test_what_a_channel_asks_for_comes_into_being(
    database: str,
    tmp_path: Path,
    writer: asyncpg.Connection,
    wish: dict[str, Any],
    statement: str,
) -> None:
    timings = replace(UNWATCHED, sockets=SocketPace(tables_s=0.0))
    async with (
        running(settings_for(database, tmp_path), timings=timings) as gateway,
        phoenix(gateway) as client,
    ):
        if "hidden" in statement:
            await writer.execute(f"ALTER TABLE {SESSIONS} RENAME TO hidden")
        await client.join("shop", wish)
        assert (await client.system())["status"] == "error"
        second(gateway)
        assert await faults(client) == []
        await writer.execute(statement)

        def is_called() -> bool:
            second(gateway)
            (connection,) = roster_of(gateway).open
            assert isinstance(connection, SupabaseConnection)
            return connection.channels[TOPIC].is_called_back

        await until(is_called, "the channel is called back")
        assert len(await faults(client)) == 1
        # While the table was away, states could not be read: clients were told, and are let in again after that.
        await until(lambda: gateway.gateway.stale_since is None, "the gateway has caught up")
        assert (await client.join("shop", wish))["status"] == "ok"
        assert (said := await client.system())["status"] == "ok", said
        if wish["table"] == INCOMING:
            await insert_message(writer, 12)
            assert (await client.change())["record"]["branch"] == "north"
    if "hidden" not in statement:
        await writer.execute(f"ALTER TABLE {INCOMING} DROP COLUMN branch")


def never(cursor: Cursor) -> bool:
    """In place of the hub's `go_live`: there is always more to read."""
    return False


async def test_a_join_that_is_left_or_joined_again_before_its_reply_is_answered(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with phoenix(gateway) as client:
        monkeypatch.setattr(gateway.gateway.live.hub, "go_live", never)
        refs = [await client.ask_to_join("shop", ALL_INCOMING) for _ in range(3)]
        await client.send(TOPIC, "phx_leave", {}, join_ref=refs[-1], ref="left")
        await client.next("phx_reply", lambda said: said.ref == "left")

        answered = {said.ref: said.payload["status"] for said in client.said if said.event == "phx_reply"}
        assert answered == {**dict.fromkeys(refs, "error"), "left": "ok"}


async def test_a_join_that_cannot_become_live_is_refused_before_its_client_gives_up(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with phoenix(gateway) as client:
        (connection,) = roster_of(gateway).open
        monkeypatch.setattr(gateway.gateway.live.hub, "go_live", never)
        ref = await client.ask_to_join("shop", ALL_INCOMING)
        await client.changes_until_now()
        for now in (100.0, 107.0, 108.0):
            connection.look_at_clock(now)
        said = await client.next("phx_reply", lambda said: said.ref == ref)

    assert said.payload["status"] == "error"
    assert said.payload["response"]["reason"].startswith("DatabaseUnavailable")

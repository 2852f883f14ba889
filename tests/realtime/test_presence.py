"""Who looks at a conversation or writes in it: told to all pages of all gateways, and gone soon after the last word."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest_asyncio

from gateway.domain.access import Principal, Role
from tests.launcher.running import Running, Socket, running
from tests.launcher.settings import NOWHERE, settings_for
from tests.realtime.live import pong

ASHA = "255711000111@s.whatsapp.net"
WORD = {"type": "presence", "topic": "inbox:12", "chat": ASHA, "doing": "viewing"}


@pytest_asyncio.fixture
async def two(database: str, tmp_path: Path) -> AsyncIterator[list[Running]]:
    """Two gateways on one database."""
    async with (
        running(settings_for(database, tmp_path / "a", **NOWHERE)) as first,
        running(settings_for(database, tmp_path / "b", **NOWHERE)) as other,
    ):
        yield [first, other]


@contextlib.asynccontextmanager
async def page(
    gateway: Running, name: str, role: Role = Role.AGENT, topic: str = "inbox:*"
) -> AsyncIterator[Socket]:
    """A page of a person, who follows an inbox."""
    principal = Principal(sub=f"user:{name}", name=name, role=role, sessions=None)
    token = gateway.gateway.access.login.issue(principal, 600)[0]
    async with gateway.socket(token) as socket:
        await socket.subscribe(topic)
        yield socket


async def people(socket: Socket, *expected: tuple[str, str]) -> None:
    """Reads until exactly these are in Asha's conversation."""
    wanted = [{"sub": f"user:{name}", "name": name, "doing": doing} for name, doing in expected]
    frame = await socket.next("presence", lambda frame: frame["who"] == wanted)
    assert (frame["topic"], frame["chat"]) == ("inbox:12", ASHA)


async def test_IN_28_pages_of_all_gateways_are_told_who_looks_and_who_writes(
    two: list[Running], writer: asyncpg.Connection
) -> None:
    here, there = two
    heard: list[str] = []
    await writer.add_listener("whatsapp_gateway_presence", lambda *said: heard.append(str(said[-1])))
    async with page(here, "Ali") as ali, page(there, "Amina", topic="inbox:12") as amina:
        await ali.send(**WORD)
        await people(amina, ("Ali", "viewing"))
        await ali.send(**WORD | {"doing": "typing", "chat": "255711000111"})
        await people(amina, ("Ali", "typing"))
        await amina.send(**WORD)
        await people(ali, ("Ali", "typing"), ("Amina", "viewing"))

        async with page(here, "Late") as late:  # one that comes later is told at once
            await people(late, ("Ali", "typing"), ("Amina", "viewing"))

        ali.raw.transport.abort()
        await people(amina, ("Amina", "viewing"))
    assert set(heard) == {"12"}, "a notification names sessions alone"


async def test_a_word_said_again_is_told_to_nobody(two: list[Running], writer: asyncpg.Connection) -> None:
    here, _ = two
    async with page(here, "Ali") as ali, page(here, "Amina") as amina:
        await ali.send(**WORD)
        await people(amina, ("Ali", "viewing"))
        before = await writer.fetchval("SELECT seen_at FROM gateway.presence")
        await ali.send(**WORD)
        moved = "SELECT seen_at > $1 FROM gateway.presence"
        while not await writer.fetchval(moved, before):
            await pong(ali)
        assert [frame for frame in await pong(amina) if frame["type"] == "presence"] == []


async def test_who_was_killed_is_gone_ten_seconds_after_the_last_word(
    two: list[Running], writer: asyncpg.Connection
) -> None:
    async with page(two[0], "Amina") as amina:
        await writer.execute(
            "INSERT INTO gateway.presence VALUES"
            " ('dead/1', 12, $1, 'user:Ali', 'Ali', 'typing', clock_timestamp() - interval '9 seconds');",
            ASHA,
        )
        await writer.execute("SELECT pg_notify('whatsapp_gateway_presence', '12')")
        await people(amina, ("Ali", "typing"))
        await people(amina)
        assert await writer.fetchval("SELECT count(*) FROM gateway.presence") == 0


async def test_only_who_may_read_an_inbox_says_and_hears_something_of_it(two: list[Running]) -> None:
    gateway = two[0]
    stranger = gateway.token(Role.AGENT, {13})
    async with page(gateway, "Vera", Role.VIEWER) as vera, gateway.socket(stranger) as other:
        await other.subscribe("inbox:*")
        await other.send(**WORD, ref="p")
        assert (await other.next("error"))["code"] == "forbidden"
        await vera.send(**WORD | {"doing": "typing"})
        await people(vera, ("Vera", "viewing"))  # a viewer writes nothing
        assert [frame for frame in await pong(other) if frame["type"] == "presence"] == []


async def test_a_word_that_cannot_be_read_gets_a_sentence(two: list[Running]) -> None:
    wrong: list[dict[str, Any]] = [
        {"topic": "inbox:*"}, {"topic": "session:12"}, {"chat": ""}, {"chat": 7}, {"chat": "1" * 200},
        {"doing": "dancing"}, {"doing": None},
    ]  # fmt: skip
    async with page(two[0], "Ali") as ali:
        for change in wrong:
            await ali.send(**WORD | change)
            assert (await ali.next("error"))["code"] == "bad_frame"


async def test_one_page_is_in_few_conversations_at_once(
    two: list[Running], writer: asyncpg.Connection
) -> None:
    async with page(two[0], "Ali") as ali:
        for number in range(40):
            await ali.send(**WORD | {"chat": f"2557110001{number:02}"})
        await ali.next("presence", lambda frame: frame["chat"].startswith("255711000139"))
        assert await writer.fetchval("SELECT count(*) FROM gateway.presence") <= 5

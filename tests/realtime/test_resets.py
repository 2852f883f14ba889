"""`reset`: the client is told when its offset is of no use, and never has to guess."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from gateway.postgres.connection.listener import APPLICATION
from gateway.postgres.connection.pool import open_pool
from gateway.postgres.connection.readers import Shared
from gateway.postgres.streams import StreamStore
from tests.launcher.running import Running, Socket
from tests.postgres.writers import INCOMING, insert_many, insert_message
from tests.realtime.live import heard, offs_of


def resets_of(socket: Socket) -> list[tuple[str, str, int]]:
    return [
        (frame["topic"], frame["reason"], frame["off"]) for frame in socket.frames if frame["type"] == "reset"
    ]


async def position_of(gateway: Running, inbox: int) -> dict[str, Any]:
    async with gateway.socket() as socket:
        subscribed = await socket.subscribe(f"inbox:{inbox}")
    return {"off": subscribed["off"], "epoch": subscribed["epoch"]}


async def prune_all(dsn: str) -> None:
    """As if every event were older than what is kept."""
    pool = await open_pool(dsn, timezone="UTC", max_size=1, pooled=False)
    try:
        while await StreamStore(Shared(pool)).prune(timedelta(seconds=-1), 1000):
            pass
    finally:
        await pool.close()


async def test_an_offset_older_than_what_is_kept_is_told_so(
    live: Running, writer: asyncpg.Connection, database: str
) -> None:
    start = await position_of(live, 12)
    for _ in range(3):
        await insert_message(writer, 12)
    await heard(live, 12, 3)
    await prune_all(database)
    async with live.socket() as socket:
        subscribed = await socket.subscribe("inbox:12", after=start)

        assert resets_of(socket) == [("inbox:12", "offset_expired", 3)]
        assert [frame["type"] for frame in socket.frames] == ["welcome", "reset", "subscribed"]
        assert (subscribed["ref"], subscribed["off"]) == ("inbox:12", 3)
        await insert_message(writer, 12)
        assert (await socket.event("message.created"))["off"] == 4


async def test_an_offset_that_was_never_given_out_is_told_so(
    live: Running, writer: asyncpg.Connection
) -> None:
    await insert_message(writer, 12)
    await heard(live, 12, 1)
    position = await position_of(live, 12)
    for off in (2, 2**53, -1):
        async with live.socket() as socket:
            subscribed = await socket.subscribe("inbox:12", after={**position, "off": off})

            assert resets_of(socket) == [("inbox:12", "offset_unknown", 1)]
            assert subscribed["off"] == 1


async def test_an_offset_of_another_history_is_told_so(live: Running, writer: asyncpg.Connection) -> None:
    await insert_message(writer, 12)
    await heard(live, 12, 1)
    async with live.socket() as socket:
        subscribed = await socket.subscribe("inbox:12", after={"off": 1, "epoch": "another"})

        (reset,) = [frame for frame in socket.frames if frame["type"] == "reset"]
        assert (reset["reason"], reset["epoch"]) == ("epoch_changed", subscribed["epoch"])


@pytest.mark.parametrize("topic", ["inbox:12", "inbox:*"])
async def test_a_restore_that_a_client_knows_of_before_the_gateway_is_one_reset(
    live: Running, writer: asyncpg.Connection, topic: str
) -> None:
    """Another gateway has told it more than this one had read when the older database came back."""
    await insert_message(writer, 12)
    await heard(live, 12, 1)
    position = await position_of(live, 12)
    await writer.execute("""UPDATE gateway.settings SET value = '"another/00000001"' WHERE key = 'history'""")
    known = {**position, "off": 3}
    async with live.socket() as socket:
        subscribed = await socket.subscribe(topic, after={"12": known} if topic == "inbox:*" else known)
        await insert_message(writer, 12)
        await socket.event("message.created")

        resets = [
            frame for frame in socket.frames if frame["type"] == "reset" and frame["topic"] == "inbox:12"
        ]
        assert [frame["reason"] for frame in resets] == ["epoch_changed"]
        assert resets[0]["epoch"] not in (position["epoch"], None)
        assert subscribed.get("tops", {}).get("12", subscribed)["epoch"] == resets[0]["epoch"]


FLOOD = f"UPDATE {INCOMING} SET is_read = true"
WIPE = f"TRUNCATE {INCOMING}"


@pytest.mark.parametrize("change", [FLOOD, WIPE], ids=["5,001 rows at once", "truncate"])
@pytest.mark.parametrize("topic", ["inbox:12", "inbox:*"])
async def test_a_change_too_big_to_tell_is_one_reset_for_whoever_is_there(
    live: Running, writer: asyncpg.Connection, change: str, topic: str
) -> None:
    await insert_many(writer, 12, 2600)
    await insert_many(writer, 12, 2401)
    await heard(live, 12, 5001)
    async with live.socket() as socket:
        before = await socket.subscribe(topic)
        await writer.execute(change)
        again = await socket.next("subscribed")

        assert again["ref"] == topic
        mine = [reset for reset in resets_of(socket) if reset[0] == "inbox:12"]  # TRUNCATE resets them all
        assert mine == [("inbox:12", "epoch_changed", 5002)]
        assert offs_of(socket.frames) == []
        if topic == "inbox:12":
            assert (before["off"], again["off"]) == (5001, 5002)
            assert before["epoch"] != again["epoch"]
        await insert_message(writer, 12)
        event = await socket.event("message.created")
        assert event["off"] == 5003


async def test_a_client_that_was_away_for_it_is_told_when_it_comes_back(
    live: Running, writer: asyncpg.Connection
) -> None:
    await insert_message(writer, 12)
    await heard(live, 12, 1)
    position = await position_of(live, 12)
    await writer.execute(WIPE)
    await heard(live, 12, 2)
    async with live.socket() as socket:
        await socket.subscribe("inbox:12", after=position)
        await socket.subscribe("inbox:*", after={"12": position})

        assert resets_of(socket) == [("inbox:12", "epoch_changed", 2)] * 2


@contextlib.asynccontextmanager
async def deaf(writer: asyncpg.Connection) -> AsyncIterator[None]:
    """No notification reaches the gateway while the block runs: the server process that brings them stands still."""
    process = await writer.fetchval(
        "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()",
        APPLICATION,
    )
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize("topic", ["inbox:12", "inbox:*"])
async def test_a_client_that_comes_back_before_the_bell_is_told_with_the_bell(
    live: Running, writer: asyncpg.Connection, topic: str
) -> None:
    await insert_message(writer, 12)
    await heard(live, 12, 1)
    position = await position_of(live, 12)
    everywhere = {"12": position, "0": await position_of(live, 0)}
    async with live.socket() as socket:
        async with deaf(writer):
            await writer.execute(WIPE)
            await socket.subscribe(topic, after=position if topic == "inbox:12" else everywhere)
        reset = await socket.next("reset", lambda frame: frame["topic"] == "inbox:12")
        await socket.next("subscribed")
        await insert_message(writer, 12)

        assert (await socket.event("message.created"))["off"] == 3
        assert (reset["reason"], reset["off"]) == ("epoch_changed", 2)
        assert len([frame for frame in resets_of(socket) if frame[0] == "inbox:12"]) == 1


async def test_a_wiped_inbox_that_nobody_followed_goes_on_for_the_next_one(
    live: Running, writer: asyncpg.Connection
) -> None:
    await insert_message(writer, 12)
    await writer.execute(WIPE)
    await heard(live, 12, 2)
    async with live.socket() as socket:
        position = await socket.subscribe("inbox:12")
        await insert_message(writer, 12)

        assert position["off"] == 2
        assert (await socket.event("message.created"))["off"] == 3
        assert resets_of(socket) == []


async def test_rows_that_somebody_took_out_of_the_stream_are_a_reset_not_a_gap(
    live: Running, writer: asyncpg.Connection
) -> None:
    start = await position_of(live, 12)
    for _ in range(3):
        await insert_message(writer, 12)
    await heard(live, 12, 3)
    await writer.execute("DELETE FROM gateway.stream WHERE off = 2")
    async with live.socket() as socket:
        await socket.subscribe("inbox:12", after=start)

        assert offs_of(socket.frames) == [1]
        assert resets_of(socket) == [("inbox:12", "offset_expired", 3)]


async def go_back(connection: asyncpg.Connection, inbox: int, off: int) -> None:
    """Makes an inbox what it was at that offset, as an older backup brought back would."""
    async with connection.transaction():
        await connection.execute("DELETE FROM gateway.stream WHERE inbox = $1 AND off > $2", inbox, off)
        await connection.execute("UPDATE gateway.inboxes SET off = $2 WHERE inbox = $1", inbox, off)


async def test_an_older_backup_brought_back_is_a_reset_for_whoever_is_there_and_whoever_comes_later(
    live: Running, writer: asyncpg.Connection
) -> None:
    for _ in range(5):
        await insert_message(writer, 12)
        await insert_message(writer, 7)
    await heard(live, 12, 5)
    await heard(live, 7, 5)
    gone = await position_of(live, 7)
    async with live.socket() as socket:
        await socket.subscribe("inbox:12")
        await go_back(writer, 12, 2)
        await go_back(writer, 7, 2)
        for number in range(4):  # the other inbox grows past what its client has seen, with other messages
            await insert_message(writer, 7, message_text=f"new {number}")
        await insert_message(writer, 12)
        reset = await socket.next("reset")
        subscribed = await socket.next("subscribed")

        assert (reset["topic"], reset["reason"]) == ("inbox:12", "epoch_changed")
        assert (reset["off"], reset["epoch"]) == (subscribed["off"], subscribed["epoch"])
        await insert_message(writer, 12)
        await socket.next("event", lambda frame: frame["off"] == 4)
        assert offs_of(socket.frames) == list(range(reset["off"] + 1, 5))
    async with live.socket() as late:
        await late.subscribe("inbox:7", after=gone)

        assert resets_of(late) == [("inbox:7", "epoch_changed", 6)]

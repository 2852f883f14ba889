"""A client that reads nothing costs a bounded number of bytes, delays nobody, and loses nothing."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from gateway.domain.streams import Standing
from gateway.realtime.pace import SocketPace
from tests.launcher.running import UNWATCHED, Running, running
from tests.launcher.settings import settings_for
from tests.postgres.writers import insert_message
from tests.realtime.conftest import SMALL_BUFFER
from tests.realtime.live import connection_of, offs_of, realtime_of, roster_of, sluggish, until

KIB = 1024
TEXT = "x" * 8 * KIB


async def test_whoever_reads_nothing_is_bounded_delays_nobody_and_gets_everything_later(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with sluggish(live) as slow, live.socket() as quick:
        await slow.subscribe("inbox:12")
        await quick.subscribe("inbox:12")
        connection = connection_of(live, slow.name)
        most = 0
        for off in range(1, 301):  # 2.4 MB, more than the tail in memory holds
            await insert_message(writer, 12, message_text=TEXT)
            assert (await quick.event("message.created"))["off"] == off
            most = max(most, connection.transport.buffered())

        (cursor,) = connection.all_cursors()
        assert cursor.standing is Standing.CATCHING_UP
        assert most < 64 * KIB + 64 * KIB + 256 * KIB
        await insert_message(writer, 12, message_text="the last")
        await slow.next("event", lambda frame: frame["data"]["message_text"] == "the last")
        assert offs_of(slow.frames) == list(range(1, 302))
        await until(lambda: cursor.standing is Standing.LIVE, "it is live again")


async def test_events_that_come_while_it_catches_up_come_once_and_in_their_place(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with sluggish(live) as slow:
        await slow.subscribe("inbox:*")
        for _ in range(100):
            await insert_message(writer, 12, message_text=TEXT)
        for _ in range(50):  # it reads a bit, more comes, it reads a bit
            await slow.read(4096)
            await insert_message(writer, 12, message_text=TEXT)
        await slow.next("event", lambda frame: frame["off"] == 150)

        assert offs_of(slow.frames) == list(range(1, 151))


async def test_one_slow_inbox_among_others_keeps_the_order_of_each(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with sluggish(live) as slow:
        await slow.subscribe("inbox:*")
        for _ in range(60):
            for inbox in (7, 8, 9):
                await insert_message(writer, inbox, message_text=TEXT)
        wanted = {7, 8, 9}
        while wanted:
            ended = await slow.next(
                "event", lambda frame: frame["off"] == 60 and int(frame["topic"][6:]) in wanted
            )
            wanted.discard(int(ended["topic"][6:]))

        for inbox in (7, 8, 9):
            mine = [frame for frame in slow.frames if frame.get("topic") == f"inbox:{inbox}"]
            assert offs_of(mine) == list(range(1, 61))


async def test_a_replay_goes_as_fast_as_the_client_reads(live: Running, writer: asyncpg.Connection) -> None:
    async with live.socket() as socket:
        epoch = (await socket.subscribe("inbox:12"))["epoch"]
        for _ in range(300):
            await insert_message(writer, 12, message_text=TEXT)
        await socket.next("event", lambda frame: frame["off"] == 300)
    async with sluggish(live) as slow:
        after = {"off": 0, "epoch": epoch}
        await slow.send(type="subscribe", ref="1", topic="inbox:12", after=after)
        outlet = connection_of(live, slow.name).transport
        await until(lambda: outlet.buffered() > 48 * KIB, "the replay has begun")
        most = 0
        while not any(frame["type"] == "subscribed" for frame in slow.frames):
            most = max(most, outlet.buffered())
            await slow.read()

        assert offs_of(slow.frames) == list(range(1, 301))
        assert most < 64 * KIB + 64 * KIB + 256 * KIB


async def test_of_states_only_the_newest_waits_for_a_slow_reader(
    live: Running, writer: asyncpg.Connection
) -> None:
    await writer.execute(
        "INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number) VALUES (12, 'first', '+49')"
    )
    await until(lambda: live.gateway.live.states.session(12) is not None, "the gateway knows the session")
    async with sluggish(live) as slow, live.socket() as quick:
        await slow.subscribe("sessions")
        await quick.subscribe("sessions")
        await slow.subscribe("inbox:12")
        await quick.subscribe("inbox:12")
        # Long ones: whatever the kernel and the server still take of them, more than the write limit is left.
        for _ in range(3):
            await insert_message(writer, 12, message_text="x" * 200 * KIB)
            await quick.event("message.created")
        assert connection_of(live, slow.name).transport.buffered() > 128 * KIB
        for number in range(50):
            await writer.execute("UPDATE whatsapp_sessions SET name = $1", f"name {number}")
            await quick.state("session.updated")
        await slow.next("state", lambda frame: frame["data"]["name"] == "name 49")

        kept = [frame["data"]["name"] for frame in slow.frames if frame["type"] == "state"]
        assert kept == ["name 49"]


async def test_a_slow_reader_learns_in_the_end_that_all_is_fresh(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with sluggish(live) as slow:
        await slow.subscribe("inbox:12")
        realtime_of(live).tell_stale("2026-11-23T10:00:00Z")
        await slow.next("stale")
        outlet = connection_of(live, slow.name).transport
        for _ in range(60):
            await insert_message(writer, 12, message_text=TEXT)
        await until(lambda: outlet.buffered() > 64 * KIB, "it reads nothing")
        realtime_of(live).tell_fresh()

        await slow.next("fresh")


def cutting_off(
    database: str, folder: Path, after_s: float
) -> contextlib.AbstractAsyncContextManager[Running]:
    """A gateway that cuts clients off which take nothing for so long."""
    timings = replace(UNWATCHED, sockets=SocketPace(progress_s=after_s))
    return running(settings_for(database, folder), send_buffer=SMALL_BUFFER, timings=timings)


@pytest.mark.usefixtures("way")
async def test_whoever_makes_no_progress_for_long_is_cut_off(
    database: str, tmp_path: Path, writer: asyncpg.Connection
) -> None:
    async with cutting_off(database, tmp_path, after_s=0.2) as live, sluggish(live) as slow:
        await slow.subscribe("inbox:12")
        for _ in range(60):
            await insert_message(writer, 12, message_text=TEXT)

        await until(lambda: not roster_of(live).open, "its connection has ended")


@pytest.mark.usefixtures("way")
async def test_whoever_reads_slowly_is_not_cut_off(
    database: str, tmp_path: Path, writer: asyncpg.Connection
) -> None:
    async with cutting_off(database, tmp_path, after_s=1.0) as live, sluggish(live) as slow:
        await slow.subscribe("inbox:12")
        await writer.execute(
            "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, wasender_session_id) "
            "SELECT 'M' || i, '49', repeat('x', 8192), 12 FROM generate_series(1, 500) AS i"
        )
        connection = connection_of(live, slow.name)
        loop = asyncio.get_running_loop()
        start, taken = loop.time(), 0
        while loop.time() < start + 3.0:  # three times the limit, and in each stretch of it a little
            if taken < (loop.time() - start) * 200_000:
                assert await slow.read(4096)
                taken += 4096
            else:
                await asyncio.sleep(0.01)  # so slow a reader

        assert connection in roster_of(live).open
        (cursor,) = connection.all_cursors()
        assert cursor.off < 500, "it has read too fast for this to mean anything"

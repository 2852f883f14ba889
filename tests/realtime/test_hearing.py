"""When the gateway cannot hear Postgres its clients know it, and afterwards they miss nothing."""

import contextlib
import itertools
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.domain.errors import StoreUnavailable
from gateway.postgres.connection.listener import APPLICATION
from tests.launcher.running import UNWATCHED, Running, running
from tests.launcher.settings import settings_for
from tests.postgres.writers import insert_message, insert_session
from tests.realtime.live import offs_of, pong


async def end_the_listener(writer: asyncpg.Connection) -> None:
    ended = await writer.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name = $1 AND datname = current_database()",
        APPLICATION,
    )
    assert ended == 1


async def test_a_lost_listener_is_told_and_nothing_of_the_meantime_is_lost(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket:
        await socket.subscribe("inbox:*")
        await socket.subscribe("sessions")
        await insert_message(writer, 12)
        await socket.event("message.created")
        await end_the_listener(writer)
        stale = await socket.next("stale")
        assert stale["since"].endswith("Z")
        await insert_message(writer, 12)
        await insert_session(writer, 7)
        async with live.socket() as late:
            await late.next("stale")

        await socket.next("fresh")
        while len(offs_of(socket.frames)) < 2 or "state" not in {item["type"] for item in socket.frames}:
            await socket.receive()
        await insert_message(writer, 12)
        await socket.next("event", lambda frame: frame["off"] == 3)
        assert offs_of(socket.frames) == [1, 2, 3]


async def test_whoever_comes_when_all_is_well_hears_nothing_of_staleness(live: Running) -> None:
    async with live.socket() as socket:
        assert await pong(socket) == []


async def test_a_bell_that_never_rang_is_made_up_for_by_the_tick(
    way: str, database: str, tmp_path: Path, writer: asyncpg.Connection
) -> None:
    timings = replace(UNWATCHED, tick_s=0.1)
    async with running(settings_for(database, tmp_path), timings=timings) as live, live.socket() as socket:
        await socket.subscribe("inbox:12")
        await insert_message(writer, 12)
        await socket.event("message.created")
        await writer.execute(
            "CREATE OR REPLACE FUNCTION gateway.notify_v1(channel text, numbers bigint[]) RETURNS void "
            "LANGUAGE sql AS $$ SELECT $$"
        )
        await insert_message(writer, 12)

        assert (await socket.event("message.created"))["off"] == 2


async def test_bells_that_make_no_sense_do_no_harm(live: Running, writer: asyncpg.Connection) -> None:
    async with live.socket() as socket:
        await socket.subscribe("inbox:*")
        await socket.subscribe("sessions")
        numbers = itertools.count(1)
        for payload in ("", "*", "--5", "5,", "x" * 7000, "9" * 19, "9" * 18, "-1", "٣", "1;DROP", "7,*"):
            for channel in ("whatsapp_incoming_messages", "whatsapp_sessions"):
                await writer.execute("SELECT pg_notify($1, $2)", channel, payload)
            # Each must do no harm by itself: together one `*` would hide the others.
            await insert_message(writer, 12)
            await socket.event("message.created")
            await insert_session(writer, next(numbers))
            await socket.state("session.created")


@pytest.mark.parametrize("reader", ["live.feed._streams", "live.states._store"])
async def test_tables_that_cannot_be_read_are_told_though_bells_are_heard(
    live: Running, writer: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    pump, store = (attrgetter(path)(live.gateway) for path in (reader.rpartition(".")[0], reader))
    method = "extents" if pump is live.gateway.live.feed else "read_states"
    async with live.socket() as socket:
        await socket.subscribe("inbox:12")
        await socket.subscribe("sessions")
        read, is_away = getattr(store, method), True

        async def away(*arguments: Any) -> Any:
            if is_away:
                raise StoreUnavailable("The pool is exhausted.")
            return await read(*arguments)

        monkeypatch.setattr(store, method, away)
        await insert_message(writer, 12)
        await insert_session(writer, 7)
        await socket.next("stale")
        is_away = False

        await socket.next("fresh")
        kinds = {(frame["type"], frame.get("event")) for frame in socket.frames}
        assert ("event", "message.created") in kinds
        assert ("state", "session.created") in kinds


async def test_events_do_not_wait_until_others_give_a_connection_back(
    live: Running, writer: asyncpg.Connection
) -> None:
    pool = live.gateway.repositories.pool
    async with live.socket() as socket, contextlib.AsyncExitStack() as stack:
        await socket.subscribe("inbox:12")
        for _ in range(pool.get_max_size()):
            await stack.enter_async_context(pool.acquire())
        await insert_message(writer, 12)
        event = await socket.event("message.created")
        assert event["off"] == 1
        assert "stale" not in {frame["type"] for frame in socket.frames}

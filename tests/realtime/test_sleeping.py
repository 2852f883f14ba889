"""GATEWAY_PROBE_S=0: while nobody is there Postgres is asked nothing; whoever comes loses nothing by it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from gateway.postgres.connection import listener as listeners
from gateway.postgres.connection import pool as pools
from gateway.postgres.connection.listener import APPLICATION
from gateway.runtime.context import Timings
from gateway.services.sessions.monitor import MonitorPace
from tests.http.support import HOOK, key_of, received, secret_of
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for
from tests.postgres.ears import comes_true
from tests.postgres.writers import insert_message, insert_session
from tests.realtime.live import offs_of, until
from tests.realtime.states import made

FAST = Timings(
    tick_s=0.02, idle_s=0.2, listener_heartbeat_s=0.02, link_look_s=0.02, retention_pass_s=0.02,
    monitor=MonitorPace(round_s=0.02),
)  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that reaches Postgres through the gateway's pool."""
    queries: list[str] = []
    prepare = pools.prepare

    async def prepare_and_log(connection: Any) -> None:
        await prepare(connection)
        # asyncpg hands out proxies for pooled connections; the logger belongs to what is behind them.
        getattr(connection, "_con", connection).add_query_logger(lambda record: queries.append(record.query))

    monkeypatch.setattr(pools, "prepare", prepare_and_log)
    return queries


@pytest.fixture
def timings() -> Timings:
    """How fast the clocks of `drowsy` go."""
    return FAST


@pytest_asyncio.fixture
async def drowsy(database: str, tmp_path: Path, asked: list[str], timings: Timings) -> AsyncIterator[Running]:
    """A gateway that falls asleep at once, and whose clocks all go fast."""
    async with running(settings_for(database, tmp_path, probe_s=0), timings=timings) as started:
        yield started


async def asleep(gateway: Running, connection: asyncpg.Connection) -> None:
    """Returns once the gateway has let go of its listening connection."""
    awake = gateway.gateway.live.awake
    await until(lambda: not awake.is_set(), "it sleeps")
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()"

    async def has_let_go() -> bool:
        return not await connection.fetchval(sql, APPLICATION)

    await comes_true(has_let_go)


async def test_while_it_sleeps_postgres_is_asked_nothing(
    drowsy: Running, writer: asyncpg.Connection, asked: list[str]
) -> None:
    await asleep(drowsy, writer)
    assert asked, "the ticks have been heard before"
    await asyncio.sleep(0.5)  # what was under way has ended
    del asked[:]
    status, readiness = await drowsy.call("GET", "/readyz")
    await asyncio.sleep(0.5)  # twenty-five ticks of everything; it is their absence that is proven

    assert asked == []
    assert await writer.fetchval("SELECT count(*) FROM gateway.gateways") == 0
    assert (status, readiness["status"]) == (200, "ready")


async def test_the_first_socket_wakes_it_and_gets_what_was_written_meanwhile(
    drowsy: Running, writer: asyncpg.Connection
) -> None:
    async with drowsy.socket() as socket:
        epoch = (await socket.subscribe("inbox:12"))["epoch"]
    await asleep(drowsy, writer)
    await insert_message(writer, 12)
    await insert_session(writer, 12, name="Made in its sleep")
    async with drowsy.socket() as socket:
        await socket.subscribe("inbox:12", after={"off": 0, "epoch": epoch})
        shown = await socket.subscribe("sessions")
        assert [value["data"]["name"] for value in shown["state"]] == ["Made in its sleep"]
        await insert_message(writer, 12)
        await socket.next("event", lambda frame: frame["off"] == 2)

        assert offs_of(socket.frames) == [1, 2]
        assert [frame["type"] for frame in socket.frames if frame["type"] in ("stale", "fresh")] == []


async def test_somebody_who_is_there_keeps_it_awake_and_hears_bells(
    drowsy: Running, writer: asyncpg.Connection
) -> None:
    async with drowsy.socket() as socket:
        await socket.subscribe("inbox:12")
        for off in range(1, 6):
            await asyncio.sleep(0.1)  # longer, together, than anybody may be missing
            await insert_message(writer, 12)
            assert (await socket.event("message.created"))["off"] == off
        assert drowsy.gateway.live.listener.is_up


async def test_a_webhook_wakes_it(drowsy: Running, writer: asyncpg.Connection) -> None:
    await insert_session(writer, 12, api_key=key_of(12), webhook_secret=secret_of(12))
    await asleep(drowsy, writer)
    body = {**received(), "sessionId": key_of(12)}
    status, _ = await drowsy.call("POST", HOOK, body, headers={"X-Webhook-Signature": secret_of(12)})

    assert status == 200
    await until(lambda: drowsy.gateway.live.listener.is_up, "it listens again")


async def test_linking_wakes_it_and_keeps_it_awake(drowsy: Running, writer: asyncpg.Connection) -> None:
    number = await made(drowsy)
    await asleep(drowsy, writer)
    await drowsy.data("POST", f"/api/whatsapp-sessions/{number}/connect")
    sql = "SELECT code IS NOT NULL FROM gateway.whatsapp_link_attempts WHERE wasender_session_id = $1"

    async def has_a_code() -> bool:
        return bool(await writer.fetchval(sql, number))

    await comes_true(has_a_code)
    assert drowsy.gateway.services.linking.is_busy
    async with drowsy.socket() as socket:
        shown = await socket.subscribe(f"session:{number}")
        assert "session.qr" in [value["event"] for value in shown["state"]]


@pytest.mark.parametrize("timings", [replace(FAST, wake_s=0.2)])
async def test_when_postgres_does_not_come_up_the_one_who_comes_is_told(
    drowsy: Running, writer: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asleep(drowsy, writer)

    async def refuse(*_: Any, **__: Any) -> Any:
        raise ConnectionRefusedError

    connect = pools.connect_direct
    monkeypatch.setattr(listeners, "connect_direct", refuse)
    async with drowsy.socket() as socket:
        await socket.next("stale")
        monkeypatch.setattr(listeners, "connect_direct", connect)
        await socket.next("fresh")

"""Webhooks while Postgres does not take them: answered 200 all the same, and all of them in the table afterwards."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.connection.pool import connect_direct
from gateway.postgres.migrations.runner import migrate
from gateway.services.webhooks.ingest import PATIENCE_S
from gateway.spool.disk import SpoolLimits
from tests.http.support import INCOMING, Shop, eventually, key_of, received, secret_of
from tests.launcher.running import running
from tests.launcher.settings import settings_for
from tests.postgres_fixtures import FAST, make_folder

LONGEST_S = PATIENCE_S + 8
"""No answer may take so long, even on a machine that does much else."""


@pytest_asyncio.fixture
async def server() -> AsyncIterator[EmbeddedPostgres]:
    """A Postgres that only this test uses, and may stop."""
    folder = make_folder()
    server = EmbeddedPostgres(folder, settings=FAST)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture
async def shop(server: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Shop]:
    """A gateway on that Postgres, with the sessions 12 and 13."""
    await migrate(server.dsn, report=lambda _: None)
    connection = await connect_direct(server.dsn)
    async with aiohttp.ClientSession() as http, running(settings_for(server.dsn, tmp_path)) as gateway:
        shop = Shop(gateway, connection, http)
        await shop.add_session(12)
        await shop.add_session(13)
        gateway.gateway.services.authenticator.forget(
            None
        )  # both are known before Postgres goes, whoever's bell came first
        await shop.take(received(key_id="before"))
        yield shop
        await shop.db.close(timeout=5)


async def back(shop: Shop, server: EmbeddedPostgres) -> None:
    with contextlib.suppress(Exception):
        await shop.db.close(timeout=1)
    shop.db = await connect_direct(server.dsn)


async def ready(shop: Shop) -> tuple[int, Any]:
    return await shop.gateway.call("GET", "/readyz", token="")


async def take_in_time(shop: Shop, *key_ids: str, session_id: int = 12) -> None:
    async with asyncio.timeout(LONGEST_S):
        await asyncio.gather(*(shop.take(received(key_id=key_id), session_id) for key_id in key_ids))


async def keys(shop: Shop) -> list[str]:
    rows = await shop.db.fetch(
        f"SELECT m.message_id FROM {INCOMING} m JOIN gateway.stream s ON s.record ->> 'message_id' = m.message_id "
        "ORDER BY s.inbox, s.off"
    )
    return [row["message_id"] for row in rows]


async def test_what_comes_while_postgres_is_down_is_in_the_table_afterwards_in_order(
    shop: Shop, server: EmbeddedPostgres
) -> None:
    await server.stop()
    for number in range(10):
        await take_in_time(shop, f"K{number}")
    status, body = await ready(shop)
    assert (status, body["status"], body["spooled"]) == (200, "degraded", 10)
    _, metrics = await shop.gateway.call("GET", "/metrics", token="")
    assert "gateway_spool_webhooks 10.0" in metrics

    await server.start()
    await eventually(lambda: ready(shop), lambda answer: answer == (200, {"status": "ready"}), "being ready")
    await back(shop, server)

    assert await keys(shop) == ["before", *(f"K{number}" for number in range(10))]
    await take_in_time(shop, "after")
    assert (await shop.outcomes())[-1] == ("messages.received", "stored")


async def test_a_frozen_postgres_delays_no_answer(shop: Shop, server: EmbeddedPostgres) -> None:
    for pid in backends_of(server):
        os.kill(pid, signal.SIGSTOP)
    try:
        for number in range(3):
            await take_in_time(shop, *(f"K{number}-{item}" for item in range(5)))
            await take_in_time(shop, f"L{number}", session_id=13)
    finally:
        for pid in backends_of(server):
            os.kill(pid, signal.SIGCONT)

    await eventually(lambda: ready(shop), lambda answer: answer == (200, {"status": "ready"}), "being ready")
    assert len(set(await keys(shop))) == 1 + 15 + 3


def backends_of(server: EmbeddedPostgres) -> list[int]:
    assert server.pid is not None
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [server.pid, *map(int, children)]


async def test_a_read_only_postgres_sends_webhooks_to_the_spool(shop: Shop, server: EmbeddedPostgres) -> None:
    await shop.db.execute("ALTER DATABASE gateway SET default_transaction_read_only = on")
    await shop.db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )
    await take_in_time(shop, "K1", "K2")
    assert (await ready(shop))[1]["status"] == "degraded"
    await shop.db.execute("SET default_transaction_read_only = off")
    await shop.db.execute("ALTER DATABASE gateway RESET default_transaction_read_only")
    await shop.db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )

    await eventually(lambda: shop.rows(), lambda rows: len(rows) == 3, "the rows")


async def test_a_locked_table_sends_webhooks_to_the_spool_and_other_events_go_on(
    shop: Shop, server: EmbeddedPostgres
) -> None:
    other = await connect_direct(server.dsn)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(f"LOCK TABLE {INCOMING} IN ACCESS EXCLUSIVE MODE")
    await take_in_time(shop, *(f"K{number}" for number in range(5)))
    assert (await ready(shop))[1]["spooled"] == 5
    await shop.post({"event": "weather", "sessionId": key_of(12), "data": {}}, secret=secret_of(12))
    assert ("weather", "unknown") in await shop.outcomes()
    await transaction.rollback()
    await other.close()

    await eventually(lambda: shop.rows(), lambda rows: len(rows) == 6, "the rows")


async def test_a_row_held_by_a_stranger_is_spooled_and_the_rest_of_its_session_is_not(
    shop: Shop, server: EmbeddedPostgres
) -> None:
    other = await connect_direct(server.dsn)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(f"INSERT INTO {INCOMING} (message_id, from_phone) VALUES ('held', '1')")
    await take_in_time(shop, "held")
    await take_in_time(shop, "free")
    assert "free" in await keys(shop)
    assert (await ready(shop))[1]["spooled"] == 1
    await transaction.rollback()
    await other.close()

    await eventually(lambda: shop.rows(), lambda rows: len(rows) == 3, "the held row")


async def test_without_a_known_secret_a_webhook_is_sent_back_while_postgres_is_away(
    shop: Shop, server: EmbeddedPostgres
) -> None:
    await server.stop()
    async with asyncio.timeout(LONGEST_S):
        status, reply = await shop.post(received(), secret="who-knows", path="/api/whatsapp/webhook/99")

    assert (status, reply["code"]) == (503, "unavailable")
    async with asyncio.timeout(LONGEST_S):
        body = {**received(key_id="K"), "sessionId": key_of(12)}
        assert (await shop.post(body, secret="wrong"))[0] == 401
        assert (await shop.post(body, secret=secret_of(12)))[0] == 200


async def test_a_full_spool_sends_webhooks_back_and_the_balancer_away(
    shop: Shop, server: EmbeddedPostgres
) -> None:
    shop.gateway.gateway.repositories.spool.limits = SpoolLimits(max_count=2)
    await server.stop()
    await take_in_time(shop, "K1")
    await take_in_time(shop, "K2")
    body = {**received(key_id="K3"), "sessionId": key_of(12)}

    async with asyncio.timeout(LONGEST_S):
        status, reply = await shop.post(body, secret=secret_of(12))
        assert (status, reply["code"]) == (503, "unavailable")
        assert reply["retry_after_s"]
    status, reply = await ready(shop)
    assert (status, reply["status"], reply["spooled"]) == (503, "unavailable", 2)
    assert "full" in reply["why"]
    await server.start()
    await eventually(lambda: ready(shop), lambda answer: answer == (200, {"status": "ready"}), "being ready")

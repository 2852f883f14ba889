"""From the open port on a gateway says that it is alive, and why it is not ready."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.postgres.migrations.runner import TURN_KEY
from tests.launcher.running import Remote, reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Command, Terminal, until


@asynccontextmanager
async def held_up(
    terminal: Terminal, database: str, port: int, *more: str
) -> AsyncIterator[tuple[Remote, Command, asyncpg.Connection]]:
    """A gateway whose migration waits for its turn, until `pg_advisory_unlock_all` on the connection."""
    holder = await asyncpg.connect(database)
    try:
        await holder.execute("SELECT pg_advisory_lock($1)", TURN_KEY)
        env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET}
        async with (
            terminal.start("serve", "--port", str(port), *more, env=env) as serve,
            reach(f"http://127.0.0.1:{port}") as remote,
        ):
            await serve.line("Another gateway is migrating")
            yield remote, serve, holder
    finally:
        await holder.close()


async def readiness(remote: Remote) -> tuple[int, dict[str, str]]:
    async with remote.http.get(f"{remote.url}/readyz") as reply:
        return reply.status, await reply.json()


WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


@WORKERS
async def test_while_a_migration_waits_the_gateway_is_alive_and_says_why_it_is_not_ready(
    terminal: Terminal, database: str, free_port: int, workers: str
) -> None:
    async with held_up(terminal, database, free_port, "--workers", workers) as (remote, serve, holder):
        async with remote.http.get(f"{remote.url}/healthz") as reply:
            assert reply.status == 200
            assert (await reply.json())["status"] == "ok"
        status, body = await readiness(remote)
        assert (status, body["status"]) == (503, "starting")
        assert "Another gateway is migrating this database" in body["why"]

        await holder.execute("SELECT pg_advisory_unlock_all()")
        await until(lambda: serve.said.count("runs at") == int(workers), "every worker runs")
        assert await readiness(remote) == (200, {"status": "ready"})


@WORKERS
async def test_webhooks_and_requests_of_before_the_start_are_to_come_again(
    terminal: Terminal, database: str, free_port: int, workers: str
) -> None:
    async with held_up(terminal, database, free_port, "--workers", workers) as (remote, _, _):
        for path in ("/api/whatsapp/webhook/1", "/api/whatsapp/webhook.php", "/api/conversations"):
            async with remote.http.post(
                f"{remote.url}{path}", data=b"x" * 300_000, headers={"X-Webhook-Signature": "s"}
            ) as reply:
                assert reply.status == 503, path
                assert int(reply.headers["Retry-After"]) > 0
                assert (await reply.json())["code"] == "unavailable"


async def test_a_socket_of_before_the_start_is_told_to_come_back(
    terminal: Terminal, database: str, free_port: int
) -> None:
    async with held_up(terminal, database, free_port), connect(f"ws://127.0.0.1:{free_port}/ws") as client:
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1013


@WORKERS
async def test_a_signal_ends_a_gateway_whose_migration_waits(
    terminal: Terminal, database: str, free_port: int, workers: str
) -> None:
    async with held_up(terminal, database, free_port, "--workers", workers) as (_, serve, _):
        ended = await serve.end(signal.SIGTERM, within_s=10)
    assert ended.code == 0, ended
    assert "Traceback" not in ended.out + ended.err

"""A gateway in a process of its own that is asked to end, and what the world outside keeps of it."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import asyncpg
from websockets.exceptions import ConnectionClosed

from gateway.postgres.connection.pool import connect_direct
from tests.http.support import HOOK, key_of, received, secret_of
from tests.launcher.running import Remote, Socket, reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Command, Terminal
from tests.processes.test_workers import both_up


@dataclass
class Draining:
    """A gateway of its own process, and what the world outside keeps of it."""

    serve: Command
    remote: Remote
    db: asyncpg.Connection
    http: aiohttp.ClientSession
    acknowledged: list[str] = field(default_factory=list)

    async def post(self) -> int:
        """One webhook of a new message; its status."""
        key = f"3EB0{len(self.acknowledged):028}"
        body = {**received(key_id=key), "sessionId": key_of(12)}
        headers = {"X-Webhook-Signature": secret_of(12)}
        async with self.http.post(self.remote.url + HOOK, json=body, headers=headers) as reply:
            if reply.status == 200:
                self.acknowledged.append(key)
            return reply.status

    async def keep_posting(self) -> None:
        """Until nobody is there any more; each must be acknowledged or not be answered at all."""
        with contextlib.suppress(aiohttp.ClientError):
            while True:
                assert await self.post() == 200

    async def stored(self) -> set[str]:
        return {
            row["message_id"]
            for row in await self.db.fetch("SELECT message_id FROM whatsapp_incoming_messages")
        }


@contextlib.asynccontextmanager
async def served(terminal: Terminal, database: str, port: int, workers: int = 1) -> AsyncIterator[Draining]:
    env = {
        "DATABASE_URL": database,
        "GATEWAY_SECRET": SECRET,
        "GATEWAY_PORT": str(port),
        "GATEWAY_WORKERS": str(workers),
        # Nobody is there: what stands in the tables is all there is.
        "WASENDER_BASE_URL": "http://127.0.0.1:9/api",
    }
    async with terminal.start("serve", env=env) as serve:
        await (both_up(serve) if workers == 2 else serve.line(r"runs at (\S+)"))
        async with reach(f"http://127.0.0.1:{port}") as remote, aiohttp.ClientSession() as http:
            db = await connect_direct(database)
            try:
                await db.execute(
                    "INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number, status, api_key,"
                    " webhook_secret) VALUES (12, 'Shop', '+4915100000012', 'connected', $1, $2)",
                    key_of(12),
                    secret_of(12),
                )
                yield Draining(serve, remote, db, http)
            finally:
                await db.close(timeout=5)


async def told_and_closed(socket: Socket) -> tuple[int, int]:
    """After how many milliseconds it may come back, and the code it was closed with."""
    drain = await socket.next("drain")
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.receive()
    assert socket.raw.close_code is not None
    return drain["reconnect_after_ms"], socket.raw.close_code


async def sockets_of(remote: Remote, stack: contextlib.AsyncExitStack, count: int) -> list[Socket]:
    return [await stack.enter_async_context(remote.socket()) for _ in range(count)]

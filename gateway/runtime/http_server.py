"""uvicorn as the gateway uses it: our protocol classes, our limits, our signals."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Generator
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from gateway.realtime.transport.guard import Guard
from gateway.realtime.transport.http_protocol import GatewayHttpProtocol, ServerConfig
from gateway.realtime.transport.uvicorn_protocol import GatewayWebSocketProtocol

GRACE_S = 8
"""How long requests may take to end after a signal, once the sockets are gone."""


class Server(uvicorn.Server):
    """uvicorn without its signal handling.

    uvicorn raises the signal again when it is done, and a SIGTERM would then end the process before Postgres has
    been stopped."""

    task: asyncio.Task[None] | None = None
    """What serves, while it does."""

    on_started: Callable[[], None] | None = None
    """Called once connections are accepted."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's own, and says when it is done."""
        await super().startup(sockets)
        if self.on_started is not None:
            self.on_started()

    async def finish(self) -> None:
        """Takes no connection any more, and returns when the last one is gone. Safe to call twice."""
        self.should_exit = True
        if self.task is not None:
            await self.task

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leaves signals as they are: they are the gateway's."""
        yield


def server_for(app: ASGIApp, lifespan: Literal["on", "off"] = "off", guard: Guard | None = None) -> Server:
    """A uvicorn server for the app, with our protocol classes, without pings and compression."""
    guard = Guard() if guard is None else guard
    config = ServerConfig(
        app,
        http=GatewayHttpProtocol,
        ws=GatewayWebSocketProtocol,
        ws_max_size=256 * 1024,
        ws_ping_interval=None,  # ours come with the heartbeat, from one timer
        # 61 kB a connection instead of 27, and 18 µs a delivery.
        ws_per_message_deflate=False,
        lifespan=lifespan,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        proxy_headers=False,  # ours knows for whom a proxy speaks, before the request is taken apart
        # What is accepted in one step has files open before anything can be refused.
        backlog=max(16, min(2048, guard.most // 4)),
    )
    config.guard = guard
    return Server(config)


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp,
    sock: socket.socket,
    lifespan: Literal["on", "off"] = "off",
    guard: Guard | None = None,
    on_started: Callable[[], None] = lambda: None,
) -> AsyncIterator[Server]:
    """The app on that socket while the block runs.

    `guard` holds its connections to the limits; without one, the defaults count.
    """
    server = server_for(app, lifespan, guard)
    server.on_started = on_started
    task = asyncio.create_task(server.serve(sockets=[sock]), name="http-server")
    server.task = task
    try:
        yield server
    finally:
        server.should_exit = True
        await task

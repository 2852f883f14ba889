"""From settings to a gateway that serves, and back: port, signals, uvicorn."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from gateway.postgres.connection.pool import quieten_lost_connections
from gateway.realtime.transport.guard import Guard
from gateway.realtime.transport.http_protocol import GatewayHttpProtocol, ServerConfig
from gateway.realtime.transport.uvicorn_protocol import GatewayWebSocketProtocol
from gateway.runtime.context import DEFAULT_TIMINGS, Timings
from gateway.runtime.data_dir import note_address
from gateway.runtime.gateway import Gateway, open_gateway
from gateway.runtime.listen_socket import address_of, bind
from gateway.runtime.signals import ShutdownSignals, shutdown_signals
from gateway.services.open_files import raise_open_files
from gateway.settings import Settings

logger = logging.getLogger(__name__)

GC_AFTER = 5_000
"""So many objects more than before, and the collector looks for rings among the young. With Python's own 700, and
everything that the start has made out of its sight, a twelfth of the CPU of a thousand pollers was spent on looking."""

GRACE_S = 8
"""How long requests may take to end after a signal, once the sockets are gone."""


class Server(uvicorn.Server):
    """uvicorn without its signal handling.

    uvicorn raises the signal again when it is done, and a SIGTERM would then end the process before Postgres has
    been stopped."""

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
    app: ASGIApp, sock: socket.socket, lifespan: Literal["on", "off"] = "off", guard: Guard | None = None
) -> AsyncIterator[Server]:
    """The app on that socket while the block runs.

    `guard` holds its connections to the limits; without one, the defaults count.
    """
    server = server_for(app, lifespan, guard)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="http-server")
    try:
        yield server
    finally:
        server.should_exit = True
        await task


def warn_of_unnamed_proxy(settings: Settings) -> None:
    """Says at start that limits of an address will hold for all clients together, if a proxy stands before us."""
    if (settings.public_url or "").startswith("https:") and not settings.trusted_proxies:
        logger.warning(
            "proxies.none_named hint=%r",
            "GATEWAY_PUBLIC_URL is https, so a proxy stands before the gateway. Until it is named in "
            "GATEWAY_TRUSTED_PROXIES, all its clients count as one address.",
        )


async def run(
    settings: Settings,
    on_ready: Callable[[Gateway], Awaitable[None]],
    sock: socket.socket | None = None,
    timings: Timings = DEFAULT_TIMINGS,
) -> None:
    """A gateway until a signal, during the start as well. Raises ConfigError if it cannot start.

    `sock` is a port that is open already; without it, the one of the settings is opened.
    """
    raise_open_files()
    shutdown = ShutdownSignals()
    main = asyncio.current_task()
    assert main is not None
    is_up = False

    def on_signal() -> None:
        if not shutdown.stop.is_set() and not is_up:
            main.cancel()
        shutdown.on_signal()

    loop = asyncio.get_running_loop()
    quieten_lost_connections(loop)
    for number in shutdown_signals():
        loop.add_signal_handler(number, on_signal)
    sock = sock or bind(settings.host, settings.port)
    try:
        async with open_gateway(settings, address_of(sock), timings) as gateway:
            is_up = True
            async with serving(gateway.app, sock, guard=gateway.limiters.guard) as server:
                # What the start has made stays: no need to look at it in every collection.
                gc.freeze()
                gc.set_threshold(GC_AFTER)
                if settings.simulator:
                    # At another port than last time: its webhooks come along before they are needed.
                    await gateway.services.webhook_watch.follow_public_url()
                note_address(settings, gateway.url)
                warn_of_unnamed_proxy(settings)
                await on_ready(gateway)
                try:
                    await shutdown.stop.wait()
                finally:
                    await gateway.drain(shutdown.hasten)
                    server.force_exit = shutdown.hasten.is_set()
    except asyncio.CancelledError:
        if not shutdown.stop.is_set():
            raise
    finally:
        sock.close()


async def run_app(
    app: ASGIApp, sock: socket.socket, announce: Callable[[], None], release: Callable[[], None]
) -> None:
    """A plain app until SIGINT or SIGTERM. `release` lets go what its requests wait for."""
    raise_open_files()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in shutdown_signals():
        loop.add_signal_handler(number, stop.set)
    try:
        async with serving(app, sock, "on"):
            announce()
            await stop.wait()
            release()
    finally:
        sock.close()

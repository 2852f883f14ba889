"""From settings to an open port, and back: sockets, signals, uvicorn."""

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from gateway.app import Gateway
from gateway.domain.errors import ConfigError
from gateway.postgres.pool import quieten_lost_connections
from gateway.realtime.server import GatewayWebSocketProtocol
from gateway.settings import Settings

logger = logging.getLogger(__name__)

GRACE_S = 8
"""How long requests may take to end after a signal, once the sockets are gone."""

ONE_SIGNAL_S = 1.0
"""Signals so close together are one: a service manager may send it to a worker and to its parent, who passes it
on."""


def ending_signals() -> list[signal.Signals]:
    """What asks us to end: Ctrl-C, a service's stop, and the terminal being closed, unless `nohup` forbids that.

    None may kill us outright: the embedded Postgres has a session of its own and would stay behind.
    """
    listed = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    return [number for number in listed if signal.getsignal(number) is not signal.SIG_IGN]


class Server(uvicorn.Server):
    """uvicorn without its signal handling: it re-raises the signal when it is done, and a SIGTERM would then end
    the process before Postgres has been stopped."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Ending:
    """The first signal says `stop`, a later one `hasten`."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hasten = asyncio.Event()
        self._first_at = 0.0

    def on_signal(self) -> None:
        now = time.monotonic()
        if not self.stop.is_set():
            self._first_at = now
            self.stop.set()
        elif now - self._first_at > ONE_SIGNAL_S:
            self.hasten.set()


def bind(host: str, port: int) -> socket.socket:
    """A bound socket, before anything slow has started. Raises ConfigError if the port is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio switches Nagle's algorithm off; without it, every answer on a
    # kept connection waits 40 ms for the peer's delayed acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        # Listening now makes a second gateway fail here, and lets early callers wait instead of being refused.
        sock.listen(2048)
    except (OSError, OverflowError) as error:
        sock.close()
        number = getattr(error, "errno", None)
        if number == errno.EADDRINUSE:
            raise ConfigError(
                f"Port {port} is in use. End what uses it, or choose another with --port."
            ) from None
        raise ConfigError(f"{host}:{port} cannot be opened ({error}). Check --host and --port.") from None
    sock.setblocking(False)
    return sock


def address_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def server_for(app: ASGIApp, lifespan: Literal["on", "off"] = "off") -> Server:
    config = uvicorn.Config(
        app,
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
        proxy_headers=False,
    )
    return Server(config)


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, sock: socket.socket, lifespan: Literal["on", "off"] = "off"
) -> AsyncIterator[Server]:
    """The app on that socket while the block runs."""
    server = server_for(app, lifespan)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="http-server")
    try:
        yield server
    finally:
        server.should_exit = True
        await task


async def run(
    settings: Settings,
    on_ready: Callable[[Gateway], Awaitable[None]],
    sock: socket.socket | None = None,
) -> None:
    """A gateway until a signal, during the start as well. Raises ConfigError if it cannot start.

    `sock` is a port that is open already; without it, the one of the settings is opened.
    """
    ending = Ending()
    main = asyncio.current_task()
    assert main is not None
    is_up = False

    def on_signal() -> None:
        if not ending.stop.is_set() and not is_up:
            main.cancel()
        ending.on_signal()

    loop = asyncio.get_running_loop()
    quieten_lost_connections(loop)
    for number in ending_signals():
        loop.add_signal_handler(number, on_signal)
    sock = sock or bind(settings.host, settings.port)
    try:
        async with Gateway(settings, address_of(sock)) as gateway:
            is_up = True
            async with serving(gateway.asgi, sock) as server:
                # What the start has made stays: no need to look at it in every collection.
                gc.freeze()
                if settings.simulator:
                    # At another port than last time: its webhooks come along before anybody needs them.
                    await gateway.upkeep.follow_public_url()
                await on_ready(gateway)
                try:
                    await ending.stop.wait()
                finally:
                    await gateway.drain(ending.hasten)
                    server.force_exit = ending.hasten.is_set()
    except asyncio.CancelledError:
        if not ending.stop.is_set():
            raise
    finally:
        sock.close()


async def run_app(
    app: ASGIApp, sock: socket.socket, announce: Callable[[], None], release: Callable[[], None]
) -> None:
    """A plain app until SIGINT or SIGTERM. `release` lets go what its requests wait for."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, stop.set)
    try:
        async with serving(app, sock, "on"):
            announce()
            await stop.wait()
            release()
    finally:
        sock.close()

"""From settings to a gateway that serves, and back: port, signals, uvicorn."""

import asyncio
import functools
import gc
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from starlette.types import ASGIApp

from gateway.http.prefix import Prefix
from gateway.postgres.connection.pool import quieten_lost_connections
from gateway.runtime.context import DEFAULT_TIMINGS, Timings
from gateway.runtime.data_dir import note_address
from gateway.runtime.early_webhooks import early_webhooks
from gateway.runtime.gateway import Gateway, open_gateway
from gateway.runtime.http_server import Server, serving
from gateway.runtime.limiters import Limiters
from gateway.runtime.listen_socket import address_of, bind
from gateway.runtime.service_manager import ServiceManager
from gateway.runtime.signals import ShutdownSignals, shutdown_signals
from gateway.runtime.starting import StartingApp, until_there
from gateway.services.open_files import raise_open_files
from gateway.settings import Settings

logger = logging.getLogger(__name__)

GC_AFTER = 5_000
"""So many objects more than before, and the collector looks for rings among the young. With Python's own 700, and
everything that the start has made out of its sight, a twelfth of the CPU of a thousand pollers was spent on looking."""


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
    on_listening: Callable[[], None] = lambda: None,
) -> None:
    """A gateway until a signal, during the start as well. Raises ConfigError if it cannot start.

    `sock` is a port that is open already; without it, the one of the settings is opened. `on_listening` is told when
    connections are accepted there, long before the gateway is whole.
    """
    raise_open_files()
    shutdown = ShutdownSignals()
    shutdown.take()
    quieten_lost_connections(asyncio.get_running_loop())
    sock = sock or bind(settings.host, settings.port)
    limiters, manager = Limiters(settings), ServiceManager()
    app = StartingApp(Prefix(settings.public_url), manager)
    url = address_of(sock)
    try:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            await enter(manager.watched())
            server = await enter(serving(app, sock, guard=limiters.guard, on_started=on_listening))
            app.early = await enter(early_webhooks(settings, limiters))
            opening = functools.partial(open_gateway, settings, url, timings, limiters, app.tell)
            gateway = await until_there(lambda: enter(opening()), app)
            shutdown.is_up = True
            await app.hand_over(gateway.app)
            try:
                await _serve(gateway, server, on_ready, shutdown)
            finally:
                manager.stopping()
                await server.finish()  # before what answers the last requests is closed
    except asyncio.CancelledError:
        if not shutdown.stop.is_set():
            raise
    finally:
        sock.close()


async def _serve(
    gateway: Gateway,
    server: Server,
    on_ready: Callable[[Gateway], Awaitable[None]],
    shutdown: ShutdownSignals,
) -> None:
    """From the moment a gateway is whole until its last socket is gone."""
    # What the start has made stays: no need to look at it in every collection.
    gc.freeze()
    gc.set_threshold(GC_AFTER)
    if gateway.settings.simulator:
        # At another port than last time: its webhooks come along before they are needed.
        await gateway.services.webhook_watch.follow_public_url()
    note_address(gateway.settings, gateway.url)
    warn_of_unnamed_proxy(gateway.settings)
    await on_ready(gateway)
    try:
        await shutdown.stop.wait()
    finally:
        await gateway.drain(shutdown.hasten)
        server.force_exit = shutdown.hasten.is_set()


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

"""What the parent of workers answers at the port until the first of them does."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

from gateway.http.prefix import Prefix
from gateway.runtime.early_webhooks import early_webhooks
from gateway.runtime.http_server import Server, serving
from gateway.runtime.limiters import Limiters
from gateway.runtime.service_manager import ServiceManager
from gateway.runtime.starting import StartingApp
from gateway.services.background import Background
from gateway.settings import Settings


class Answering(StartingApp):
    """What the parent answers, with the pipe by which a child says that it answers now."""

    listening_fd: int


@contextlib.asynccontextmanager
async def answering(
    settings: Settings, sock: socket.socket, manager: ServiceManager
) -> AsyncIterator[Answering]:
    """Answers at the port as a gateway that starts, until a child does."""
    app, limiters = Answering(Prefix(settings.public_url), manager), Limiters(settings)
    loop = asyncio.get_running_loop()
    reading, app.listening_fd = os.pipe()
    taken_over = asyncio.Event()

    def on_child() -> None:
        os.read(reading, 4096)
        taken_over.set()

    async def stop_when_taken_over(server: Server) -> None:
        await taken_over.wait()
        manager.ready()
        await server.finish()
        if app.early is not None:
            await app.early.close()

    stopping = Background()
    loop.add_reader(reading, on_child)
    try:
        # Its end closes the socket; the children need ours.
        async with (
            early_webhooks(settings, limiters) as app.early,
            serving(app, sock.dup(), guard=limiters.guard) as server,
        ):
            stopping.start(stop_when_taken_over(server), "taken-over")
            yield app
    finally:
        loop.remove_reader(reading)
        await stopping.close()
        os.close(reading)
        os.close(app.listening_fd)

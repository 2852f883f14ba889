"""Echo servers for Autobahn's fuzzing client: our protocol classes, and uvicorn's own beside them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.domain.limits import Limits
from gateway.realtime.transport.framing import Burst, Frame
from gateway.realtime.transport.guard import Guard
from gateway.realtime.transport.socket_transport import EXTENSION, SocketTransport
from gateway.runtime.http_server import Server, server_for
from gateway.runtime.listen_socket import address_of, bind
from tests.launcher.settings import WIDE

OURS = "gateway"
OURS_BY_SEND = "gateway, ASGI's send"
UVICORN = "uvicorn"

FRAMES = 1_000_000
"""Autobahn sends more frames at once than people do; how many a socket may send is tested elsewhere."""

MAX_MESSAGE_BYTES = 256 * 1024


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends every message back; texts as ready frames, where the server takes them, as the gateway does."""
    await _echo(scope, receive, send, is_ready_frames=True)


async def echo_by_send(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends every message back through ASGI's `send`."""
    await _echo(scope, receive, send, is_ready_frames=False)


async def _echo(scope: Scope, receive: Receive, send: Send, *, is_ready_frames: bool) -> None:
    assert scope["type"] == "websocket"
    ours: SocketTransport | None = scope["extensions"].get(EXTENSION)
    await receive()
    await send({"type": "websocket.accept"})
    if ours is not None:
        ours.release_handshake()  # as after a login: a guard puts off an address whose sockets all stay strangers
    while (message := await receive())["type"] != "websocket.disconnect":
        text, data = message.get("text"), message.get("bytes")
        if text is not None and ours is not None and is_ready_frames:
            burst = Burst([Frame(text.encode())])
            if not ours.try_write(burst):
                ours.write(burst)
        elif text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": data})


def _ours(app: ASGIApp) -> Server:
    named = {name: value for name, value in WIDE.items() if name in Limits.__dataclass_fields__}
    limits = replace(Limits(), **named, frames_per_s=FRAMES, first_frames=FRAMES, burst_frames=FRAMES)
    return server_for(app, guard=Guard(limits))


def _uvicorns(app: ASGIApp) -> uvicorn.Server:
    logging.getLogger("uvicorn.error").setLevel(
        logging.CRITICAL
    )  # it writes a traceback for every broken text
    return Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            lifespan="off",
            access_log=False,
            log_config=None,
        )
    )


@contextlib.asynccontextmanager
async def echo_servers() -> AsyncIterator[dict[str, str]]:
    """WebSocket addresses by the server's name, while the block runs."""
    async with contextlib.AsyncExitStack() as stack:
        addresses = {}
        for name, server in {
            OURS: _ours(echo),
            OURS_BY_SEND: _ours(echo_by_send),
            UVICORN: _uvicorns(echo_by_send),
        }.items():
            addresses[name] = await stack.enter_async_context(_serving(server))
        yield addresses


@contextlib.asynccontextmanager
async def _serving(server: uvicorn.Server) -> AsyncIterator[str]:
    sock = bind("127.0.0.1", 0)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield address_of(sock).replace("http", "ws", 1)
    finally:
        server.should_exit = True
        await task
        sock.close()

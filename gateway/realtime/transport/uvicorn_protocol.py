"""uvicorn's WebSocket protocol with a way out for ready frames.

`--ws`-style class for uvicorn (`Config(ws=GatewayWebSocketProtocol)`). It adds the outlet to the scope's
extensions, and says nothing about accepted sockets: uvicorn's own line names the full path with its query, and
a query may carry a ticket.
"""

import asyncio
import logging
import os
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import http11
from websockets.frames import Frame as WebSocketFrame
from websockets.http11 import Request
from websockets.protocol import State

from gateway.realtime import handshake
from gateway.realtime.transport.framing import Burst
from gateway.realtime.transport.slim_primitives import SlimEvent, SlimQueue
from gateway.realtime.transport.socket_transport import (
    ABORT_AFTER_S,
    EXTENSION,
    MAX_BURST_BYTES,
    WRITE_LIMIT_BYTES,
)

logger = logging.getLogger(__name__)
logger.setLevel(logging.WARNING)

LOW_WATER_BYTES = 16 * 1024

# The library's own limits (8 KiB a line) answer nothing: it waits for the end of a request it has stopped reading.
http11.MAX_LINE_LENGTH = handshake.MAX_HEADERS_BYTES + 1024
http11.MAX_NUM_HEADERS = handshake.MAX_HEADERS


class GatewayWebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection of uvicorn's, which the app may write ready frames to."""

    socket_transport: "ReadyFrameTransport | None" = None

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        # asyncio's own have five deques between them, 3.8 kB for each connection.
        self.queue = SlimQueue()  # type: ignore[assignment]
        self.writable = SlimEvent()  # type: ignore[assignment]
        self.writable.set()

    def handle_connect(self, event: Request) -> None:
        """As uvicorn's; an accepted connection has its way out in the scope's extensions."""
        self.logger = logger
        super().handle_connect(event)
        # The app's task exists now but has not run: what is added to the scope here is there from its start.
        if not self.close_sent:
            self.socket_transport = ReadyFrameTransport(self)
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self.socket_transport
            self.transport.set_write_buffer_limits(WRITE_LIMIT_BYTES, LOW_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; every byte is a sign of life."""
        if self.socket_transport is not None:
            self.socket_transport.heard()
        elif not self.handshake_initiated and (refusal := handshake.refusal(data)) is not None:
            return self._refuse(refusal)
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse(handshake.UNREADABLE)
        return None

    def _refuse(self, answer: bytes) -> None:
        """Answers a handshake that is none, and closes."""
        self.handshake_complete = self.close_sent = True
        self.transport.write(answer)
        self.transport.close()

    def handle_pong(self, event: WebSocketFrame) -> None:
        """Nothing: a pong is a sign of life like any other byte."""


class ReadyFrameTransport:
    """Ready frames, written to the transport as they are."""

    __slots__ = ("_fd", "_is_open", "_protocol", "_transport", "heard_at")

    hears_pongs = True

    def __init__(self, protocol: GatewayWebSocketProtocol) -> None:
        self._protocol = protocol
        self._is_open = True
        """Until we have sent a close frame. The client's own, and whatever it breaks, closes the transport at once."""

        self._transport = protocol.transport
        self._fd = _plain_socket(protocol.transport)
        self.heard_at = protocol.loop.time()

    def heard(self) -> None:
        """Notes a sign of life of the client."""
        self.heard_at = self._protocol.loop.time()

    def release_handshake(self) -> None:
        """Frees what is kept of the request: the connection may last for days."""
        # A browser's handshake is 2 kB and more, kept three times: as request, as scope, and our answer to it.
        protocol: Any = self._protocol
        protocol.request = protocol.response = None
        protocol.scope["headers"].clear()
        protocol.scope.clear()

    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._protocol.transport.get_write_buffer_size()

    def write(self, burst: Burst) -> None:
        """Writes the frames' bytes to the socket. Nothing happens on a closed connection."""
        # After a close frame nothing may follow it (RFC 6455 §5.5.1).
        if self._is_open and not self._transport.is_closing():
            self._transport.write(burst.wire)

    def try_write(self, burst: Burst) -> bool:
        """Writes the frames if they fit into the limit; whether they did. A closed connection takes all."""
        transport = self._transport
        if not self._is_open or transport.is_closing():
            return True  # nobody is there to take it
        waiting = transport.get_write_buffer_size()
        wire = burst.wire
        size = len(wire)
        if waiting > WRITE_LIMIT_BYTES or size > MAX_BURST_BYTES:
            return False
        if not waiting and self._fd is not None:
            # Nothing is before it, so it may go the short way: half of what a fan-out costs beside the system call
            # is the transport's own housekeeping. `is_closing` came first: a closed number may be another client's.
            try:
                sent = os.write(self._fd, wire)
            except OSError:  # full, or broken: the transport finds out, and knows what to do
                sent = 0
            if sent == size:
                return True
            wire = wire[sent:]
        transport.write(wire)
        return True

    def ping(self) -> None:
        """Sends a ping frame. Nothing happens on a closed connection."""
        if self._protocol.conn.state is State.OPEN and not self._protocol.transport.is_closing():
            self._protocol.conn.send_ping(b"")
            self._protocol.transport.write(b"".join(self._protocol.conn.data_to_send()))

    async def drained(self) -> None:
        """Returns once little is waiting. Raises ConnectionResetError if the client is gone."""
        await self._protocol.writable.wait()
        if self._protocol.disconnected or self._protocol.transport.is_closing():
            raise ConnectionResetError("the client is gone")

    def close(self, code: int, reason: str) -> None:
        """Sends a close frame; aborts the connection if the client does not answer it."""
        # Not through ASGI's send(): that waits for a client that may read nothing.
        protocol = self._protocol
        if protocol.close_sent or protocol.transport.is_closing():
            return
        self._is_open = False
        protocol.conn.send_close(code, reason)
        protocol.transport.write(b"".join(protocol.conn.data_to_send()))
        protocol.close_sent = True
        protocol.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if protocol.read_paused:  # the client's own close frame is still to be read
            protocol.read_paused = False
            protocol.transport.resume_reading()
        protocol.close_timer = protocol.loop.call_later(ABORT_AFTER_S, self.abort)

    def abort(self) -> None:
        """Drops the connection, and what was not written with it."""
        self._protocol.transport.abort()
        self._protocol.writable.set()

    def is_gone(self) -> bool:
        """Whether the client is gone."""
        return self._protocol.disconnected

    def release(self) -> None:
        """Nothing: the transport is the server's."""


def _plain_socket(transport: asyncio.Transport) -> int | None:
    """The number of the socket, if what is written to it is what the client reads (no TLS in between)."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("sslcontext") is not None:
        return None
    number = sock.fileno()
    return number if isinstance(number, int) and number >= 0 else None

"""uvicorn's WebSocket protocol with a way out for ready frames, and a limit to those that come in.

`--ws`-style class for uvicorn (`Config(ws=GatewayWebSocketProtocol)`). It adds the transport to the scope's
extensions, and says nothing about accepted sockets: uvicorn's own line names the full path with its query, and
a query may carry a ticket.
"""

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import Frame as WebSocketFrame
from websockets.http11 import Request
from websockets.protocol import Protocol, State

from gateway.domain.limits import FrameAllowance, FrameEnds, Limits
from gateway.realtime import close_codes
from gateway.realtime.transport.framing import Burst
from gateway.realtime.transport.guard import Visitor
from gateway.realtime.transport.handshake import plain_answer, socket_scope
from gateway.realtime.transport.slim_conn import new_conn
from gateway.realtime.transport.slim_primitives import SlimEvent, SlimQueue
from gateway.realtime.transport.socket_transport import (
    ABORT_AFTER_S,
    EXTENSION,
    MAX_BURST_BYTES,
    WRITE_LIMIT_BYTES,
)

logger = logging.getLogger(__name__)
logger.setLevel(logging.WARNING)


def _is_our_concern(record: logging.LogRecord) -> bool:
    """Not a text that is no UTF-8: uvicorn writes a traceback for each, and strangers send as many as they like."""
    return not str(record.msg).startswith("Invalid UTF-8 ")


logger.addFilter(_is_our_concern)

LOW_WATER_BYTES = 16 * 1024

FRAMES_AT_ONCE = 64
"""After so many frames of one socket it is the others' turn."""

WAIT_S = 0.1
"""A socket that has sent too much is looked at again after this."""

CALM_S = 2.0
"""A socket that has sent nothing in excess for so long begins anew."""


class GatewayWebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection of uvicorn's, which the app may write ready frames to."""

    socket_transport: "ReadyFrameTransport | None" = None
    visitor: Visitor | None = None

    _answer: bytes | None = None
    """To a plain handshake, until the app has accepted or refused it."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # In place of uvicorn's own, which makes queues, loggers and identifiers that we replace or do not need: an
        # eighth of what a connection costs. tests/unit/realtime/test_uvicorn_names.py compares what both set.
        if not config.loaded:
            config.load()
        self.config, self.app = config, config.loaded_app
        self.loop = _loop or asyncio.get_running_loop()
        self.logger = logger
        self.root_path, self.asgi_version, self.app_state = config.root_path, config.asgi_version, app_state
        self.connections, self.tasks = server_state.connections, server_state.tasks
        self.default_headers = server_state.default_headers
        self._begin_as_uvicorns()
        guard = getattr(self.config, "guard", None)
        self._limits: Limits = guard.limits if guard is not None else Limits()
        self._allowance = FrameAllowance(self._limits, self.loop.time())
        self._ends = FrameEnds()
        self._waiting = b""
        """Read, and not taken apart yet."""
        self._pump_later: asyncio.Handle | None = None
        self._unread_pongs = 0
        self._flooded_since = self._flooded_at = float("-inf")

    def _begin_as_uvicorns(self) -> None:
        self.transport = None  # type: ignore[assignment]
        self.scheme = None  # type: ignore[assignment]
        self.server = self.client = None
        # asyncio's own have five deques between them, 3.8 kB for each connection.
        self.queue = SlimQueue()  # type: ignore[assignment]
        self.writable = SlimEvent()  # type: ignore[assignment]
        self.writable.set()
        self.handshake_initiated = self.handshake_complete = False
        self.close_sent = self.disconnected = self.read_paused = False
        self.close_timer, self.close_timeout = None, 10.0
        self.initial_response = None
        self.conn = new_conn(self.config)
        self.ping_interval, self.ping_timeout = self.config.ws_ping_interval, self.config.ws_ping_timeout
        self.ping_timer = self.pong_timer = self.pending_ping_payload = None
        self.ping_sent_at = self.last_ping_rtt = 0.0
        self.frames = []
        self.curr_msg_data_type = "bytes"

    def begin(
        self,
        transport: asyncio.Transport,
        scope: Mapping[str, Any],
        url: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        visitor: Visitor,
    ) -> None:
        """Goes on with a handshake that our HTTP protocol has read, and held against the limits of requests."""
        self.visitor = visitor
        visitor.holder = self
        self.transport = transport
        self.connections.add(self)
        self.server, self.client = scope["server"], scope["client"]
        self.scheme = "wss" if scope["scheme"] == "https" else "ws"
        # Not written out and read again, as uvicorn does: websockets has a limit of its own for a line.
        self.conn.parser = Protocol.parse(self.conn)
        next(self.conn.parser)
        answer = None
        if scope["method"] == "GET":
            answer = plain_answer(headers, has_extensions=self.config.ws_per_message_deflate)
        if answer is None:
            self.handle_connect(_request(url, headers))
            return
        self._answer = answer
        self.handshake_initiated = True
        self.scope = socket_scope(scope, url, headers)  # type: ignore[assignment]
        self._open_way_out()
        self.queue.put_nowait({"type": "websocket.connect"})
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    def handle_connect(self, event: Request) -> None:
        """As uvicorn's; an accepted connection has its way out in the scope's extensions."""
        super().handle_connect(event)
        # The app's task exists now but has not run: what is added to the scope here is there from its start.
        if not self.close_sent:
            self._open_way_out()

    def _open_way_out(self) -> None:
        self.socket_transport = ReadyFrameTransport(self)
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[EXTENSION] = self.socket_transport
        self.transport.set_write_buffer_limits(WRITE_LIMIT_BYTES, LOW_WATER_BYTES)

    async def send(self, message: Any) -> None:
        """As uvicorn's; a plain handshake that is plainly accepted is answered with what is there."""
        answer = self._answer
        if answer is None:
            await super().send(message)
            return
        self._answer = None
        if (
            message["type"] == "websocket.accept"
            and not message.get("subprotocol")
            and not message.get("headers")
            and not self.disconnected
        ):
            if not self.transport.is_closing():
                self.handshake_complete = True
                self.conn.state = State.OPEN
                more = [b"%b: %b\r\n" % field for field in self.default_headers]
                self.transport.write(b"".join((answer, *more, b"\r\n")))
                self.start_keepalive()
            return
        self.request = _request(self.scope["raw_path"], self.scope["headers"])
        self.response = self.conn.accept(self.request)
        await super().send(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: the guard counts one less."""
        super().connection_lost(exc)
        self._waiting = b""
        if self._pump_later is not None:
            self._pump_later.cancel()
        if self.visitor is not None:
            self.visitor.leave()

    # ------------------------------------------------------------------------------------------ what comes in

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; every byte is a sign of life."""
        if self.socket_transport is not None:
            self.socket_transport.heard()
        self._waiting = self._waiting + data if self._waiting else data
        if self._pump_later is None:
            self._pump()

    async def receive(self) -> Any:
        """The next message for the app; once it has all of them, more is read."""
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self.read_on()
        return message

    def read_on(self) -> None:
        """The app has taken what there was."""
        if self._pump_later is not None or self.transport.is_closing():
            return
        if self._waiting:
            self._pump_later = self.loop.call_soon(self._pump)
        else:
            self.transport.resume_reading()

    def _pump(self) -> None:
        """Takes the next frames apart, as many as this socket may send now."""
        self._pump_later = None
        if self.read_paused or self.transport.is_closing():
            return
        now = self.loop.time()
        left = 0 if self._leaves_pongs() else self._allowance.left(now)
        most = min(left, FRAMES_AT_ONCE)
        data = self._waiting
        size, frames = self._ends.cut(data, most)
        self._allowance.take(frames)
        self._waiting = b"" if size == len(data) else data[size:]
        if size:
            super().data_received(data if size == len(data) else data[:size])
        if self.transport.is_closing():
            self._waiting = b""
        elif frames < most or not self._waiting:
            if not self.read_paused:  # what is left is a header that is not whole
                self.transport.resume_reading()
        else:
            self.transport.pause_reading()
            if left <= most:
                self._flooded(now)
            elif not self.read_paused:
                self._pump_later = self.loop.call_soon(self._pump)

    def _flooded(self, now: float) -> None:
        """It has sent all it may, and more. What is in the way then costs no time of the loop."""
        if now - self._flooded_at > CALM_S:
            self._flooded_since = now
            if self.visitor is not None:
                self.visitor.count("frames")
        self._flooded_at = now
        if now - self._flooded_since >= self._limits.flood_s and not self.close_sent:
            if self.socket_transport is None:
                self.transport.abort()
                return
            self.socket_transport.close(close_codes.OVERLOAD, "too many frames")
        self._pump_later = self.loop.call_later(WAIT_S, self._pump)

    def _leaves_pongs(self) -> bool:
        """Whether it asks for pongs, and does not read them."""
        if self._unread_pongs < self._limits.unread_pongs:
            return False
        if self.transport.get_write_buffer_size():
            return True
        self._unread_pongs = 0
        return False

    def handle_ping(self) -> None:
        """Answers, and counts the answers that the client leaves unread."""
        super().handle_ping()
        if self.transport.get_write_buffer_size():
            self._unread_pongs += 1
        else:
            self._unread_pongs = 0

    def handle_pong(self, event: WebSocketFrame) -> None:
        """Nothing: a pong is a sign of life like any other byte."""

    # ------------------------------------------------------------------------------------------ for the guard

    def drop(self) -> None:
        """Closes the connection at once."""
        self.transport.abort()

    def buffered(self) -> int:
        """Bytes written and not yet taken by the kernel."""
        return self.transport.get_write_buffer_size()

    def has_progressed(self) -> bool:
        """No: a handshake has its time, and a socket that is in has none."""
        return False


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
        if self._protocol.visitor is not None:
            self._protocol.visitor.let_in()
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
            return True  # the client is gone
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
            protocol.read_on()
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


def _request(url: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Request:
    """A handshake as websockets has it."""
    fields = Headers()
    for name, value in headers:
        fields[name.decode("ascii")] = value.decode("latin-1")
    return Request(url.decode("ascii"), fields)


def _plain_socket(transport: asyncio.Transport) -> int | None:
    """The number of the socket, if what is written to it is what the client reads (no TLS in between)."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("sslcontext") is not None:
        return None
    number = sock.fileno()
    return number if isinstance(number, int) and number >= 0 else None

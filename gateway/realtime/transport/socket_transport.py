"""The ways out of a connection: ready frames to a transport, or texts to any ASGI server.

Both keep no queue of their own beyond what is already on its way: `buffered` tells the connection when to stop
writing, `drained` when to go on.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from starlette.types import Send

from gateway.realtime.transport.framing import Burst

EXTENSION = "gateway.outlet"
"""Key in `scope["extensions"]` under which our server class hands its transport to the app."""

ABORT_AFTER_S = 5.0

WRITE_LIMIT_BYTES = 64 * 1024
"""Above this a connection gets nothing new until it has read."""

MAX_BURST_BYTES = 192 * 1024
"""More at once is left to the catch-up, which goes on only as the client reads."""


class SocketTransport(Protocol):
    """The way out of one connection, for frames that are ready."""

    hears_pongs: bool

    @property
    def heard_at(self) -> float:
        """Loop time of the last byte (or, without our server class, the last frame) from the client."""

    def heard(self) -> None:
        """Notes a sign of life of the client."""

    def release_handshake(self) -> None:
        """The client is admitted: lets go of what only the handshake needed."""

    def buffered(self) -> int:
        """Bytes written and not yet taken by the kernel."""

    def write(self, burst: Burst) -> None:
        """Writes the frames, however much is waiting. Nothing happens on a closed connection."""

    def try_write(self, burst: Burst) -> bool:
        """Writes, or says False: what waits already is over the write limit, or this is too much at once."""

    def ping(self) -> None:
        """Pings the client, where the way out can."""

    async def drained(self) -> None:
        """Returns when the buffer has fallen below its low mark. Raises ConnectionError if the client is gone."""

    def close(self, code: int, reason: str) -> None:
        """Closing handshake; the transport is aborted if the client does not answer."""

    def abort(self) -> None:
        """Drops the connection, and what was not written with it."""

    def is_gone(self) -> bool:
        """The client has nothing more to wait for, nor we for it: the transport has ended, not only our wish."""

    def release(self) -> None:
        """The connection has ended: lets go of what is the transport's own. Idempotent."""


async def wait_until_read(transport: SocketTransport, progress_s: float) -> None:
    """Returns when the transport is under its write limit.

    Raises TimeoutError if the client has taken nothing for `progress_s`, ConnectionError if it is gone.
    """
    while transport.buffered() > WRITE_LIMIT_BYTES:
        before = transport.buffered()
        try:
            async with asyncio.timeout(progress_s):
                await transport.drained()
            await asyncio.sleep(0)  # a transport may tell us a moment later that it is full
        except TimeoutError:
            if transport.buffered() >= before:
                raise
            transport.heard()  # a client that takes bytes is alive, even if we do not read at the moment


class AsgiTransport:
    """Texts through ASGI's `send`, for servers without our extension. One task per connection writes them.

    ASGI can abort nothing: `on_abort` must end the app's task, and the server then closes the socket.
    """

    hears_pongs = False

    def __init__(self, send: Send, on_abort: Callable[[], None]) -> None:
        self._send = send
        self._on_abort = on_abort
        self._texts: deque[tuple[dict[str, Any], int]] = deque()
        self._bytes = 0
        self._ready = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._closing = False
        self._gone = False
        self._is_released = False
        self.heard_at = asyncio.get_running_loop().time()
        self._writer = asyncio.create_task(self._run(), name="connection-writer")

    def heard(self) -> None:
        """Notes a sign of life of the client."""
        self.heard_at = asyncio.get_running_loop().time()

    def release_handshake(self) -> None:
        """Nothing: what there is of the handshake is the server's."""

    def buffered(self) -> int:
        """Bytes that the server has not taken yet."""
        return self._bytes

    def write(self, burst: Burst) -> None:
        """Queues the frames' texts for the server. Nothing happens on a closed connection."""
        if self._closing:
            return
        for ready in burst.frames:
            # Of the same string as all others': a hundred clients that read nothing wait for one text.
            self._texts.append(({"type": "websocket.send", "text": ready.string()}, len(ready.text)))
            self._bytes += len(ready.text)
        self._drained.clear()
        self._ready.set()

    def try_write(self, burst: Burst) -> bool:
        """Writes the frames if they fit into the limit; whether they did."""
        if self._bytes > WRITE_LIMIT_BYTES or len(burst) > MAX_BURST_BYTES:
            return False
        self.write(burst)
        return True

    def ping(self) -> None:
        """Nothing: ASGI has no ping, and the server sends its own."""

    async def drained(self) -> None:
        """Returns once the server has taken everything. Raises ConnectionResetError if the client is gone."""
        await self._drained.wait()
        if self._gone:
            raise ConnectionResetError("the client is gone")

    def close(self, code: int, reason: str) -> None:
        """Closes the socket after what is queued; aborts it if that takes too long."""
        if not self._closing:
            self._closing = True
            self._texts.append(({"type": "websocket.close", "code": code, "reason": reason}, 0))
            self._ready.set()
            asyncio.get_running_loop().call_later(ABORT_AFTER_S, self.abort)

    def abort(self) -> None:
        """Ends the connection's task: ASGI knows no other way to drop a client."""
        if not self._is_released:
            self.release()
            self._on_abort()

    def is_gone(self) -> bool:
        """Whether the client is gone, or the connection is released."""
        return self._gone or self._is_released

    def release(self) -> None:
        """Ends the writer: nothing is written any more."""
        self._is_released = self._closing = True
        self._writer.cancel()

    async def _run(self) -> None:
        try:
            while True:
                await self._ready.wait()
                while self._texts:
                    message, size = self._texts.popleft()
                    await self._send(message)
                    if message["type"] == "websocket.close":
                        return
                    self._bytes -= size
                self._ready.clear()
                self._drained.set()
        except Exception:  # the client went away in the middle: whatever the server calls that
            pass
        finally:
            self._gone = self._closing = True
            self._texts.clear()
            self._drained.set()

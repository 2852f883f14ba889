"""A TCP proxy that is a bad network: it delays, slices, throttles, falls silent, loses one side, and resets.

Bytes are never changed or left out while both sides live, because TCP would not either: what a black hole swallows
is sent again when the network is back. `held` keeps it; `half_open` is for peers that learn nothing of each other any
more. Every fault can be switched at any time and works on the connections that are there.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

_CHUNK = 65536
_AT_ONCE_GONE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset, as a crash of the peer would."""

Target = Callable[[], str | tuple[str, int]]
"""Where to go to, asked for each connection: a Unix socket's path, or host and port."""

OnPiece = Callable[[int, bool, bytes], None]
"""Which connection, whether it goes to the target, and what it is."""


def ignore(link: int, is_forth: bool, piece: bytes) -> None:
    pass


@dataclass(eq=False)
class _Link:
    """One connection through the proxy."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    is_stale: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Proxy:
    def __init__(
        self, target: Target, dice: random.Random | None = None, buffer_bytes: int | None = None
    ) -> None:
        """`buffer_bytes`: about as much as it keeps of what somebody does not read; None: as much as is usual."""
        self._target = target
        self._buffer_bytes = buffer_bytes
        self._dice = dice or random.Random()
        self._links: set[_Link] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._lingering: set[asyncio.Task[None]] = set()
        self.port = 0
        self.delay_s = 0.0
        """Longest delay of a piece; each gets a random part of it. Order stays."""
        self.slice_bytes: int | None = None
        """Longest piece that is passed on at once; pieces get random lengths."""
        self.bytes_per_s: float | None = None
        self.is_refusing = False
        """New connections are reset at once."""
        self.on_piece: OnPiece = ignore
        """Told of each piece just before it is passed on."""
        self.accepted = 0

    # ------------------------------------------------------------------------------------------ faults

    def hold(self) -> None:
        """A black hole: connections stay, new ones are accepted, and nothing comes through."""
        self._flows.clear()

    def release(self) -> None:
        """The network is back, and with it what was on its way."""
        self._flows.set()

    def cut(self) -> None:
        """Resets every connection, at both ends, in the middle of whatever they were saying."""
        for link in tuple(self._links):
            self._reset(link)

    def half_open(self, noticed_after_s: float | None = None) -> None:
        """The near side is left with connections that look alive; the far side sees them reset.

        After a while the near side's own keepalive would find out, and reset them.
        """
        for link in tuple(self._links):
            link.is_stale = True
            if link.far is not None:
                _abort(link.far)
            if noticed_after_s is not None:
                asyncio.get_running_loop().call_later(noticed_after_s, self._reset, link)

    def heal(self) -> None:
        """No fault any more. Half-open connections are reset, as the next packet would do."""
        self.delay_s, self.slice_bytes, self.bytes_per_s, self.is_refusing = 0.0, None, None, False
        for link in tuple(self._links):
            if link.is_stale:
                self._reset(link)
        self.release()

    @property
    def count(self) -> int:
        """Connections there are."""
        return len(self._links)

    # ------------------------------------------------------------------------------------------ wires

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._lingering, return_exceptions=True)
            await server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_refusing:
            _abort(writer)
            return
        self.accepted += 1
        if self._buffer_bytes is not None:
            writer.transport.set_write_buffer_limits(self._buffer_bytes)
            near: socket.socket = writer.get_extra_info("socket")
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer_bytes)
        task = asyncio.current_task()
        assert task is not None
        link = _Link(writer, tasks=[task])
        self._links.add(link)
        self._lingering.add(task)
        try:
            await self._flows.wait()
            back, link.far = await self._connect()
            forth = asyncio.create_task(self._pump(link, True, reader, link.far), name="forth")
            link.tasks.append(forth)
            await self._pump(link, False, back, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            if link.is_stale and link in self._links:
                await self._until_forgotten()
            self._reset(link)
            self._lingering.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        target = self._target()
        if isinstance(target, str):
            return await asyncio.open_unix_connection(target)
        if self._buffer_bytes is None:
            return await asyncio.open_connection(*target)
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_bytes)
        try:
            await asyncio.get_running_loop().sock_connect(sock, target)
        except BaseException:
            sock.close()
            raise
        return await asyncio.open_connection(sock=sock, limit=self._buffer_bytes)

    async def _pump(
        self, link: _Link, is_forth: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(_CHUNK):
                for piece in self._sliced(data):
                    await self._pass(link, is_forth, piece, writer)
            if is_forth and link.is_stale:
                self._reset(link)
            elif is_forth:
                writer.write_eof()
        except OSError:
            if is_forth:
                self._reset(link)

    async def _pass(self, link: _Link, is_forth: bool, piece: bytes, writer: asyncio.StreamWriter) -> None:
        if self.delay_s:
            await asyncio.sleep(self._dice.random() * self.delay_s)
        if self.bytes_per_s:
            await asyncio.sleep(len(piece) / self.bytes_per_s)
        await self._flows.wait()
        if link.is_stale:
            return
        self.on_piece(id(link), is_forth, piece)
        writer.write(piece)
        await writer.drain()

    def _sliced(self, data: bytes) -> list[bytes]:
        if self.slice_bytes is None:
            return [data]
        pieces, start = [], 0
        while start < len(data):
            end = start + self._dice.randint(1, self.slice_bytes)
            pieces.append(data[start:end])
            start = end
        return pieces

    async def _until_forgotten(self) -> None:
        # The near side keeps its connection until it gives up, or until the fault is healed.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    def _reset(self, link: _Link) -> None:
        if link not in self._links:
            return
        self._links.discard(link)
        for writer in (link.near, link.far):
            if writer is not None:
                _abort(writer)
        for task in link.tasks:
            if task is not asyncio.current_task():
                task.cancel()


def _abort(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if sock is not None and sock.family == socket.AF_INET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE_GONE)
    writer.transport.abort()

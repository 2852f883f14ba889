"""A WebSocket client that is nothing but bytes: it can break every rule of RFC 6455, and breaks none in reading."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import urlsplit

from tests.launcher.running import DEADLINE_S, Running


class Op(IntEnum):
    CONT = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    """One frame as a client sends it; `rsv` are its three reserved bits as a number."""
    size = len(payload)
    if size < 126:
        length, extended = size, b""
    elif size < 1 << 16:
        length, extended = 126, size.to_bytes(2, "big")
    else:
        length, extended = 127, size.to_bytes(8, "big")
    head = bytes((fin << 7 | rsv << 4 | opcode, mask << 7 | length)) + extended
    return head + (masked(payload) if mask else payload)


def masked(payload: bytes) -> bytes:
    key = os.urandom(4)
    repeated = key * (len(payload) // 4 + 1)
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[: len(payload)], "big")
    return key + number.to_bytes(len(payload), "big")


def fragments(opcode: int, pieces: Iterable[bytes]) -> list[bytes]:
    """The frames of one message sent in these pieces."""
    listed = list(pieces)
    last = len(listed) - 1
    return [
        frame(Op.CONT if number else opcode, piece, fin=number == last) for number, piece in enumerate(listed)
    ]


def close_frame(code: int | None = None, reason: bytes = b"") -> bytes:
    return frame(Op.CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


@dataclass(frozen=True, slots=True)
class Received:
    opcode: Op
    payload: bytes

    @property
    def code(self) -> int | None:
        """Of a close frame."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None


class Wire(asyncio.Protocol):
    """What has come is kept even if the connection is torn down behind it (a StreamReader would forget it)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over = True
        self._news.set()

    async def send(self, *data: bytes, piece_bytes: int = 0) -> None:
        """Writes; with `piece_bytes`, in pieces that the server reads one by one."""
        whole = b"".join(data)
        size = piece_bytes or len(whole) or 1
        for start in range(0, len(whole), size):
            if not self.transport.is_closing():  # it may have been refused for its first bytes
                self.transport.write(whole[start : start + size])
            if piece_bytes:
                await asyncio.sleep(0)

    async def take(self, size: int) -> bytes:
        """That many bytes; fewer at the end of the connection."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self._buffer) < size and not self._is_over:
                self._news.clear()
                await self._news.wait()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def take_head(self) -> bytes:
        """The answer to the handshake."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = await self.take(1)
            assert byte, f"the connection ended after {head!r}"
            head += byte
        return head

    async def receive(self) -> Received | None:
        """The next frame, or None at the end of the connection. Fails on a frame that no server may send."""
        head = await self.take(2)
        if not head:
            return None
        size = head[1] & 0x7F
        assert not head[1] & 0x80, "RFC 6455 §5.1: a server must not mask"
        assert head[0] & 0xF0 == 0x80, "nobody negotiated an extension, and nothing is sent in fragments"
        if size == 126:
            size = int.from_bytes(await self.take(2), "big")
            assert size > 125, "RFC 6455 §5.2: the minimal number of bytes must be used"
        elif size == 127:
            size = int.from_bytes(await self.take(8), "big")
            assert size >= 1 << 16, "RFC 6455 §5.2: the minimal number of bytes must be used"
        opcode = Op(head[0] & 0x0F)
        assert opcode < Op.CLOSE or size < 126, "RFC 6455 §5.5: control frames are short"
        payload = await self.take(size)
        assert len(payload) == size, "the connection ended within a frame"
        return Received(opcode, payload)

    async def next(self, opcode: Op) -> Received:
        """The next frame of this kind; others before it are passed over."""
        while True:
            received = await self.receive()
            assert received is not None, f"the connection ended before {opcode.name}"
            if received.opcode is opcode:
                return received

    async def to_the_end(self) -> list[Received]:
        """Everything until the server ends the TCP connection."""
        received = []
        while (item := await self.receive()) is not None:
            received.append(item)
        return received

    async def close_code(self) -> int | None:
        """The code of the server's close frame, which must be the last thing it sends."""
        last = (await self.to_the_end())[-1]
        assert last.opcode is Op.CLOSE, last
        return last.code


@contextlib.asynccontextmanager
async def wire(gateway: Running, path: str = "/ws") -> AsyncIterator[Wire]:
    """An admitted connection; its welcome has been read."""
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    transport, client = await asyncio.get_running_loop().create_connection(
        Wire, address.hostname, address.port or 80
    )
    try:
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {gateway.token()}\r\n\r\n"
        )
        await client.send(request.encode())
        head = await client.take_head()
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, "the example of RFC 6455 §1.3"
        assert b'"welcome"' in (await client.next(Op.TEXT)).payload
        yield client
    finally:
        transport.abort()

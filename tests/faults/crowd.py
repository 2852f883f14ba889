"""Clients as cheap as they can be, for tests that need many."""

import asyncio
import re
import socket
import struct

_OFF = re.compile(rb'"off":(\d+),"event"')


class Client:
    """As cheap as a client can be: a bare socket, its own handshake, frames looked at as bytes."""

    def __init__(self, address: tuple[str, int], token: str, rcvbuf: int | None = None) -> None:
        self._address = address
        self._token = token
        self._rcvbuf = rcvbuf
        self._tcp: socket.socket | None = None
        self._got = bytearray()

    async def come(self, after: bytes) -> None:
        """Connects and subscribes; returns when `subscribed` is here."""
        loop = asyncio.get_running_loop()
        self._got.clear()
        self._tcp = tcp = socket.socket()
        if self._rcvbuf is not None:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._rcvbuf)
        tcp.setblocking(False)
        await loop.sock_connect(tcp, self._address)
        head = (
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {self._token}\r\n\r\n"
        )
        await loop.sock_sendall(tcp, head.encode())
        await self.see(b'"type":"welcome"')
        wish = b'{"type":"subscribe","ref":"1","topic":"inbox:12"' + after + b"}"
        # RFC 6455 §5.2: a client's frames are masked; a mask of zeros changes nothing.
        await loop.sock_sendall(
            tcp, bytes((0x81, 0x80 | 126)) + struct.pack("!H", len(wish)) + bytes(4) + wish
        )
        await self.see(b'"type":"subscribed"')

    async def see(self, what: bytes) -> None:
        """Returns when this has come."""
        assert self._tcp is not None
        loop = asyncio.get_running_loop()
        while what not in self._got:
            data = await loop.sock_recv(self._tcp, 65536)
            assert data, f"closed: {bytes(self._got[-200:])!r}"
            self._got += data

    def epoch(self) -> bytes:
        return bytes(self._got).rpartition(b'"epoch":"')[2].partition(b'"')[0]

    def offs(self) -> list[int]:
        """Of all events so far."""
        return [int(off) for off in _OFF.findall(self._got)]

    def vanish(self) -> None:
        """The line is dead: a reset, no farewell."""
        if self._tcp is not None:
            self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._tcp.close()
            self._tcp = None

"""Two thousand browsers lose their connections in the same moment."""

import asyncio
import resource
import socket
import struct
from pathlib import Path

import asyncpg
import pytest

from tests.faults.child import SECRET
from tests.faults.proxy import Proxy
from tests.faults.server import Server
from tests.faults.town import town
from tests.faults.writers import add_session
from tests.postgres.writers import insert_message
from tests.processes.remote import mint

CLIENTS = 2000
BACK_WITHIN_S = 15.0
QUERIES_PER_S = 50
LOAD = 4.0
"""Tests share a machine with others; the bound on queries is not stretched, only the time allowed."""


class Client:
    """As cheap as a client can be: a bare socket, its own handshake, frames looked at as bytes."""

    def __init__(self, address: tuple[str, int], token: str) -> None:
        self._address = address
        self._token = token
        self._tcp: socket.socket | None = None
        self._got = bytearray()

    async def come(self, after: bytes) -> None:
        """Connects and subscribes; returns when `subscribed` is here."""
        loop = asyncio.get_running_loop()
        self._got.clear()
        self._tcp = tcp = socket.socket()
        tcp.setblocking(False)
        await loop.sock_connect(tcp, self._address)
        head = (
            "GET /ws HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
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

    def events(self) -> int:
        return self._got.count(b'"type":"event"')

    def vanish(self) -> None:
        """The line is dead: a reset, no farewell."""
        if self._tcp is not None:
            self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._tcp.close()
            self._tcp = None


@pytest.fixture
def many_files() -> None:
    """Allowance for the sockets of both sides, here and in what is forked."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 3 * CLIENTS), most))


class Counter:
    """Round trips to Postgres: every extended query ends with a Sync, every simple one is a Query."""

    def __init__(self, wire: Proxy) -> None:
        self.count = 0
        wire.on_piece = self._on_piece

    def _on_piece(self, link: int, is_forth: bool, piece: bytes) -> None:
        if is_forth:
            self.count += piece.count(b"S\0\0\0\x04") + piece.startswith(b"Q")


async def test_two_thousand_cut_at_once_are_back_and_caught_up_soon_and_cost_postgres_little(
    many_files: None, server: Server, tmp_path: Path, way: str
) -> None:
    async with town(server, tmp_path, ways=(way,)) as place:
        writer = await asyncpg.connect(place.dsn)
        await add_session(writer, 12)
        child = place.houses[0].child
        clients = [Client(child.address, mint(SECRET)) for _ in range(CLIENTS)]
        try:
            await asyncio.gather(*(client.come(b"") for client in clients))
            after = b',"after":{"off":0,"epoch":"' + clients[0].epoch() + b'"}'
            for client in clients:
                client.vanish()
            for number in range(20):
                await insert_message(writer, 12, message_text=f"text {number}")
            counter = Counter(place.houses[0].to_postgres)
            began = asyncio.get_running_loop().time()
            async with asyncio.timeout(BACK_WITHIN_S * LOAD):
                await asyncio.gather(*(client.come(after) for client in clients))
                await asyncio.gather(*(client.see(b'"off":20,') for client in clients))
            took_s = asyncio.get_running_loop().time() - began

            assert counter.count < QUERIES_PER_S * max(1.0, took_s), f"{counter.count} in {took_s:.1f} s"
            assert {client.events() for client in clients} == {20}
        finally:
            for client in clients:
                client.vanish()
            await writer.close()

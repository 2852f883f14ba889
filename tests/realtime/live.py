"""What the tests of this room share: waiting without sleeping, silence as a fact, and a look inside."""

import asyncio
import contextlib
import json
import select
import socket as sockets
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from gateway.realtime.connections import Connections
from gateway.realtime.native.connection import Connection
from gateway.realtime.native.endpoint import Realtime
from tests.frames import check_frame
from tests.launcher.running import DEADLINE_S, Reached, Running, Socket


async def until(is_so: Callable[[], bool], what: str) -> None:
    """Returns once the condition holds; fails with `what` after the deadline."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not is_so():  # noqa: ASYNC110  what is waited for tells nobody
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None


async def pong(socket: Socket) -> list[dict[str, Any]]:
    """Asks and waits for the answer; returns the frames that came before it.

    A connection's frames keep their order, so whatever was sent to it before the question is among them.
    """
    start = len(socket.frames)
    await socket.send(type="ping", ref="are you there")
    await socket.next("pong")
    return socket.frames[start:-1]


async def close_code(socket: Socket) -> int:
    """The code with which the server closes."""
    try:
        while True:
            await socket.receive()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def events_of(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [frame for frame in frames if frame["type"] == "event"]


def offs_of(frames: list[dict[str, Any]]) -> list[int]:
    return [frame["off"] for frame in events_of(frames)]


def realtime_of(gateway: Running) -> Realtime:
    return gateway.gateway.websockets.native


def roster_of(gateway: Running) -> Connections:
    return gateway.gateway.websockets.connections


async def heard(gateway: Running, inbox: int, off: int) -> None:
    """Returns once the gateway has read the inbox up to there."""

    def has_read() -> bool:
        position = gateway.gateway.live.hub.position(inbox)
        return position is not None and position.off >= off

    await until(has_read, f"inbox {inbox} has been read up to {off}")


def connection_of(gateway: Running, name: str | None = None) -> Connection:
    """The open connection of that name (it stands in `welcome`), or the only one."""
    opened = [item for item in roster_of(gateway).open if isinstance(item, Connection)]
    found = [item for item in opened if name in (None, item.name)]
    assert len(found) == 1
    return found[0]


class Sluggish:
    """A client on a bare TCP socket: it reads only when told to, answers no ping, and can send anything.

    What the kernel keeps for it is small, so what it does not read soon piles up in the gateway.
    """

    def __init__(self, tcp: sockets.socket, protocol: ClientProtocol) -> None:
        self._tcp = tcp
        self.protocol = protocol
        self.frames: list[dict[str, Any]] = []
        self.closed: int | None = None

    @property
    def name(self) -> str:
        return str(self.frames[0]["connection"])

    async def flush(self) -> None:
        """Sends what the protocol has ready."""
        for data in self.protocol.data_to_send():
            await asyncio.get_running_loop().sock_sendall(self._tcp, data)

    async def send(self, **frame: Any) -> None:
        self.protocol.send_text(json.dumps(frame).encode())
        await self.flush()

    async def ask(self, times: int) -> None:
        """That many pings, one after the other; waits while the gateway does not listen."""
        for number in range(times):
            await self.send(type="ping", ref=f"{number:060}")

    def can_send(self) -> bool:
        return bool(select.select([], [self._tcp], [], 0)[1])

    async def read(self, size: int = 65536) -> bool:
        """Reads once, at most `size` bytes; False at the end of the connection."""
        async with asyncio.timeout(DEADLINE_S):
            data = await asyncio.get_running_loop().sock_recv(self._tcp, size)
        if not data:
            return False
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self.frames.append(json.loads(bytes(event.data)))
                check_frame(self.frames[-1])
            elif isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
                self.closed = int.from_bytes(event.data[:2], "big")
        return True

    async def next(
        self, kind: str, where: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        """Reads on until a frame of this type has come."""
        seen = len(self.frames)
        while True:
            for frame in self.frames[seen:]:
                if frame["type"] == kind and where(frame):
                    return frame
            seen = len(self.frames)
            assert await self.read(), f"the connection ended ({self.closed}) before {kind}"

    async def subscribe(self, topic: str, **more: Any) -> dict[str, Any]:
        await self.send(type="subscribe", ref=topic, topic=topic, **more)
        return await self.next("subscribed")


@contextlib.asynccontextmanager
async def sluggish(
    gateway: Reached, token: str | None = None, *, expect_welcome: bool = True
) -> AsyncIterator[Sluggish]:
    """An admitted client that from now on reads only when told to."""
    address = urlsplit(gateway.url)
    protocol = ClientProtocol(parse_uri(gateway.url.replace("http", "ws", 1) + "/ws"))
    with sockets.socket() as tcp:
        tcp.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        tcp.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(tcp, (address.hostname, address.port))
        request = protocol.connect()
        request.headers["Authorization"] = f"Bearer {gateway.token() if token is None else token}"
        protocol.send_request(request)
        client = Sluggish(tcp, protocol)
        await client.flush()
        if expect_welcome:
            await client.next("welcome")
        yield client

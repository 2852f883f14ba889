"""A gateway in this process, and what a test does with a gateway wherever it runs.

It is as in life: real Postgres, real sockets through a real uvicorn, the simulator over HTTP.
"""

import asyncio
import contextlib
import json
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import jwt
from multidict import CIMultiDictProxy
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket

from gateway.client import Client, connect
from gateway.domain.access import Principal, Role
from gateway.runtime.context import Timings
from gateway.runtime.gateway import Gateway, open_gateway
from gateway.runtime.http_server import serving
from gateway.runtime.listen_socket import address_of, bind
from gateway.services.sessions.monitor import MonitorPace
from gateway.settings import Settings
from tests.frames import check_frame
from tests.launcher.settings import SECRET

DEADLINE_S = 60.0
"""A machine that tests run on stands still for half a minute now and then: what waits then is no failure."""

UNWATCHED = Timings(monitor=MonitorPace(first_s=365 * 86400.0))
"""The monitor's first round never comes. Most sessions of tests stand in the tables alone: a sync of the gateway's own
accord would find them missing upstream."""


class Reached(ABC):
    """A gateway at an address. `http` is a client without any login."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http

    @abstractmethod
    def token(self, role: Role = Role.ADMIN, sessions: set[int] | None = None, life_s: float = 600) -> str:
        """A login."""

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any
    ) -> tuple[int, Any]:
        """Status and parsed JSON of one request, as an admin unless a token is given ("" = nobody)."""
        bearer = self.token() if token is None else token
        headers = {**({"Authorization": f"Bearer {bearer}"} if bearer else {}), **more.pop("headers", {})}
        async with self.http.request(
            method, self.url + path, json=body, headers=headers, allow_redirects=False, **more
        ) as reply:
            text = await reply.text()
            return reply.status, json.loads(text) if text.startswith(("{", "[")) else text

    async def data(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """`data` of a successful answer."""
        status, reply = await self.call(method, path, body, **more)
        assert status < 300, (status, reply)
        return reply.get("data", reply)

    async def headers(self, path: str, **sent: str) -> CIMultiDictProxy[str]:
        """Of a successful answer, asked for by nobody in particular."""
        async with self.http.get(self.url + path, headers=sent) as reply:
            assert reply.status == 200, await reply.text()
            return reply.headers

    def client(self, token: str | None = None) -> Client:
        """Our own client, for tests of what arrives; `socket` is for tests of single frames."""
        return connect(self.url, token=self.token() if token is None else token)

    @contextlib.asynccontextmanager
    async def socket(self, token: str | None = None, **more: Any) -> AsyncIterator["Socket"]:
        """An admitted connection on /ws; its welcome has been read."""
        headers = {"Authorization": f"Bearer {self.token() if token is None else token}"}
        address = self.url.replace("http", "ws", 1) + "/ws"
        async with connect_socket(address, additional_headers=headers, compression=None, **more) as raw:
            socket = Socket(raw)
            await socket.next("welcome")
            yield socket


class Socket:
    """A bare WebSocket client that remembers every frame, and holds each against its description."""

    def __init__(self, raw: ClientConnection) -> None:
        self.raw = raw
        self.frames: list[dict[str, Any]] = []

    async def send(self, **frame: Any) -> None:
        await self.raw.send(json.dumps(frame))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE_S):
            frame: dict[str, Any] = json.loads(await self.raw.recv())
        check_frame(frame)
        self.frames.append(frame)
        return frame

    async def next(
        self, kind: str, where: Callable[[dict[str, Any]], bool] = lambda frame: True
    ) -> dict[str, Any]:
        """The next frame of a type, others kept in `frames`."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                frame = await self.receive()
                if frame["type"] == kind and where(frame):
                    return frame

    async def event(self, name: str) -> dict[str, Any]:
        return await self.next("event", lambda frame: frame["event"] == name)

    async def state(self, name: str) -> dict[str, Any]:
        return await self.next("state", lambda frame: frame["event"] == name)

    async def subscribe(self, topic: str, **more: Any) -> dict[str, Any]:
        await self.send(type="subscribe", ref=topic, topic=topic, **more)
        return await self.next("subscribed", lambda frame: frame["ref"] == topic)


class Running(Reached):
    """A gateway in this process. `gateway` is its inside."""

    def __init__(self, gateway: Gateway, http: aiohttp.ClientSession) -> None:
        super().__init__(gateway.url, http)
        self.gateway = gateway

    def token(self, role: Role = Role.ADMIN, sessions: set[int] | None = None, life_s: float = 600) -> str:
        named = None if sessions is None else frozenset(sessions)
        principal = Principal(sub="tester", name="Tester", role=role, sessions=named)
        return self.gateway.access.login.issue(principal, life_s)[0]


class Remote(Reached):
    """A gateway in a process of its own, as an HTTP and WebSocket client sees it."""

    def __init__(self, url: str, secret: str, http: aiohttp.ClientSession) -> None:
        super().__init__(url, http)
        self._secret = secret

    def token(self, role: Role = Role.ADMIN, sessions: set[int] | None = None, life_s: float = 600) -> str:
        return mint(self._secret, role, sessions, life_s)


def mint(
    secret: str = SECRET, role: Role = Role.ADMIN, sessions: set[int] | None = None, life_s: float = 600
) -> str:
    """A login, as the shop's backend makes one."""
    claims = {
        "sub": "tester",
        "name": "Tester",
        "role": role.word,
        "sessions": "*" if sessions is None else sorted(sessions),
        "exp": int(time.time() + life_s),
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def open_port(settings: Settings, send_buffer: int | None = None) -> socket.socket:
    """The port of the settings. `send_buffer`: how much the kernel keeps of what a client does not read."""
    sock = bind(settings.host, settings.port)
    if send_buffer is not None:  # accepted sockets take it over
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    return sock


@contextlib.asynccontextmanager
async def running(
    settings: Settings, *, send_buffer: int | None = None, timings: Timings = UNWATCHED
) -> AsyncIterator[Running]:
    """A gateway in this process, which is gone with the block."""
    sock = open_port(settings, send_buffer)
    async with (
        aiohttp.ClientSession() as http,
        open_gateway(settings, address_of(sock), timings) as gateway,
        serving(gateway.app, sock, guard=gateway.limiters.guard),
    ):
        try:
            yield Running(gateway, http)
        finally:
            await gateway.drain()


@contextlib.asynccontextmanager
async def reach(url: str, secret: str = SECRET) -> AsyncIterator[Remote]:
    """A gateway that somebody else has started."""
    # Fault handling is not looked at here: an answer that takes long is an error.
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE_S)) as http:
        yield Remote(url, secret, http)

"""A gateway as it is in life, for tests: real Postgres, real sockets through a real uvicorn, the simulator."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket

from gateway.client import Client, connect
from gateway.domain.access import Principal, Role
from gateway.runtime.gateway import Gateway
from gateway.runtime.listen_socket import address_of, bind
from gateway.runtime.server import serving
from gateway.settings import Settings
from tests.frames import check_frame
from tests.wide import WIDE

DEADLINE_S = 30.0
SECRET = "test-secret-of-at-least-32-characters!"


class Running:
    """A gateway under test, with an admin's HTTP client."""

    def __init__(self, gateway: Gateway, http: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.url = gateway.url
        self._http = http

    def token(self, role: Role = Role.ADMIN, sessions: set[int] | None = None, life_s: float = 600) -> str:
        named = None if sessions is None else frozenset(sessions)
        principal = Principal(sub="tester", name="Tester", role=role, sessions=named)
        return self.gateway.login.issue(principal, life_s)[0]

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any
    ) -> tuple[int, Any]:
        """Status and parsed JSON of one request, as an admin unless a token is given ("" = nobody)."""
        bearer = self.token() if token is None else token
        headers = {**({"Authorization": f"Bearer {bearer}"} if bearer else {}), **more.pop("headers", {})}
        async with self._http.request(
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
        async with self._http.get(self.url + path, headers=sent) as reply:
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


def settings_for(dsn: str, data_dir: Path, **more: Any) -> Settings:
    """Settings that read nothing of the machine's environment beyond what is given."""
    values: dict[str, Any] = {
        "simulator": True,
        "secret": SECRET,
        "port": 0,
        **WIDE,
        **more,
    }
    return Settings(_env_file=None, database_url=dsn, data_dir=data_dir, **values)  # type: ignore[call-arg]


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    sock = bind(settings.host, settings.port)
    async with (
        aiohttp.ClientSession() as http,
        Gateway(settings, address_of(sock)) as gateway,
        serving(gateway.asgi, sock, guard=gateway.guard),
    ):
        try:
            yield Running(gateway, http)
        finally:
            await gateway.drain()

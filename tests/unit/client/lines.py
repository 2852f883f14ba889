"""Lines to a server that is scripted, instead of sockets: the surroundings of a Client under test."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from gateway.client.client import Client
from gateway.client.login import Login, TokenSource
from tests.clock import now

Json = dict[str, Any]


class Line:
    """One connection, as the client sees it, and what the server does on it."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.at = now()
        self.said: list[Json] = []
        self._incoming: asyncio.Queue[str | Close | None] = asyncio.Queue()

    # The client's side:

    @property
    def transport(self) -> "Line":
        return self

    async def send(self, text: str) -> None:
        self.said.append(json.loads(text))

    async def recv(self) -> str:
        heard = await self._incoming.get()
        if isinstance(heard, str):
            return heard
        raise ConnectionClosedError(heard, None)

    def abort(self) -> None:
        self._incoming.put_nowait(None)

    # The server's side:

    def push(self, *frames: Json) -> None:
        for frame in frames:
            self._incoming.put_nowait(json.dumps(frame))

    def push_text(self, text: str) -> None:
        self._incoming.put_nowait(text)

    def welcome(self, heartbeat_s: int = 25) -> None:
        self.push(
            {"type": "welcome", "connection": "c", "heartbeat_s": heartbeat_s, "version": "1", "protocol": 1}
        )

    def close(self, code: int, reason: str = "") -> None:
        self._incoming.put_nowait(Close(code, reason))

    def asked(self, kind: str) -> list[Json]:
        return [frame for frame in self.said if frame["type"] == kind]

    def confirm(self, **more: Any) -> None:
        """Answers the newest subscribe."""
        wish = self.asked("subscribe")[-1]
        self.push({"type": "subscribed", "ref": wish["ref"], "topic": wish["topic"], **more})


class Network:
    """All lines a client opens, one after the other."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.tries: list[float] = []
        self.is_down = False

    @asynccontextmanager
    async def dial(self, url: str, token: str) -> AsyncIterator[ClientConnection]:
        self.tries.append(now())
        if self.is_down:
            raise ConnectionRefusedError("nobody there")
        self.lines.append(Line(token))
        yield cast(ClientConnection, self.lines[-1])

    @property
    def line(self) -> Line:
        return self.lines[-1]

    def client(self, token: TokenSource = "token", chance: float = 1.0) -> tuple[Client, list[str]]:
        """A client that uses this network, and the log of its status. Every wait is its whole step."""
        said: list[str] = []
        return Client("ws://here/ws", Login(token, now), said.append, self.dial, lambda: chance), said


async def settle() -> None:
    """Lets everything that can run now run."""
    for _ in range(20):
        await asyncio.sleep(0)

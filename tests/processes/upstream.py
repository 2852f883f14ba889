"""`gateway simulator` in a process of its own: WasenderAPI, as a gateway elsewhere finds it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.launcher.terminal import Command, Terminal


class Upstream:
    """Its address and token, the API as somebody with the token sees it, and the simulated phone."""

    def __init__(self, base_url: str, token: str, command: Command, http: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self.token = token
        self.command = command
        self._http = http

    @property
    def env(self) -> dict[str, str]:
        """What a gateway needs to use it."""
        return {"WASENDER_BASE_URL": self.base_url, "WASENDER_TOKEN": self.token}

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self._http.request(method, self.base_url + path, json=body, headers=headers) as reply:
            return reply.status, await reply.json() if await reply.read() else None

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        url = self.base_url.removesuffix("/api") + "/_simulator" + path
        async with self._http.request(method, url, json=body) as reply:
            assert reply.status == 200, await reply.text()
            return (await reply.json())["data"]


@contextlib.asynccontextmanager
async def simulated(terminal: Terminal, state: Path) -> AsyncIterator[Upstream]:
    async with (
        terminal.start("simulator", "--port", "0", "--state", state) as command,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http,
    ):
        base_url = (await command.line(r"WASENDER_BASE_URL=(\S+)"))[1]
        token = (await command.line(r"WASENDER_TOKEN=(\S+)"))[1]
        yield Upstream(base_url, token, command, http)

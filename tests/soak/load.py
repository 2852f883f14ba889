"""What goes on while a gateway is watched: customers, colleagues, browsers that stay or come and go, a receiver."""

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from websockets.asyncio.client import connect

from tests.http.receivers import Receiver
from tests.launcher.running import Remote, mint
from tests.launcher.settings import SECRET

QUICK = {"sent_delay_s": 0.0, "delivered_delay_s": 0.1, "read_delay_s": 0.2, "account_protection": False}
CUSTOMERS = 40
STEADY = 20
"""Browsers that stay."""

DEADLINE_S = 60.0


@dataclass
class Pace:
    """Seconds between two of a kind; a step that takes longer is not made up for."""

    texts_s: float = 0.1
    files_s: float = 1.0
    sends_s: float = 0.5
    visits_s: float = 0.5
    reads_s: float = 0.5


@dataclass
class Load:
    """The hands of everybody around one gateway."""

    gateway: Remote
    simulator: str
    receiver: Receiver
    pace: Pace = field(default_factory=Pace)
    done: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    session: int = 0

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Steers the simulator."""
        async with self.gateway.http.request(
            method, f"{self.simulator}/_simulator{path}", json=body
        ) as reply:
            assert reply.status < 300, await reply.text()
            return (await reply.json()).get("data")

    async def link(self) -> None:
        """A number that is linked, and a target of webhooks out."""
        await self.control("POST", "/settings", QUICK)
        wish = {"name": "Shop", "phone_number": "+15550001111", "webhook_enabled": True}
        self.session = int((await self.gateway.data("POST", "/api/whatsapp-sessions", wish))["id"])
        path = f"/api/whatsapp-sessions/{self.session}"
        async with self.gateway.socket() as socket:
            await socket.subscribe(f"session:{self.session}")
            await self.gateway.data("POST", f"{path}/connect")
            await socket.state("session.qr")
            await self.control("POST", f"/sessions/{self.session}/scan")
            await socket.state("session.link_ended")
        made = await self.gateway.data("POST", "/api/webhook-targets", {"url": self.receiver.url})
        self.receiver.secret = str(made["secret"])

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Everything, while the block runs; each kind at its pace."""
        steps: list[tuple[float, Callable[[int], Awaitable[None]]]] = [
            (self.pace.texts_s, self._text), (self.pace.files_s, self._file), (self.pace.sends_s, self._send),
            (self.pace.visits_s, self._visit), (self.pace.reads_s, self._read),
        ]  # fmt: skip
        tasks = [asyncio.create_task(self._repeat(pause_s, step)) for pause_s, step in steps]
        tasks += [asyncio.create_task(self._stay()) for _ in range(STEADY)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(self, pause_s: float, step: Callable[[int], Awaitable[None]]) -> None:
        name = step.__name__.strip("_")
        for number in itertools.count():
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await step(number)
                self.done[name] += 1
            except Exception as error:  # it is counted, and told at the end
                self.faults[f"{name}: {type(error).__name__}: {str(error)[:120]}"] += 1
            await asyncio.sleep(pause_s)

    # ------------------------------------------------------------------------------------------ steps

    async def _text(self, number: int) -> None:
        await self._inbound(number, {"text": f"Message {number} of a customer"})

    async def _file(self, number: int) -> None:
        await self._inbound(number, {"media": {"kind": "image"}})

    async def _inbound(self, number: int, wish: dict[str, Any]) -> None:
        wish = {"from": f"1555100{number % CUSTOMERS:04d}", **wish}
        await self.control("POST", f"/sessions/{self.session}/inbound", wish)

    async def _send(self, number: int) -> None:
        chat = f"1555100{number % CUSTOMERS:04d}"
        path = f"/api/conversations/{chat}/messages?session={self.session}"
        await self.gateway.data("POST", path, {"client_id": f"soak-{number}", "text": f"Answer {number}"})

    async def _visit(self, number: int) -> None:
        """A browser that comes, catches up from the beginning, and goes, in some way or another."""
        async with self._socket() as socket:
            await socket.send(json.dumps({"type": "subscribe", "ref": "s", "topic": "sessions"}))
            topic, after = (
                f"inbox:{self.session}",
                {"off": 0, "epoch": "00000000-0000-0000-0000-000000000000"},
            )
            await socket.send(json.dumps({"type": "subscribe", "ref": "1", "topic": topic, "after": after}))
            while '"ref":"1"' not in str(await socket.recv()):
                pass
            if number % 3 == 0:
                socket.transport.abort()

    async def _read(self, number: int) -> None:
        """A page that is loaded: its list, a thread, a search."""
        page = await self.gateway.data("GET", f"/api/conversations?session={self.session}&limit=20")
        listed = page["conversations"]
        if listed:
            chat = listed[number % len(listed)]["chat"]
            path = f"/api/conversations/{chat}"
            await self.gateway.data("GET", f"{path}/messages?session={self.session}")
            await self.gateway.data("POST", f"{path}/read?session={self.session}", {})
        if number % 10 == 0:
            await self.gateway.data("GET", f"/api/search?q=answer&session={self.session}")

    async def _stay(self) -> None:
        """A browser that stays, and comes again whenever it is closed."""
        while True:
            with contextlib.suppress(OSError, aiohttp.ClientError):
                async with self._socket() as socket:
                    topics = ("sessions", f"inbox:{self.session}")
                    for topic in topics:
                        await socket.send(json.dumps({"type": "subscribe", "ref": topic, "topic": topic}))
                    async for _ in socket:
                        self.done["frames"] += 1
            await asyncio.sleep(1.0)

    def _socket(self) -> connect:
        address = self.gateway.url.replace("http", "ws", 1) + "/ws"
        return connect(
            address, additional_headers={"Authorization": f"Bearer {mint(SECRET)}"}, compression=None
        )

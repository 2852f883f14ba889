"""A receiver of webhooks out: a real server that verifies what it is sent, and answers as a test says."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

DEADLINE_S = 30.0


@dataclass
class Got:
    """One delivery that was taken or refused."""

    id: str
    body: dict[str, Any]
    status: int
    raw: bytes = b""
    signature: str = ""
    """`X-Webhook-Signature`, in raw mode."""

    @property
    def text(self) -> str:
        """What a customer wrote, in either mode."""
        data = self.body["data"]
        return str(
            data["messages"]["message"]["conversation"] if "messages" in data else data["message_text"]
        )


@dataclass
class Receiver:
    """What has come, in the order of coming; `answers` says with which status each chat is answered."""

    url: str
    secret: str = ""
    got: list[Got] = field(default_factory=list)
    status: int = 200
    answers: dict[str, int] = field(default_factory=dict)
    is_raw: bool = False
    """Whether it is sent what WasenderAPI sent; then it verifies nothing."""
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def taken(self) -> list[Got]:
        """Deliveries that were answered 200."""
        return [item for item in self.got if item.status == 200]

    async def handle(self, request: web.Request) -> web.Response:
        """Verifies the signature, and answers."""
        raw = await request.read()
        headers = dict(request.headers)
        body = json.loads(raw) if self.is_raw else Webhook(self.secret).verify(raw, headers)
        status = self.answers.get(_chat(body), self.status)
        signature = headers.get("X-Webhook-Signature", "")
        async with self._moved:
            self.got.append(Got(headers["webhook-id"], body, status, raw, signature))
            self._moved.notify_all()
        return web.Response(status=status, text="as the test says")

    async def until(self, count: int) -> list[Got]:
        """The deliveries that were taken, once there are so many."""
        async with asyncio.timeout(DEADLINE_S), self._moved:
            await self._moved.wait_for(lambda: len(self.taken) >= count)
        return self.taken

    async def asked(self, count: int) -> list[Got]:
        """All deliveries, once there are so many."""
        async with asyncio.timeout(DEADLINE_S), self._moved:
            await self._moved.wait_for(lambda: len(self.got) >= count)
        return self.got


def _chat(body: dict[str, Any]) -> str:
    message = body["data"].get("messages")
    return str(message["key"]["remoteJid"] if isinstance(message, dict) else body["data"].get("chat", ""))


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a port of loopback."""
    receiver = Receiver("")
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()

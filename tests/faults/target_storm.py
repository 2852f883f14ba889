"""Webhooks out under load: `python -m tests.faults.target_storm --rate 10000 --seconds 60`.

Customers write in many chats, through one gateway or two; a receiver verifies what it is sent with `standardwebhooks`,
and others are slow. In the end nothing is missing, each event has one id, and every chat came in order. Everything
shares the machine's cores, so run it alone.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
from aiohttp import web
from standardwebhooks import Webhook

from tests.faults.server import own_server
from tests.faults.town import Town, town
from tests.faults.writers import TRY_S, add_session
from tests.http.support import HOOK, key_of, received, secret_of
from tests.launcher.child import READY_FRAMES
from tests.launcher.running import mint
from tests.launcher.settings import SECRET

SESSION = 12
PATIENCE_S = 120.0
Weather = Callable[[Town, "Plenty"], Coroutine[None, None, None]]
"""What happens meanwhile."""


@dataclass
class Plenty:
    """A receiver, and everything that it was sent."""

    secret: str = ""
    status: int = 200
    slow_s: float = 0.0
    is_raw: bool = False
    """Whether it is sent what WasenderAPI sent."""
    taken: list[tuple[str, str, int]] = field(default_factory=list)
    """Id, chat and number of what was answered 200, in this order."""
    late_s: list[float] = field(default_factory=list)
    refused: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, count: int) -> None:
        """Returns when so many events have been taken, each counted once."""
        while len({name for name, _, _ in self.taken}) < count:
            self._moved.clear()
            await self._moved.wait()

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if self.status != 200:
            self.refused += 1
            return web.Response(status=self.status)
        if self.secret:
            chat, text = self._read_raw(request, raw) if self.is_raw else self._read(request, raw)
            number, sent_at = text.split()
            self.taken.append((request.headers["webhook-id"], chat, int(number)))
            self.late_s.append(time.time() - float(sent_at))
            self.last_at = time.monotonic()
            self.first_at = self.first_at or self.last_at
            self._moved.set()
        return web.Response()

    def _read(self, request: web.Request, raw: bytes) -> tuple[str, str]:
        data = Webhook(self.secret).verify(raw, dict(request.headers))["data"]
        return data["chat"], data["message_text"]

    def _read_raw(self, request: web.Request, raw: bytes) -> tuple[str, str]:
        body = json.loads(raw)
        assert (request.headers["X-Webhook-Signature"], body["sessionId"]) == (
            secret_of(SESSION),
            key_of(SESSION),
        )
        message = body["data"]["messages"]
        return message["key"]["remoteJid"], message["message"]["conversation"]

    def complaints(self, chats: int, each: int) -> list[str]:
        """What is not as it ought to be."""
        wrong = []
        texts: dict[str, set[tuple[str, int]]] = {}
        order: dict[str, list[int]] = {}
        for name, chat, number in self.taken:
            texts.setdefault(name, set()).add((chat, number))
            order.setdefault(chat, []).append(number)
        lost = chats * each - len({item for items in texts.values() for item in items})
        if lost:
            wrong.append(f"{lost} lost")
        # In raw mode, what WasenderAPI sends again because it had no answer is handed on again, with an id of its own.
        if len(texts) < chats * each or (len(texts) > chats * each and not self.is_raw):
            wrong.append(f"{len(texts)} ids for {chats * each} events")
        if any(len(items) > 1 for items in texts.values()):
            wrong.append("one id for two events")
        # Taken twice with one id is what a receiver passes over; the first of each must be in order.
        unordered = sum(list(dict.fromkeys(numbers)) != sorted(set(numbers)) for numbers in order.values())
        if unordered:
            wrong.append(f"{unordered} chats out of order")
        return wrong

    @property
    def doubled(self) -> int:
        """Deliveries that were taken a second time, with the id of the first."""
        return sum(count - 1 for count in Counter(name for name, _, _ in self.taken).values())


@contextlib.asynccontextmanager
async def receiving(plenty: Plenty) -> AsyncIterator[str]:
    """The receiver's address."""
    app = web.Application()
    app.router.add_post("/hook", plenty.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


async def add_target(place: Town, http: aiohttp.ClientSession, url: str, *, is_raw: bool = False) -> str:
    """Its secret."""
    wish = {"url": url, "events": ["messages.received" if is_raw else "message.created"]}
    wish |= {"mode": "raw"} if is_raw else {}
    headers = {"Authorization": f"Bearer {mint(SECRET)}"}
    address = f"{place.houses[0].url}/api/webhook-targets"
    async with http.post(address, json=wish, headers=headers) as reply:
        said = await reply.json()
        assert reply.status == 201, said
        return str(said["data"]["secret"])


async def write(place: Town, http: aiohttp.ClientSession, chat: int, each: int, every_s: float) -> None:
    """One customer: message after message, each sent again until it is acknowledged, by whichever gateway is there."""
    jid, headers = f"1555{chat:07}@s.whatsapp.net", {"X-Webhook-Signature": secret_of(SESSION)}
    began = asyncio.get_running_loop().time() + every_s * (chat % 97) / 97
    for number in range(each):
        await asyncio.sleep(max(0.0, began + number * every_s - asyncio.get_running_loop().time()))
        body = received(f"{number} {time.time()}", f"K{chat}-{number}", jid) | {"sessionId": key_of(SESSION)}
        for attempt in range(1000):
            url = place.houses[(chat + attempt) % len(place.houses)].url + HOOK
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with http.post(
                    url, json=body, headers=headers, timeout=aiohttp.ClientTimeout(total=TRY_S)
                ) as reply:
                    if reply.status == 200:
                        break
            await asyncio.sleep(0.1)


async def storm(
    place: Town,
    *,
    chats: int,
    each: int,
    every_s: float,
    slow: int = 0,
    is_raw: bool = False,
    weather: Weather | None = None,
) -> Plenty:
    """What the receiver has in the end, when everything has come or patience is over."""
    plenty = Plenty(is_raw=is_raw)
    writer = await asyncpg.connect(place.dsn)
    await add_session(writer, SESSION)
    await writer.close()
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        url = await stack.enter_async_context(receiving(plenty))
        plenty.secret = await add_target(place, http, url, is_raw=is_raw)
        for _ in range(slow):
            await add_target(place, http, await stack.enter_async_context(receiving(Plenty(slow_s=5.0))))
        async with asyncio.TaskGroup() as group:
            for chat in range(chats):
                group.create_task(write(place, http, chat, each, every_s))
            if weather is not None:
                group.create_task(weather(place, plenty))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await plenty.until(chats * each)
    return plenty


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


async def measure(rate: int, seconds: int, gateways: int, slow: int, *, is_raw: bool) -> bool:
    """Prints one line of figures; True if all is as it ought to be."""
    chats = 200
    each = max(1, rate * seconds // 60 // chats)
    with own_server() as server, tempfile.TemporaryDirectory() as folder:
        ways = (READY_FRAMES,) * gateways
        async with town(server, Path(folder), ways=ways, target_networks="127.0.0.0/8") as place:
            plenty = await storm(
                place, chats=chats, each=each, every_s=seconds / each, slow=slow, is_raw=is_raw
            )
    took_s = plenty.last_at - plenty.first_at
    wrong = plenty.complaints(chats, each)
    late = [f"{percentile(plenty.late_s, part) * 1000:.0f}" for part in (0.5, 0.99)]
    sys.stdout.write(
        f"{len(plenty.taken)} of {chats * each} taken in {took_s:.1f} s, "
        f"{len(plenty.taken) / took_s * 60:.0f} a minute; "
        f"p50 {late[0]} ms and p99 {late[1]} ms from the customer to the receiver; {plenty.doubled} doubled;"
        f" {', '.join(wrong) or 'nothing lost, every chat in order'}\n"
    )
    return not wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000, help="messages a minute")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--slow", type=int, default=5, help="targets beside it that answer after 5 s")
    parser.add_argument("--raw", action="store_true", help="what WasenderAPI sent")
    asked = parser.parse_args()
    fine = asyncio.run(measure(asked.rate, asked.seconds, asked.gateways, asked.slow, is_raw=asked.raw))
    sys.exit(not fine)


if __name__ == "__main__":
    main()

"""Two rules that others send by, in the same trouble: n8n's node repeats, and "call, then write the row" forgets.

A gateway that is killed or frozen is here the worker that dies, or stands still: its calls are cut, and it is there
again after the same time.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from tests.faults.send_plan import GATEWAYS, SESSIONS, TROUBLE_S, UPSTREAM, Message, Plan
from tests.simulator.support import Served

N8N_TIMES = 10
N8N_PAUSE_S = 0.05
CLIENT_TIMES = 20
CLIENT_PAUSE_S = 0.3
SILENCE_S = 1.5

Send = Callable[[Message], Awaitable[None]]


class Naive:
    """One rule, with an upstream of its own that goes through the seed's troubles."""

    def __init__(self, served: Served, plan: Plan) -> None:
        self._served = served
        self._plan = plan
        self._keys: list[str] = []
        self._calls: set[asyncio.Task[int | None]] = set()
        self._is_up = asyncio.Event()
        self._is_up.set()
        self.failed: set[str] = set()
        """What the rule calls failed, or has forgotten."""

    async def run(self, rule: str) -> Counter[str]:
        """How often a message was doubled, lost, or told wrong."""
        send = self._n8n if rule == "n8n" else self._call_then_row
        for _ in range(SESSIONS):
            made = await self._served.create()
            self._keys.append(made["api_key"])
            await self._served.link(made["id"])
        await self._served.control("POST", "/settings", {"sends_per_minute": None})
        async with asyncio.TaskGroup() as group:
            for message in self._plan.messages:
                group.create_task(self._at(message, send))
            group.create_task(self._trouble())
        return await self._judge()

    async def _judge(self) -> Counter[str]:
        sends = (await self._served.control("GET", "/sends")).json["data"]
        reached = Counter(row["text"] for row in sends if row["state"] != 0)
        found: Counter[str] = Counter(messages=len(self._plan.messages))
        for message in self._plan.messages:
            times = reached[self._text(message)]
            found["doubled"] += times > 1
            found["sent too often"] += max(0, times - 1)
            found["lost"] += times == 0
            found["told failed or no row, and it was sent"] += times > 0 and message.client_id in self.failed
        return found

    @staticmethod
    def _text(message: Message) -> str:
        return message.client_id  # each its own: what is counted is how often it went out

    async def _at(self, message: Message, send: Send) -> None:
        await asyncio.sleep(message.at_s)
        await send(message)

    # ------------------------------------------------------------------ the rules

    async def _n8n(self, message: Message) -> None:
        """One run of a workflow: repeated on 408, 429 and 5xx; anything else ends it, and so does a kill."""
        await self._is_up.wait()
        status: int | None = None
        for _ in range(1 + N8N_TIMES):
            status = await self._call(message)
            if status is None or not (status in (408, 429) or status >= 500):
                break
            await asyncio.sleep(N8N_PAUSE_S)
        if status != 200:
            self.failed.add(message.client_id)

    async def _call_then_row(self, message: Message) -> None:
        """The server calls, then writes its row; its client asks again until it is answered."""
        for _ in range(CLIENT_TIMES):
            await self._is_up.wait()
            status = await self._call(message)
            if status == 200:
                return
            if status in (401, 422):
                break
            await asyncio.sleep(CLIENT_PAUSE_S)
        self.failed.add(message.client_id)

    async def _call(self, message: Message) -> int | None:
        """Upstream's status; None where there was no answer, or the worker died meanwhile."""
        call = asyncio.create_task(self._post(message))
        self._calls.add(call)
        try:
            await asyncio.wait([call])
            return None if call.cancelled() else call.result()
        finally:
            self._calls.discard(call)

    async def _post(self, message: Message) -> int | None:
        body = {"to": phone_of(message.session, message.chat), "text": self._text(message)}
        try:
            async with asyncio.timeout(SILENCE_S):
                reply = await self._served.call(
                    "POST", "/api/send-message", body, token=self._keys[message.session]
                )
                return reply.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    # ------------------------------------------------------------------ the troubles

    async def _trouble(self) -> None:
        began = asyncio.get_running_loop().time()
        for trouble in self._plan.troubles:
            await asyncio.sleep(max(0.0, began + trouble.at_s - asyncio.get_running_loop().time()))
            if trouble.kind in UPSTREAM:
                await self._served.control("POST", "/faults", trouble.fault)
            elif trouble.kind in GATEWAYS:
                if trouble.fault:
                    await self._served.control("POST", "/faults", trouble.fault)
                    await asyncio.sleep(0.1)
                self._is_up.clear()
                for call in self._calls:
                    call.cancel()
                asyncio.get_running_loop().call_later(0.3, self._is_up.set)
        await asyncio.sleep(max(0.0, began + TROUBLE_S - asyncio.get_running_loop().time()))
        await self._served.control("DELETE", "/faults")


def phone_of(session: int, chat: int) -> str:
    """The customer of a chat."""
    return f"+1555000{session + 1}{chat:03d}"


async def compare(served: tuple[Served, Served], plan: Plan) -> dict[str, Counter[str]]:
    """What both rules come to in the troubles of a plan."""
    found: dict[str, Counter[str]] = {}

    async def one(rule: str, at: Served) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            found[rule] = await Naive(at, plan).run(rule)

    async with asyncio.TaskGroup() as group:
        for rule, at in zip(("n8n", "call, then row"), served, strict=True):
            group.create_task(one(rule, at))
    return found


Table = dict[str, Counter[str]]


def merged(tables: list[dict[str, Any]]) -> Table:
    """The sums of several seeds, by rule."""
    whole: Table = {}
    for table in tables:
        for rule, counts in table.items():
            whole.setdefault(rule, Counter()).update(counts)
    return whole

"""Well-behaved clients beside an attack: one pings, one posts webhooks, an agent reads. And what it did to them."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from websockets.asyncio.client import connect

from gateway.domain.access import Role
from tests.attacks.claims import mint
from tests.attacks.victim import Victim

PING_S = 0.05
WEBHOOK_S = 0.05
READ_S = 0.1
PATIENCE_S = 30.0
MIB = 1024 * 1024


@dataclass
class Suffered:
    pings: list[float] = field(default_factory=list)
    # What the gateway's event loop computed between a ping and its pong: a crowded machine does not lengthen it.
    ping_cpu: list[float] = field(default_factory=list)
    webhooks: list[float] = field(default_factory=list)
    posted: int = 0
    # What share of the webhooks posted until the attack was over had their answer by then.
    answered_meanwhile: float = 0.0
    reads: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    stale: int = 0
    rss_before: int = 0
    rss_most: int = 0
    rss_after: int = 0

    @property
    def grown_mib(self) -> float:
        return (self.rss_most - self.rss_before) / MIB

    @property
    def left_mib(self) -> float:
        return (self.rss_after - self.rss_before) / MIB

    def attack_is_over(self) -> None:
        """Counts what has its answer now: what the attack holds up is answered only when it ends."""
        self.answered_meanwhile = len(self.webhooks) / max(1, self.posted)

    def ping_p99_ms(self) -> float:
        return _quantile(self.pings, 0.99) * 1000

    def ping_cpu_p99_ms(self) -> float:
        return _quantile(self.ping_cpu, 0.99) * 1000

    def row(self) -> str:
        webhook = f"{max(self.webhooks, default=float('inf')):.2f} s"
        read = f"{_quantile(self.reads, 0.99):.2f} s"
        return (
            f"{self.ping_p99_ms():.0f} ms | {webhook} | {read} | {self.grown_mib:+.0f} MiB | "
            f"{self.left_mib:+.0f} MiB | {'yes' if self.stale else 'no'} | {len(self.faults)}"
        )


def _quantile(values: list[float], share: float) -> float:
    if not values:
        return float("inf")
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@contextlib.asynccontextmanager
async def bystanders(victim: Victim, *, calm_s: float = 30.0) -> AsyncIterator[Suffered]:
    """They go on while the block runs; then its memory has `calm_s` to come back."""
    suffered = Suffered()
    over = asyncio.Event()
    ready = [asyncio.Event() for _ in range(3)]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as http:
        works = [
            _ping(victim, suffered, over, ready[0]),
            _post(victim, http, suffered, over, ready[1]),
            _read(victim, http, suffered, over, ready[2]),
        ]
        tasks = [asyncio.create_task(work) for work in works]
        async with asyncio.timeout(PATIENCE_S):
            for each in ready:
                await each.wait()
        suffered.rss_before = suffered.rss_most = victim.rss()
        watch = asyncio.create_task(_watch(victim, suffered))
        try:
            yield suffered
        finally:
            over.set()
            watch.cancel()
            async with asyncio.timeout(2 * PATIENCE_S):
                await asyncio.gather(*tasks)
            await _calm_down(victim, suffered, calm_s)


async def _calm_down(victim: Victim, suffered: Suffered, calm_s: float) -> None:
    """Waits until the memory is back, for `calm_s` at the most."""
    deadline = time.monotonic() + calm_s
    suffered.rss_after = victim.rss()
    while suffered.left_mib > 48 and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        suffered.rss_after = victim.rss()


async def _watch(victim: Victim, suffered: Suffered) -> None:
    while True:
        suffered.rss_most = max(suffered.rss_most, victim.rss())
        await asyncio.sleep(0.05)


async def _ping(victim: Victim, suffered: Suffered, over: asyncio.Event, ready: asyncio.Event) -> None:
    headers = {"Authorization": f"Bearer {mint(Role.AGENT)}"}
    address = f"ws://127.0.0.1:{victim.port}/ws"
    try:
        async with connect(
            address, additional_headers=headers, compression=None, ping_interval=None
        ) as socket:
            sub = {"type": "subscribe", "ref": "s", "topic": f"inbox:{victim.session_id}"}
            await socket.send(json.dumps(sub))
            for number in itertools.count():
                if over.is_set():
                    return
                begun, computed = time.perf_counter(), victim.loop_cpu()
                await socket.send(json.dumps({"type": "ping", "ref": str(number)}))
                async with asyncio.timeout(PATIENCE_S):
                    while True:
                        frame: dict[str, Any] = json.loads(await socket.recv())
                        suffered.stale += frame["type"] == "stale"
                        if frame["type"] == "pong" and frame["ref"] == str(number):
                            break
                suffered.pings.append(time.perf_counter() - begun)
                suffered.ping_cpu.append(victim.loop_cpu() - computed)
                if number == 2:
                    ready.set()
                    suffered.pings.clear()
                    suffered.ping_cpu.clear()
                await asyncio.sleep(PING_S)
    except Exception as error:
        suffered.faults.append(f"ping: {error!r}")
        ready.set()


async def _post(
    victim: Victim, http: aiohttp.ClientSession, suffered: Suffered, over: asyncio.Event, ready: asyncio.Event
) -> None:
    tasks: set[asyncio.Task[None]] = set()
    for number in itertools.count():
        task = asyncio.create_task(_post_one(victim, http, suffered, number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if number == 2:
            await asyncio.gather(*tasks)
            suffered.webhooks.clear()
            suffered.posted = 0
            ready.set()
        if over.is_set():
            break
        await asyncio.sleep(WEBHOOK_S)
    await asyncio.gather(*tasks)


async def _post_one(victim: Victim, http: aiohttp.ClientSession, suffered: Suffered, number: int) -> None:
    body = {
        "event": "messages.upsert",
        "sessionId": str(victim.session_id),
        "data": {"messages": {
            "key": {"id": f"B{time.monotonic_ns()}", "fromMe": False, "remoteJid": "4915155555555@s.whatsapp.net"},
            "messageTimestamp": int(time.time()), "message": {"conversation": f"number {number}"},
        }},
    }  # fmt: skip
    # Without the id in the address every second time, and on a connection of its own every third.
    path = f"/api/whatsapp/webhook/{victim.session_id}" if number % 2 else "/api/whatsapp/webhook"
    headers = {"X-Webhook-Signature": victim.webhook_secret}
    if number % 3 == 0:
        headers["Connection"] = "close"
    suffered.posted += 1
    begun = time.perf_counter()
    try:
        async with http.post(victim.url + path, json=body, headers=headers) as reply:
            await reply.read()
            if reply.status != 200:
                suffered.faults.append(f"webhook: {reply.status}")
    except Exception as error:
        suffered.faults.append(f"webhook: {error!r}")
    suffered.webhooks.append(time.perf_counter() - begun)


async def _read(
    victim: Victim, http: aiohttp.ClientSession, suffered: Suffered, over: asyncio.Event, ready: asyncio.Event
) -> None:
    headers = {"Authorization": f"Bearer {mint(Role.AGENT)}"}
    while not over.is_set():
        begun = time.perf_counter()
        try:
            async with http.get(victim.url + "/api/conversations", headers=headers) as reply:
                await reply.read()
                if reply.status != 200:
                    suffered.faults.append(f"read: {reply.status}")
        except Exception as error:
            suffered.faults.append(f"read: {error!r}")
        suffered.reads.append(time.perf_counter() - begun)
        ready.set()
        await asyncio.sleep(READ_S)

"""How many phones can be linked at once: `python -m tests.benchmarks.linking --sessions 10 100 1000`.

One gateway on a core of its own; a simulator, a private Postgres and the browsers on the other. All sessions link at
once, some of them are watched over `/ws`, and one hangs upstream. Measured over a few seconds, when all are linking:
the gateway's CPU, as a share of its core and for each poll (two calls upstream), the calls against the ideal, and the
time from a new code upstream to its frame at the client, with webhooks and without. A size takes about 50 s.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from gateway.domain.linking import Limits
from gateway.embedded_postgres.server import EmbeddedPostgres
from tests.benchmarks.linking_upstream import made_at
from tests.benchmarks.machine import cores, cpu_s
from tests.launcher.running import Remote, Socket, reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import CHECKOUT, Terminal
from tests.postgres_fixtures import FAST, clone, dismiss, serving_cluster

WATCHED = 50
CODE_LIFE_S = 10.0
"""Half of what WhatsApp gives a later code: twice the codes that there would be in life."""
SETTLE_S = 5.0
"""After the last watched session's first code: the others, and what their links began with, need a moment more."""
WINDOW_S = 12.0
"""How long is measured. Longer than a code lives, so that every watched session brings one."""
PER_SIZE_S = 120.0
"""A run that takes longer than this has failed."""
_CALLS_PER_POLL = 2
WAYS = ["webhook", "poll"]


@dataclass
class Figures:
    """What one run brought."""

    sessions: int
    way: str
    cpu_share: float = 0.0
    poll_us: float = 0.0
    """The gateway's CPU for a poll, with everything that comes of it: codes, webhooks, frames."""
    calls_per_s: float = 0.0
    ideal_per_s: float = 0.0
    first_s: list[float] = field(default_factory=list)
    """From `connect` to the first code at the client."""
    late_s: list[float] = field(default_factory=list)
    """From a new code upstream to its frame at the client."""

    def row(self) -> str:
        return (
            f"{self.sessions:>8}  {self.way:<7}  {self.cpu_share:>7.0%}  {self.poll_us:>7.0f}  "
            f"{self.calls_per_s:>7.0f}  {self.ideal_per_s:>6.0f}  {len(self.late_s):>5}  {_ms(self.late_s, 0.5):>8}  "
            f"{_ms(self.late_s, 0.99):>8}  {_ms(self.first_s, 0.5):>10}  {_ms(self.first_s, 0.99):>10}"
        )


HEADING = (
    f"{'sessions':>8}  {'way':<7}  {'CPU':>7}  {'µs/poll':>7}  {'calls/s':>7}  {'ideal':>6}  {'codes':>5}  "
    f"{'p50 ms':>8}  {'p99 ms':>8}  {'1st p50 ms':>10}  {'1st p99 ms':>10}"
)


def _ms(values: list[float], share: float) -> str:
    if not values:
        return "–"
    ordered = sorted(values)
    return f"{1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.0f}"


class Upstream:
    """The simulator in its process."""

    def __init__(self, url: str, token: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.token = token
        self._http = http

    async def ask(self, path: str, body: Any = None) -> Any:
        method = "GET" if body is None else "POST"
        async with self._http.request(method, self.url + path, json=body) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.benchmarks.linking_upstream",
        str(CODE_LIFE_S),
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        url, token = json.loads(await process.stdout.readline())
        async with aiohttp.ClientSession() as http:
            yield Upstream(url, token, http)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@dataclass
class Watch:
    """A browser at one session's code: when it asked for it, and when each one came."""

    session_id: int
    asked_at: float = 0.0
    came: list[tuple[float, str]] = field(default_factory=list)
    has_code: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, socket: Socket) -> None:
        async for raw in socket.raw:
            now = time.time()
            frame = json.loads(raw)
            if frame.get("event") == "session.qr":
                self.came.append((now, frame["data"]["qrCode"]))
                self.has_code.set()


async def measure(figures: Figures, gateway: Remote, served: Upstream, pid: int) -> None:
    webhook_url = gateway.url + "/api/whatsapp/webhook" if figures.way == "webhook" else None
    numbers = await served.ask("/_bench/sessions", {"count": figures.sessions, "webhook_url": webhook_url})
    await gateway.data("POST", "/api/whatsapp-sessions/sync")
    hanging, *others = numbers
    fault = {"path": f"/whatsapp-sessions/{hanging}", "hang": True, "times": None}
    await served.ask("/_simulator/faults", fault)
    watches = [Watch(number) for number in others[:: max(1, len(others) // WATCHED)][:WATCHED]]
    async with contextlib.AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        sockets = [await stack.enter_async_context(gateway.socket()) for _ in watches]
        for watch, socket in zip(watches, sockets, strict=True):
            await socket.subscribe(f"session:{watch.session_id}")
        readers = [
            tasks.create_task(watch.follow(socket), name="watch")
            for watch, socket in zip(watches, sockets, strict=True)
        ]
        try:
            await _connect_all(gateway, numbers, {watch.session_id: watch for watch in watches})
            for watch in watches:
                await watch.has_code.wait()
            await _window(figures, served, pid, watches)
        finally:
            for reader in readers:
                reader.cancel()


async def _connect_all(gateway: Remote, numbers: list[int], watches: dict[int, Watch]) -> None:
    turn = asyncio.Semaphore(32)

    async def connect(number: int) -> None:
        async with turn:
            if number in watches:
                watches[number].asked_at = time.time()
            await gateway.data("POST", f"/api/whatsapp-sessions/{number}/connect")

    async with asyncio.TaskGroup() as tasks:
        for number in numbers:
            tasks.create_task(connect(number), name="connect")


async def _window(figures: Figures, served: Upstream, pid: int, watches: list[Watch]) -> None:
    await asyncio.sleep(SETTLE_S)
    began, calls, cpu = time.time(), await served.ask("/_bench/calls"), cpu_s(pid)
    await asyncio.sleep(WINDOW_S)
    calls, cpu = await served.ask("/_bench/calls") - calls, cpu_s(pid) - cpu
    took = time.time() - began
    figures.cpu_share, figures.calls_per_s = cpu / took, calls / took
    figures.poll_us = 1e6 * cpu / (calls / _CALLS_PER_POLL)
    figures.ideal_per_s = (figures.sessions - 1) * _CALLS_PER_POLL / Limits().poll_s
    for watch in watches:
        figures.first_s.append(watch.came[0][0] - watch.asked_at)
        figures.late_s += [at - made_at(code) for at, code in watch.came if made_at(code) >= began]


async def run(size: int, way: str, server: EmbeddedPostgres, folder: Path) -> Figures:
    figures = Figures(size, way)
    of_gateway, _ = cores()
    async with asyncio.timeout(PER_SIZE_S), clone(server, "migrated") as database, upstream() as served:
        env = {
            "DATABASE_URL": database,
            "GATEWAY_SECRET": SECRET,
            "GATEWAY_LOG_LEVEL": "error",
            "WASENDER_BASE_URL": served.url,
            "WASENDER_TOKEN": served.token,
        }
        async with (
            Terminal(folder).start("serve", "--port", "0", env=env) as command,
            reach((await command.line(r"runs at (\S+)"))[1]) as gateway,
        ):
            os.sched_setaffinity(command.pid, {of_gateway})
            await measure(figures, gateway, served, command.pid)
    return figures


@contextlib.contextmanager
def postgres() -> Iterator[tuple[EmbeddedPostgres, Path]]:
    """A private Postgres in memory, and a folder for gateways on a disk: they refuse to keep webhooks in memory."""
    with serving_cluster(FAST) as server, tempfile.TemporaryDirectory(prefix="gateway-linking-") as data_dir:
        try:
            yield server, Path(data_dir)
        finally:
            dismiss(server)


async def compare(sizes: list[int], ways: list[str], server: EmbeddedPostgres, folder: Path) -> None:
    _say(f"{len(set(cores()))} cores; {WATCHED} sessions watched, 1 hanging; code life {CODE_LIFE_S:g} s")
    _say(HEADING)
    for size in sizes:
        for way in ways:
            try:
                _say((await run(size, way, server, folder)).row())
            except TimeoutError:
                _say(f"{size:>8}  {way:<7}  did not get through within {PER_SIZE_S:g} s")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    wanted = parser.parse_args()
    os.sched_setaffinity(0, {cores()[1]})  # and with us, everybody whom we start
    with postgres() as (server, folder):
        asyncio.run(compare(wanted.sessions, wanted.ways, server, folder))


if __name__ == "__main__":
    main()

"""Ten files of 100 MB at once: `python -m tests.faults.media_weight`.

One gateway fetches them, opens them, and stores them, while messages go on: how much memory it takes more, and how late
messages are at the 99th percentile beside what they are without. The simulator has a process of its own; everything
shares the machine's cores, so run it alone.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from websockets.asyncio.client import connect

from tests.faults.media_storm import element_of
from tests.faults.server import Server, own_server
from tests.faults.town import Town, town
from tests.launcher.child import READY_FRAMES
from tests.launcher.running import mint
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal
from tests.simulator.support import serving

BEFORE_S = 10.0
EVERY_S = 0.02
INBOX = 12
MIB = 1 << 20


@dataclass
class Figures:
    before_ms: list[float] = field(default_factory=list)
    during_ms: list[float] = field(default_factory=list)
    grown_mib: float = 0.0
    took_s: float = 0.0
    states: dict[str, int] = field(default_factory=dict)

    def line(self) -> str:
        before, during = (percentile(values, 0.99) for values in (self.before_ms, self.during_ms))
        return (
            f"{self.states} in {self.took_s:.0f} s; memory grew by {self.grown_mib:.0f} MiB; p50 "
            f"{percentile(self.before_ms, 0.5):.1f} → {percentile(self.during_ms, 0.5):.1f} ms, p99 {before:.1f} → "
            f"{during:.1f} ms of {len(self.before_ms)} and {len(self.during_ms)} messages"
        )


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


class Listener:
    """One browser that notes how old each message is when it comes."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("http", "ws", 1) + "/ws"
        self.ages_ms: list[float] = []
        self.is_subscribed = asyncio.Event()

    async def run(self) -> None:
        headers = {"Authorization": f"Bearer {mint(SECRET)}"}
        async with connect(self._url, additional_headers=headers, compression=None) as socket:
            await socket.send(json.dumps({"type": "subscribe", "ref": "1", "topic": f"inbox:{INBOX}"}))
            async for raw in socket:
                frame = json.loads(raw)
                if frame["type"] == "subscribed":
                    self.is_subscribed.set()
                text = (frame.get("data") or {}).get("message_text") or ""
                if frame["type"] == "event" and text.startswith("at "):
                    self.ages_ms.append((time.monotonic_ns() - int(text[3:])) / 1e6)


async def write_messages(dsn: str) -> None:
    """A message every 20 ms, with the time in it."""
    connection = await asyncpg.connect(dsn)
    number = 0
    while True:
        number += 1
        await connection.execute(
            "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, wasender_session_id)"
            " VALUES ($1, '15551', $2, $3)",
            f"M{number}", f"at {time.monotonic_ns()}", INBOX,
        )  # fmt: skip
        await asyncio.sleep(EVERY_S)


async def make_files(state: Path, count: int, size: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A linked number, and messages with files that lie at the simulator whose state this is."""
    async with serving(state) as served:
        session = await served.create()
        await served.link(session["id"])
        elements = []
        for number in range(count):
            wish = {"from": f"1555000{number}", "media": {"kind": "document", "bytes": size + number}}
            reply = await served.control("POST", f"/sessions/{session['id']}/inbound", wish)
            assert reply.status == 200, reply.text
            elements.append(element_of(served, reply.data["key_id"]))
        return session, elements


def moved(element: dict[str, Any], base: str) -> dict[str, Any]:
    """The message with its file at another address of the same simulator."""
    part = element["message"]["documentMessage"]
    path = part["url"].partition("/simulator/files")[2]
    return {
        **element, "message": {"documentMessage": {**part, "url": f"{base}/simulator/files{path}"}}
    }  # fmt: skip


async def run(server: Server, folder: Path, count: int, size: int) -> Figures:
    """One measurement."""
    figures, state = Figures(), folder / "simulator.json"
    session, elements = await make_files(state, count, size)
    terminal = Terminal(folder / "simulator")
    (folder / "simulator").mkdir(exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(
            terminal.start("simulator", "--port", "0", env={"SIMULATOR_STATE": str(state)})
        )
        base = (await simulator.line(r"(http://[\d.:]+)"))[1].rstrip("/")
        place = await stack.enter_async_context(
            town(
                server,
                folder,
                ways=(READY_FRAMES,),
                wasender_base_url=base + "/api",
                wasender_token="1|account",
            )
        )
        db = await asyncpg.connect(place.dsn)
        stack.push_async_callback(db.close)
        await _add_sessions(db, session)
        listener = Listener(place.houses[0].child.url)
        tasks = [asyncio.create_task(listener.run()), asyncio.create_task(write_messages(place.dsn))]
        try:
            await asyncio.wait_for(listener.is_subscribed.wait(), 30)
            await _measure(place, listener, figures, session, [moved(item, base) for item in elements], db)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return figures


async def _measure(
    place: Town, listener: Listener, figures: Figures, session: dict[str, Any], elements: list[dict[str, Any]],
    db: asyncpg.Connection,
) -> None:  # fmt: skip
    child = place.houses[0].child
    await asyncio.sleep(2.0)
    listener.ages_ms.clear()
    await asyncio.sleep(BEFORE_S)
    figures.before_ms, listener.ages_ms = listener.ages_ms, []
    base_bytes = peak = child.rss_bytes()
    began = time.monotonic()
    headers = {"X-Webhook-Signature": session["webhook_secret"]}
    async with aiohttp.ClientSession(headers=headers) as http:
        for element in elements:
            body = {"event": "messages.received", "data": {"messages": element}}
            async with http.post(f"{child.url}/api/whatsapp/webhook/{session['id']}", json=body) as reply:
                assert reply.status == 200, await reply.text()
    while await db.fetchval("SELECT count(*) FROM gateway.media WHERE state = 'pending'"):
        peak = max(peak, child.rss_bytes())
        await asyncio.sleep(0.05)
    figures.took_s = time.monotonic() - began
    figures.during_ms = listener.ages_ms
    figures.grown_mib = (peak - base_bytes) / MIB
    rows = await db.fetch("SELECT state, count(*) AS n FROM gateway.media GROUP BY state")
    figures.states = {row["state"]: row["n"] for row in rows}


async def _add_sessions(db: asyncpg.Connection, session: dict[str, Any]) -> None:
    for number, key, secret in (
        (session["id"], session["api_key"], session["webhook_secret"]),
        (INBOX, "key-of-session-12-0123456789abcdef", "secret-of-session-12"),
    ):
        await db.execute(
            "INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number, status, api_key, webhook_secret)"
            " VALUES ($1, 'Shop', '+4915100000', 'connected', $2, $3)"
            " ON CONFLICT (wasender_session_id) DO UPDATE SET api_key = $2, webhook_secret = $3",
            number, key, secret,
        )  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.media_weight", description=__doc__)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--mb", type=int, default=100)
    options = parser.parse_args(arguments)
    with own_server() as server, tempfile.TemporaryDirectory(prefix="media-weight-") as folder:
        figures = asyncio.run(run(server, Path(folder), options.files, options.mb * 1_000_000))
    sys.stdout.write(figures.line() + "\n")
    return 0 if figures.states == {"stored": options.files} and figures.grown_mib < 64 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

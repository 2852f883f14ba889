"""Two people answer the same customers, at two gateways; one of them hears nothing for a minute.

`python -m tests.sending.colleagues_hunt --seeds 500`. A seed is one number with five customers, and two browsers of
three tabs each. A tab answers with `seen`: the position of the last event that it has heard. One browser's sockets are
cut off in the middle and come back later; its tabs go on answering all the while. The linked phone, and rows of the
shop's own code, answer too. Six seeds share two gateways. Held against the stream: in the order in which they were
committed, no answer was accepted whose author had not seen a colleague's answer that stands before it. The phone and
other programs take no lock of ours: of theirs, what was committed before the answer was asked for. The schedule is not
part of the seed.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import jwt
from websockets.exceptions import WebSocketException

from gateway.postgres.connection.pool import connect_direct
from tests.faults.sending import free_port
from tests.launcher.child import Child, client_of
from tests.launcher.running import Remote, Socket
from tests.launcher.settings import SECRET, WIDE
from tests.postgres_fixtures import FAST, clone, dismiss, serving_cluster
from tests.simulator.support import QUICK, Served, serving

AT_ONCE = 6
TABS = 3
CHATS = tuple(f"1555000222{number}" for number in range(5))
BEFORE_S, AFTER_S = 4.0, 6.0
PATIENCE_S = 60.0

# Answers of one session in the order of their commits; of each, who gave it and in which chat.
_ANSWERS = """
SELECT s.off, s.record ->> 'id' AS id, s.record ->> 'chat' AS chat, s.record ->> 'client_id' AS client_id,
    s.record ->> 'created_by_sub' AS sub,
    extract(epoch FROM pg_xact_commit_timestamp(s.xmin))::float8 AS committed_at
FROM gateway.stream AS s
WHERE s.inbox = $1 AND s.tbl = 'whatsapp_outgoing_messages' AND s.op = 'INSERT'
ORDER BY s.off
"""
_FROM_SQL = """
INSERT INTO whatsapp_outgoing_messages (wasender_session_id, client_id, chat, to_phone, message_text, status, origin)
VALUES ($1, $2, $3 || '@s.whatsapp.net', $3, $2, 'sent', 'api')
"""


@dataclass
class Tab:
    """One window of a person's: what it has heard, and what was made of its answers."""

    gateway: Remote
    session_id: int
    name: str
    token: str
    off: int = 0
    epoch: str = ""
    is_cut: bool = False
    asked: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Answers that may have been taken: up to where their author had seen, and when it asked."""
    accepted: set[str] = field(default_factory=set)
    verdicts: Counter[int] = field(default_factory=Counter)

    async def listen(self) -> None:
        """Follows the inbox, from where it was; while it is cut off it hears nothing."""
        while True:
            if self.is_cut:
                await asyncio.sleep(0.05)
                continue
            with contextlib.suppress(OSError, TimeoutError, WebSocketException):
                async with self.gateway.socket(self.token) as socket:
                    await self._follow(socket)

    async def _follow(self, socket: Socket) -> None:
        after = {"after": {"off": self.off, "epoch": self.epoch}} if self.epoch else {}
        await socket.send(type="subscribe", ref="1", topic=f"inbox:{self.session_id}", **after)
        while not self.is_cut:
            try:
                async with asyncio.timeout(0.2):
                    frame = json.loads(await socket.raw.recv())
            except TimeoutError:
                continue
            if frame["type"] in ("subscribed", "reset"):
                self.off, self.epoch = frame["off"], frame["epoch"]
            elif frame["type"] == "event":
                self.off = frame["off"]

    async def answer(self, words: str, chat: str) -> None:
        """One answer, given as what the tab has heard lets it be given."""
        if not self.epoch:
            return
        seen = self.off
        body = {"client_id": words, "text": words, "seen": {"off": seen, "epoch": self.epoch}}
        path = f"/api/conversations/{chat}/messages?session={self.session_id}"
        at = time.time()
        try:
            status, reply = await self.gateway.call("POST", path, body, token=self.token)
        except (aiohttp.ClientError, OSError):  # a person tries again; whether it was taken, the table says
            self.verdicts[0] += 1
            self.asked[words] = seen, at
            return
        self.verdicts[status] += 1
        if status == 202:
            self.asked[words] = seen, at
            self.accepted.add(words)
        elif status != 409 or reply["code"] != "newer_reply":
            raise AssertionError(f"{self.name}: {status} {reply}")


@dataclass
class Scene:
    """Two gateways on one database, and an upstream."""

    served: Served
    gateways: list[Remote]
    dsn: str


class Seed:
    """One number, its people and its customers."""

    def __init__(self, scene: Scene, number: int, cut_s: float) -> None:
        self._scene = scene
        self._number = number
        self._random = random.Random(number)
        self._cut_s = cut_s
        self._id = 0
        self._named = 0
        self.tabs: list[Tab] = []

    async def run(self) -> tuple[list[str], Counter[int]]:
        """Complaints, and what became of the answers."""
        db = await connect_direct(self._scene.dsn)
        try:
            return await self._run(db)
        finally:
            await db.close(timeout=5)

    async def _run(self, db: asyncpg.Connection) -> tuple[list[str], Counter[int]]:
        await self._open()
        pace_s = max(0.4, (self._cut_s + BEFORE_S + AFTER_S) / 30)
        ends_at = time.monotonic() + BEFORE_S + self._cut_s + AFTER_S
        async with asyncio.TaskGroup() as group:
            ears = [group.create_task(tab.listen(), name=tab.name) for tab in self.tabs]
            writers = [
                group.create_task(self._work(tab, ends_at, pace_s), name=tab.name) for tab in self.tabs
            ]
            writers.append(group.create_task(self._others(db, ends_at, pace_s * 2), name="others"))
            cut = group.create_task(self._cut(), name="cut")
            await asyncio.gather(*writers, cut)
            for ear in ears:
                ear.cancel()
        return await self._judged(db), sum((tab.verdicts for tab in self.tabs), Counter())

    async def _open(self) -> None:
        scene, first = self._scene, self._scene.gateways[0]
        wish = {
            "name": f"Seed {self._number}", "phone_number": f"+1555{self._number:07}", "account_protection": False,
            "log_messages": False,
        }  # fmt: skip
        self._id = int((await first.data("POST", "/api/whatsapp-sessions", wish))["id"])
        await scene.served.link(self._id)
        for chat in CHATS:
            hello = {"from": f"+{chat}", "text": "hello"}
            await scene.served.control("POST", f"/sessions/{self._id}/inbound", hello)
        for place, who in enumerate(("anna", "ben")):
            gateway = scene.gateways[place]
            token = _token(who)
            self.tabs += [Tab(gateway, self._id, f"{who} {tab}", token) for tab in range(TABS)]

    async def _work(self, tab: Tab, ends_at: float, pace_s: float) -> None:
        while time.monotonic() < ends_at:
            await asyncio.sleep(self._random.uniform(0, 2 * pace_s))
            await tab.answer(self._name(tab.name), self._random.choice(CHATS))

    async def _others(self, db: asyncpg.Connection, ends_at: float, pace_s: float) -> None:
        """The phone answers, and a program of the shop's."""
        while time.monotonic() < ends_at:
            await asyncio.sleep(self._random.uniform(0, 2 * pace_s))
            chat, words = self._random.choice(CHATS), self._name("other")
            if self._random.random() < 0.5:
                typed = {"from": f"+{chat}", "from_me": True, "text": words}
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    await self._scene.served.control("POST", f"/sessions/{self._id}/inbound", typed)
            else:
                await db.execute(_FROM_SQL, self._id, words, chat)

    async def _cut(self) -> None:
        await asyncio.sleep(BEFORE_S)
        away = self.tabs[:TABS] if self._random.random() < 0.5 else self.tabs[TABS:]
        for tab in away:
            tab.is_cut = True
        await asyncio.sleep(self._cut_s)
        for tab in away:
            tab.is_cut = False

    def _name(self, who: str) -> str:
        self._named += 1
        return f"{who} {self._number}/{self._named}"

    async def _judged(self, db: asyncpg.Connection) -> list[str]:
        """Against the order of commits: what each author had not seen."""
        rows = await db.fetch(_ANSWERS, self._id)
        asked = {words: (tab, *told) for tab in self.tabs for words, told in tab.asked.items()}
        complaints = []
        for place, row in enumerate(rows):
            if row["client_id"] not in asked:
                continue
            tab, seen, at = asked.pop(row["client_id"])
            missed = [
                other for other in rows[:place]
                if other["chat"] == row["chat"] and other["off"] > seen and other["sub"] != row["sub"]
                and (other["sub"] is not None or other["committed_at"] < at)
            ]  # fmt: skip
            complaints += [
                f"seed {self._number}: {row['client_id']} ({tab.name}, seen {seen}) stands at {row['off']}, behind"
                f" {other['client_id'] or 'the phone'} at {other['off']}"
                for other in missed
            ]
        lost = [words for words, (tab, *_) in asked.items() if words in tab.accepted]
        complaints += [f"seed {self._number}: {words} was accepted and is not there" for words in lost]
        return complaints


@contextlib.asynccontextmanager
async def opened(dsn: str, folder: Path) -> AsyncIterator[Scene]:
    """Two gateways and an upstream."""
    async with contextlib.AsyncExitStack() as stack:
        upstream = replace(QUICK, sends_per_minute=None, session_limit=10_000, max_waiting_webhooks=100_000)
        served = await stack.enter_async_context(serving(settings=upstream))
        port, gateways = free_port(), []
        for number in range(2):
            more: dict[str, Any] = {**WIDE, **({"port": port} if number == 0 else {})}
            child = Child(
                dsn, folder / f"gateway-{number}", wasender_base_url=served.base,
                wasender_token=served.simulator.account_token, public_url=f"http://127.0.0.1:{port}",
                media_url=(folder / "media").absolute().as_uri(), **more,
            )  # fmt: skip
            stack.push_async_callback(child.stop)
            await child.start()
            gateways.append(await stack.enter_async_context(client_of(child)))
        yield Scene(served, gateways, dsn)


async def hunt(dsn: str, folder: Path, seeds: range, cut_s: float) -> list[str]:
    """All complaints."""
    complaints: list[str] = []
    async with opened(dsn, folder) as scene:
        for first in range(seeds.start, seeds.stop, AT_ONCE):
            group = [Seed(scene, number, cut_s) for number in range(first, min(first + AT_ONCE, seeds.stop))]
            done = await asyncio.gather(*(seed.run() for seed in group))
            found = [line for lines, _ in done for line in lines]
            verdicts = sum((counted for _, counted in done), Counter[int]())
            complaints += found
            _say(
                f"seeds {first}–{first + len(group) - 1}: {verdicts[202]} accepted, {verdicts[409]} told of a newer"
                f" answer, {len(found)} had not seen one"
            )
    return complaints


def _token(who: str) -> str:
    claims = {"sub": who, "name": who, "role": "agent", "sessions": "*", "exp": int(time.time() + 7200)}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sending.colleagues_hunt", description=__doc__)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--cut-s", type=float, default=60.0)
    options = parser.parse_args()
    with (
        serving_cluster({**FAST, "track_commit_timestamp": "on"}) as server,
        tempfile.TemporaryDirectory(prefix="gateway-colleagues-") as folder,
    ):
        try:

            async def all_of_it() -> list[str]:
                async with clone(server, "migrated") as dsn:
                    numbers = range(options.first, options.first + options.seeds)
                    return await hunt(dsn, Path(folder), numbers, options.cut_s)

            complaints = asyncio.run(all_of_it())
        finally:
            dismiss(server)
    for line in complaints:
        _say(line)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())

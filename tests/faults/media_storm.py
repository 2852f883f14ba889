"""Files under fire: `python -m tests.faults.media_storm --files 1000`.

Two gateways fetch files of all kinds from the simulator's file host, which refuses, cuts, and hands out wrong keys and
wrong files; WasenderAPI fails, too, and the gateways are killed (-9) again and again. Meanwhile a client asks for every
file it knows of. In the end each file is in the store, equal by its hash to what was sent, or `lost` for a reason that
was really so; nothing that was ever served was anything else than the file.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from gateway.domain.media import KINDS
from tests.faults.server import Server, own_server
from tests.faults.town import Town, town
from tests.launcher.child import READY_FRAMES
from tests.launcher.running import mint
from tests.launcher.settings import SECRET
from tests.little_files import LITTLE
from tests.realtime.live import until
from tests.simulator.support import Served, serving

TROUBLES: tuple[tuple[dict[str, Any], int], ...] = (
    ({}, 50),
    ({"status": 403}, 6),
    ({"status": 404}, 6),
    ({"status": 410}, 6),
    ({"troubles": ["wrong_key"]}, 5),
    ({"troubles": ["wrong_hash"]}, 5),
    ({"troubles": ["changed"]}, 3),
    ({"troubles": ["wrong_enc_hash"]}, 3),
    ({"troubles": ["no_hashes"]}, 4),
    ({"troubles": ["redirect"]}, 4),
    ({"troubles": ["endless"]}, 3),
    ({"troubles": ["lost"]}, 5),
)
"""What may be odd about a file, and how often."""

MAY_BE_LOST = frozenset({"wrong_key", "wrong_hash", "changed", "lost"})
PATIENCE_S = 240.0
KILL_EVERY_S = 2.5


@dataclass
class Sent:
    """A file that was sent, with what has to become of it."""

    key: str
    sha256: str
    may_be_lost: bool
    element: dict[str, Any]


@dataclass
class Outcome:
    stored: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    served: int = 0
    kills: int = 0
    took_s: float = 0.0
    complaints: list[str] = field(default_factory=list)

    def line(self) -> str:
        lost = sum(self.lost.values())
        return (
            f"{self.stored + lost} files in {self.took_s:.0f} s: {self.stored} stored and equal, {lost} lost for a "
            f"reason, {self.kills} kills, {self.served} answers with a file, {len(self.complaints)} complaints"
        )


class Storm:
    """One run over a town whose upstream is a simulator."""

    def __init__(self, place: Town, served: Served, http: aiohttp.ClientSession, dice: random.Random) -> None:
        self.place = place
        self.served = served
        self.http = http
        self.dice = dice
        self.sent: dict[str, Sent] = {}
        self.outcome = Outcome()
        self.session: dict[str, Any] = {}

    # ------------------------------------------------------------------------------------------ the files

    async def link(self, db: asyncpg.Connection) -> None:
        """A number that is linked at the simulator and known to the gateways."""
        self.session = await self.served.create()
        await self.served.link(self.session["id"])
        await db.execute(
            "INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number, status, api_key, webhook_secret)"
            " VALUES ($1, 'Shop', '+4915100000', 'connected', $2, $3)"
            " ON CONFLICT (wasender_session_id) DO UPDATE SET api_key = $2, webhook_secret = $3, status = 'connected'",
            self.session["id"], self.session["api_key"], self.session["webhook_secret"],
        )  # fmt: skip

    async def make(self, number: int) -> Sent:
        """A file at the simulator, and the message that tells of it."""
        content = self._content()
        (trouble,) = self.dice.choices([item for item, _ in TROUBLES], [weight for _, weight in TROUBLES])
        media = {"kind": self.dice.choice(KINDS), "base64": base64.b64encode(content).decode(), **trouble}
        wish = {"from": f"1555{number % 50:07d}", "media": media}
        reply = await self.served.control("POST", f"/sessions/{self.session['id']}/inbound", wish)
        assert reply.status == 200, reply.text
        key = reply.data["key_id"]
        element = element_of(self.served, key)
        may_be_lost = bool(MAY_BE_LOST & set(trouble.get("troubles", ())))
        return Sent(key, hashlib.sha256(content).hexdigest(), may_be_lost, element)

    def _content(self) -> bytes:
        """Some files come twice; most are small, some are in many pieces."""
        if self.dice.random() < 0.05:
            return LITTLE[self.dice.choice(sorted(LITTLE))].content
        return self.dice.randbytes(self.dice.choice((1, 700, 5_000, 40_000, 700_000)))

    async def tell(self, sent: Sent) -> None:
        """The webhook, until it is taken."""
        body = {"event": "messages.received", "data": {"messages": sent.element}}
        headers = {"X-Webhook-Signature": self.session["webhook_secret"]}
        while True:
            house = self.dice.choice(self.place.houses)
            try:
                async with self.http.post(
                    f"{house.url}/api/whatsapp/webhook/{self.session['id']}", json=body, headers=headers,
                    timeout=aiohttp.ClientTimeout(total=5),
                ) as reply:  # fmt: skip
                    if reply.status == 200:
                        return
                    assert reply.status in (502, 503), (reply.status, await reply.text())
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            await asyncio.sleep(0.1)

    async def send(self, files: int) -> None:
        """All files, eight at once."""
        gate = asyncio.Semaphore(8)

        async def one(number: int) -> None:
            async with gate:
                sent = await self.make(number)
                self.sent[sent.key] = sent
                await self.tell(sent)

        await asyncio.gather(*(one(number) for number in range(files)))

    # ------------------------------------------------------------------------------------------ the troubles

    async def trouble(self) -> None:
        """Kills gateways, resets connections to the file host, fails at WasenderAPI, until it is cancelled."""
        while True:
            await asyncio.sleep(KILL_EVERY_S * self.dice.random())
            fault = self.dice.choice(
                (
                    {"path": "/files", "drop": "before", "times": 5},
                    {"path": "/files", "status": 503, "times": 5},
                    {"path": "/decrypt-media", "status": 500, "times": 3},
                    {"path": "/decrypt-media", "drop": "after", "times": 2},
                    {"path": "/decrypt-media", "status": 429, "retry_after": 1, "times": 2},
                )
            )
            await self.served.control("POST", "/faults", fault)
            house = self.dice.choice(self.place.houses)
            if house.child.runs:
                await house.child.kill()
                self.outcome.kills += 1
                await house.child.start_when_possible()

    async def watch(self, db: asyncpg.Connection) -> None:
        """Asks for files all the while: whatever is given has to be the file."""
        while True:
            rows = await db.fetch(
                "SELECT media ->> 'id' AS id, wa_key_id AS key FROM whatsapp_incoming_messages WHERE media IS NOT NULL"
                " ORDER BY random() LIMIT 20"
            )
            for row in rows:
                await self.check(row["id"], self.sent.get(row["key"]))
            await asyncio.sleep(0.05)

    async def check(self, media_id: str, sent: Sent | None) -> int | None:
        """The status of the answer; a body that is not the file is a complaint."""
        house = self.dice.choice(self.place.houses)
        headers = {"Authorization": f"Bearer {mint(SECRET)}"}
        try:
            async with self.http.get(
                f"{house.url}/api/media/{media_id}", headers=headers, timeout=aiohttp.ClientTimeout(total=20)
            ) as reply:
                body = await reply.read()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None
        if reply.status == 200 and sent is not None:
            self.outcome.served += 1
            if hashlib.sha256(body).hexdigest() != sent.sha256:
                self.outcome.complaints.append(f"{sent.key}: what was served is not the file")
        return reply.status

    # ------------------------------------------------------------------------------------------ the end

    async def settle(self, db: asyncpg.Connection) -> None:
        """Everything is well again: nothing may stay pending."""
        await self.served.control("DELETE", "/faults")
        for house in self.place.houses:
            if not house.child.runs:
                await house.child.start_when_possible()
        async with asyncio.timeout(PATIENCE_S):
            while await db.fetchval("SELECT count(*) FROM gateway.media WHERE state = 'pending'"):
                # Back-off would make this a matter of hours; what is under way is left alone.
                await db.execute(
                    "UPDATE gateway.media SET due_at = now() WHERE state = 'pending' AND error IS NOT NULL"
                    " AND due_at > now() + interval '61 seconds'"
                )
                await asyncio.sleep(0.5)

    async def judge(self, db: asyncpg.Connection) -> None:
        """Each file by itself."""
        rows = await db.fetch("SELECT wa_key_id AS key, media FROM whatsapp_incoming_messages")
        told = {row["key"]: _json(row["media"]) for row in rows}
        for sent in self.sent.values():
            media = told.get(sent.key)
            if media is None:
                self.outcome.complaints.append(f"{sent.key}: its message has no file")
            elif media["state"] == "lost":
                self.outcome.lost[media["reason"]] += 1
                if not sent.may_be_lost or not media["reason"]:
                    self.outcome.complaints.append(
                        f"{sent.key}: lost, and need not be: {media.get('reason')}"
                    )
            elif await self.check(media["id"], sent) != 200:
                self.outcome.complaints.append(f"{sent.key}: {media['state']}, and not served")
            else:
                self.outcome.stored += 1


def element_of(served: Served, key: str) -> dict[str, Any]:
    """The message that the simulator has made, as its webhook tells it."""
    known = served.simulator.engine.world.received[key]
    return {name: known[name] for name in ("key", "message", "messageTimestamp")}


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


async def run(server: Server, folder: Path, files: int, seed: int, kills: int = 2) -> Outcome:
    """One storm, with so many kills at least. The complaints say what was wrong."""
    began, dice = time.monotonic(), random.Random(seed)
    async with contextlib.AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving())
        place = await stack.enter_async_context(
            town(
                server, folder, ways=(READY_FRAMES, READY_FRAMES),
                wasender_base_url=served.base + "/api", wasender_token=served.simulator.account_token,
            )
        )  # fmt: skip
        http = await stack.enter_async_context(aiohttp.ClientSession())
        db, watching = [await stack.enter_async_context(_connected(place.dsn)) for _ in range(2)]
        storm = Storm(place, served, http, dice)
        await storm.link(db)
        others = [asyncio.create_task(storm.trouble()), asyncio.create_task(storm.watch(watching))]
        try:
            await storm.send(files)
            await until(lambda: storm.outcome.kills >= kills, "the gateways were killed")
        finally:
            for task in others:
                task.cancel()
            ended = await asyncio.gather(*others, return_exceptions=True)
        storm.outcome.complaints += [repr(item) for item in ended if isinstance(item, Exception)]
        await storm.settle(db)
        await storm.judge(db)
        storm.outcome.took_s = time.monotonic() - began
        return storm.outcome


@contextlib.asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.media_storm", description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with own_server() as server, tempfile.TemporaryDirectory(prefix="media-storm-") as folder:
        outcome = asyncio.run(run(server, Path(folder), options.files, options.seed))
    sys.stdout.write(outcome.line() + "\n")
    for reason, count in outcome.lost.most_common():
        sys.stdout.write(f"  {count} × {reason}\n")
    for complaint in outcome.complaints[:20]:
        sys.stdout.write(f"  ! {complaint}\n")
    return 1 if outcome.complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The hunt: seeded trouble, and an oracle. `python -m tests.faults.hunt --seed 7` or `--seeds 200`.

A seed says what is tried: one or two gateways, writers through webhooks and through plain SQL, stories (forged edits,
placeholders, what comes early, LIDs; `stories.py`), browsers that come, go and stall, and four to ten troubles within
some seconds, of which one may be a dump that is restored (`restores.py`). Afterwards everything is well again, no
webhook waits in a spool, and then what each browser shows must be what the tables hold: nothing acknowledged is lost,
no gap, no double, no reordering within an inbox, no reset but one per restore, bounded memory. The schedule of the
processes is not part of the seed, so run a failing one several times.
"""

import argparse
import asyncio
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from tests.faults import oracle, troubles
from tests.faults.browser import Browser
from tests.faults.ledger import Ledger
from tests.faults.library import LibraryBrowser
from tests.faults.reloading import keep_loaded
from tests.faults.restores import Restores
from tests.faults.server import Server, own_server
from tests.faults.stories import Stories, Teller
from tests.faults.town import Town, town
from tests.faults.writers import ODD_COLUMNS, Sender, ShopWriter, add_session, send_webhooks
from tests.launcher.child import PLAIN_ASGI, READY_FRAMES
from tests.launcher.running import mint
from tests.launcher.settings import SECRET

INBOXES = range(1, 4)
TELLERS = 8
TROUBLE_S = 4.0
SETTLE_S = 40.0
"""A generous end: a half-open connection may be found out only after some seconds, one after the other."""
REPLAY_S = 0.03
"""More for each webhook in a spool: a restore that waits for locks for half a minute leaves thousands there."""
SMALL_BYTES = 65536
"""What the network keeps of what a client does not read: the rest is the gateway's problem."""

MAX_RSS_BYTES = 260 << 20
WHOLE_S = 180.0
"""On a busy machine a gateway takes ten seconds to start, and a seed may start it five times."""


_HELD_UP = re.compile(
    r"spool\.refused .*its disk does not answer|uvicorn\.error Cancel \d+ running task.s., timeout graceful shutdown"
)
"""A gateway that was frozen, or that the machine let wait, finds its disk slow: the webhook goes back to its sender and
comes again. That it is not lost is judged by its acknowledgement. One that is stopped while a Postgres answers nothing
tells those who still wait to come again."""


@dataclass
class Report:
    seed: int
    plan: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    stage: str = "the gateways start"
    """What it is at."""
    said: str = ""
    """What the gateways wrote into their logs."""
    happened: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    told: int = 0
    events: int = 0
    doubles: int = 0
    connections: int = 0
    rss_mb: int = 0
    took_s: float = 0.0
    settled_s: float = 0.0

    def line(self) -> str:
        verdict = "ok    " if not self.complaints else "FAILED"
        return (
            f"seed {self.seed:>5} {verdict} {self.took_s:5.1f} s (settled in {self.settled_s:4.1f}), {self.kept} kept, "
            f"{self.told} told, {self.events} shown, {self.connections} connections, "
            f"{self.doubles} doubles dropped, {self.rss_mb} MB"
        )

    def whole(self) -> str:
        return "\n".join([self.line(), *(f"    {item}" for item in [*self.plan, *self.complaints[:20]])])


async def hunt(seed: int, server: Server, folder: Path) -> Report:
    """One seed, from an empty database to the verdict."""
    dice = random.Random(seed)
    report = Report(seed)
    started = time.monotonic()
    ways = tuple(dice.sample((READY_FRAMES, PLAIN_ASGI), k=dice.choice((1, 2))))
    try:
        async with (
            asyncio.timeout(WHOLE_S),
            town(server, folder, ways=ways, dice=dice, client_buffer=SMALL_BYTES, probe_s=1.0) as place,
        ):
            try:
                await Hunt(place, dice, report, folder).run()
            finally:
                report.said = "\n".join(house.child.said() for house in place.houses)
    except TimeoutError:
        report.complaints.append(f"it did not come to an end: {report.stage}")
    except Exception as error:
        report.complaints.append("".join(traceback.format_exception(error)))
    report.complaints += [
        line
        for line in report.said.splitlines()
        if ("Traceback" in line or " ERROR " in line) and not _HELD_UP.search(line)
    ]
    report.took_s = time.monotonic() - started
    return report


class Hunt:
    """Who takes part, and the order of things."""

    def __init__(self, place: Town, dice: random.Random, report: Report, folder: Path) -> None:
        self._place = place
        self._dice = dice
        self._report = report
        self._ledger = Ledger(events=report.happened)
        self._stories = Stories()
        self._restores = Restores(place, folder, self._ledger, self._stories)
        self._stop = asyncio.Event()
        token = mint(SECRET)
        self.from_the_beginning = [
            self._browser(f"whole {n}", token, after={}, states=True) for n in range(3)
        ]
        self.from_now = [self._browser(f"late {n}", token) for n in range(2)]
        self.of_one = [
            self._browser(f"inbox {inbox}", token, topics=(f"inbox:{inbox}",)) for inbox in INBOXES
        ]
        home = self._dice.choice(place.houses).url
        self.library = LibraryBrowser("library", lambda: home, token, after={})
        self.browsers = [*self.from_the_beginning, *self.from_now, *self.of_one, self.library]

    def _browser(self, name: str, token: str, **more: object) -> Browser:
        houses = self._place.houses
        return Browser(name, lambda: self._dice.choice(houses).url, token, **more)  # type: ignore[arg-type]

    async def run(self) -> None:
        connection = await asyncpg.connect(self._place.dsn)
        try:
            for inbox in INBOXES:
                await add_session(connection, inbox)
            await connection.execute(ODD_COLUMNS)
        finally:
            await connection.close()
        plan = troubles.plan(self._dice, len(self._place.houses), TROUBLE_S)
        self._report.plan = [f"{len(self._place.houses)} gateways", *map(str, plan)]
        scene = troubles.Scene(self._place, self.browsers, self._restores)
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
            seen = [
                group.create_task(browser.run(lambda: self._dice.random() * 0.3), name=browser.name)
                for browser in self.browsers
            ]
            writers = [group.create_task(job, name=name) for name, job in self._writers(http).items()]
            loaders = [
                group.create_task(keep_loaded(browser, http), name="loader") for browser in self.browsers
            ]
            watch = group.create_task(self._watch_memory(), name="memory")
            self._report.stage = "the troubles"
            await troubles.make(scene, plan)
            for wire in self._place.wires:
                wire.heal()
            self._stop.set()
            await self._end(writers)
            began = time.monotonic()
            await self._settle(http)
            self._report.settled_s = time.monotonic() - began
            for task in (*seen, *loaders, watch):
                task.cancel()

    def _writers(self, http: aiohttp.ClientSession) -> dict[str, Coroutine[Any, Any, None]]:
        houses = self._place.houses
        jobs: dict[str, Coroutine[Any, Any, None]] = {}
        for number in range(6):
            house = houses[number % len(houses)]
            sender = Sender(lambda at=house: at.url, http, self._dice.choice(INBOXES))  # type: ignore[misc]
            dice = random.Random(self._dice.random())
            jobs[f"webhooks {number}"] = send_webhooks(
                sender, self._ledger, dice, str(number), self._stop, is_ordered=True
            )
        for number in range(3):
            dice = random.Random(self._dice.random())
            writer = ShopWriter(lambda: self._place.dsn, self._ledger, dice, str(number), is_odd=True)
            jobs[f"shop {number}"] = writer.write(INBOXES, self._stop)

        def senders(inbox: int) -> list[Sender]:
            return [Sender(lambda at=house: at.url, http, inbox) for house in houses]  # type: ignore[misc]

        for number in range(TELLERS):
            teller = Teller(
                senders, self._stories, self._ledger, random.Random(self._dice.random()), str(number)
            )
            jobs[f"teller {number}"] = teller.tell(INBOXES, self._stop)
        return jobs

    async def _end(self, writers: Sequence[asyncio.Task[None]]) -> None:
        pending = set(writers)
        while pending:
            self._report.stage = f"these write still: {sorted(task.get_name() for task in pending)}"
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        self._report.stage = "it settles"

    async def _watch_memory(self) -> None:
        while True:
            most = max(house.child.rss_bytes() for house in self._place.houses)
            self._report.rss_mb = max(self._report.rss_mb, most >> 20)
            await asyncio.sleep(0.2)

    # ------------------------------------------------------------------------------------------ verdict

    async def _settle(self, http: aiohttp.ClientSession) -> None:
        """Waits until no webhook waits in a spool, and everything acknowledged is stored and shown; then compares."""
        connection = await asyncpg.connect(self._place.dsn)
        try:
            truth, waiting = await oracle.look(connection), await self._waiting(http)
            try:
                async with asyncio.timeout(SETTLE_S + waiting * REPLAY_S):
                    while waiting or not self._is_settled(truth):
                        await asyncio.sleep(0.1)
                        # In this order: what has left a spool is in the tables.
                        waiting = await self._waiting(http)
                        truth = await oracle.look(connection)
            except TimeoutError:
                self._report.complaints.append("not everything was stored and shown in the end")
                if waiting:
                    self._report.complaints.append(f"{waiting} webhooks wait in a spool still")
                self._report.complaints += [
                    f"{browser.name}: subscribed {browser.is_subscribed}, stale {browser.is_stale}, {browser.offs}"
                    + (f", not loaded: {browser.unloaded}, {browser.not_loaded}" if browser.unloaded else "")
                    for browser in self.browsers
                ]
        finally:
            await connection.close()
        self._judge(truth)

    async def _waiting(self, http: aiohttp.ClientSession) -> int:
        """Webhooks in the spools, as the gateways say."""
        count = 0
        for house in self._place.houses:
            try:
                async with http.get(
                    f"{house.child.url}/readyz", timeout=aiohttp.ClientTimeout(total=2)
                ) as reply:
                    count += int((await reply.json()).get("spooled", 0))
            except (aiohttp.ClientError, OSError, TimeoutError):
                count += 1  # it cannot say
        return count

    def _is_settled(self, truth: oracle.Staleness) -> bool:
        if self._ledger.complaints(truth.stored()) or self._stories.complaints(
            truth.facts, self._ledger.restores
        ):
            return False
        return all(
            truth.is_shown_by(browser, self._inboxes_of(browser))
            and not browser.is_stale
            and not (browser in self.from_the_beginning and truth.complaints_about_states(browser))
            for browser in self.browsers
        )

    def _inboxes_of(self, browser: Browser) -> list[int]:
        return [int(browser.name[6:])] if browser in self.of_one else list(INBOXES)

    def _judge(self, truth: oracle.Staleness) -> None:
        report, complaints = self._report, self._report.complaints
        complaints += truth.complaints(self._ledger)
        complaints += self._stories.complaints(truth.facts, self._ledger.restores)
        complaints += self._restores.complaints
        for browser in self.browsers:
            whole = browser in self.from_the_beginning
            rows = whole or browser is self.library
            restores = self._ledger.resets_allowed
            complaints += truth.complaints_about(
                browser, self._inboxes_of(browser), rows=rows, restores=restores
            )
            report.happened["reset of an inbox shown by a client"] += len(browser.resets)
            if whole:
                complaints += truth.complaints_about_states(browser)
        if report.rss_mb > MAX_RSS_BYTES >> 20:
            complaints.append(f"a gateway grew to {report.rss_mb} MB")
        report.told = len(self._stories.told)
        report.kept = self._ledger.count("kept")
        report.events = sum(len(events) for browser in self.browsers for events in browser.shown.values())
        report.doubles = sum(browser.doubles for browser in self.browsers)
        report.connections = sum(browser.connections for browser in self.browsers)


# ---------------------------------------------------------------------------------------------- command


def hunt_all(seeds: Sequence[int], logs: Path) -> list[int]:
    """The seeds that failed; what their gateways said is kept in `logs`, and how often what happened so far."""
    failed, happened = [], Counter[str]()
    with own_server() as server:
        for seed in seeds:
            with tempfile.TemporaryDirectory(prefix="hunt-") as folder:
                report = asyncio.run(hunt(seed, server, Path(folder)))
            happened += report.happened
            print(report.whole() if report.complaints else report.line(), flush=True)  # noqa: T201
            logs.mkdir(parents=True, exist_ok=True)
            (logs / "happened").write_text(_table(happened))
            if report.complaints:
                failed.append(seed)
                (logs / f"{seed}.log").write_text(f"{report.whole()}\n\n{report.said}")
    print(_table(happened), end="")  # noqa: T201
    return failed


def _table(happened: Counter[str]) -> str:
    return "".join(f"{count:>8} {event}\n" for event, count in happened.most_common())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--seeds", type=int, default=1, help="run so many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--logs", type=Path, default=Path("hunt-logs"), help="where logs of failed seeds go")
    given = parser.parse_args()
    first, count = (given.first, given.seeds) if given.seed is None else (given.seed, 1)
    failed = hunt_all(range(first, first + count), given.logs)
    print(f"{count - len(failed)} of {count} seeds passed. Failed: {failed or 'none'}")  # noqa: T201
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

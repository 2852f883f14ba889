"""One webhook, now: what a shop sees nearly always. Ours beside the usual design on the same Postgres, in turn.

The next webhook is sent when the viewer has the last one and both processes have come to rest, so nothing is joined.
The gateway's CPU and Postgres' are counted apart; what a gateway does at rest in that time is part of it.
"""

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from tests.benchmarks import machine
from tests.benchmarks.crowd import Crowd, Manners, text
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import MANNERS, name_of
from tests.benchmarks.machine import median, quantile
from tests.benchmarks.peers import naive
from tests.benchmarks.senders import SECRET, WebhookAuthenticator, session_row, webhook
from tests.benchmarks.served import Served

PART = "lone"
REST_S = 0.02
WARM_UP = 30
TEXT_BYTES = 60


@dataclass
class Way:
    """One way to keep and tell a webhook, with one viewer, and what it cost round by round (µs; ms)."""

    process: Served
    port: int
    manners: Manners
    gateway: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)

    def measure(self, run: Run, count: int, number: int) -> int:
        """Sends `count` webhooks one by one; returns the next number."""
        database = run.ground.server.pid or 0
        crowd = Crowd(self.port, self.manners, lambda _: "inbox:1")
        with closing(crowd), closing(WebhookAuthenticator(self.port, 1)) as sender:
            crowd.grow_to(1)
            number = self._send(sender, crowd, WARM_UP, number)[1]
            before = self.process.cpu_s(), machine.cpu_s(database)
            took, number = self._send(sender, crowd, count, number)
            self.gateway.append((self.process.cpu_s() - before[0]) / count * 1e6)
            self.postgres.append((machine.cpu_s(database) - before[1]) / count * 1e6)
        self.first.append(quantile(took, 0.5))
        self.last.append(quantile(took, 0.99))
        return number

    def _send(
        self, sender: WebhookAuthenticator, crowd: Crowd, count: int, number: int
    ) -> tuple[list[float], int]:
        took = []
        for _ in range(count):
            request = webhook(1, text(number, TEXT_BYTES))
            begun = time.monotonic()
            sender.send([request])
            took.append(1000 * (crowd.collect(1) - begun))
            time.sleep(REST_S)
            number += 1
        return took, number


def run_part(run: Run) -> None:
    ways: dict[str, Way] = {}
    with ExitStack() as stack:
        for name in ("naive", "ours"):
            dsn = stack.enter_context(run.ground.database())
            if name == "ours":
                run.ground.execute(name_of(dsn), session_row(1))
                process, port = stack.enter_context(run.ground.gateway(dsn))
                ways[name] = Way(process, port, MANNERS)
            else:
                run.ground.execute(name_of(dsn), *naive.TABLE)
                peer = stack.enter_context(Served.python("tests.benchmarks.peers.naive", dsn, SECRET))
                ways[name] = Way(peer, int(peer.wait_for(r"ready (\d+)")[1]), Manners())
        number = 1
        for _ in range(run.size.rounds):
            for way in ways.values():
                number = way.measure(run, run.size.lone, number)
    bare, ours = ways["naive"], ways["ours"]
    note = "µs of the gateway and of Postgres; ms until the viewer has it"
    run.add(PART, "a webhook, the usual design", median(bare.gateway) + median(bare.postgres), "µs CPU",
            note=_note(bare) + f": {note}")  # fmt: skip
    both = [
        (mine + its) / (theirs + their)
        for mine, its, theirs, their in zip(
            ours.gateway, ours.postgres, bare.gateway, bare.postgres, strict=True
        )
    ]
    run.add(PART, "a webhook, gateway", median(ours.gateway) + median(ours.postgres), "µs CPU",
            f"{median(both):.2f} × the usual design (≤ 1.3)", is_met=median(both) <= 1.3, note=_note(ours))  # fmt: skip


def _note(way: Way) -> str:
    return (
        f"{median(way.gateway):.0f} + {median(way.postgres):.0f} µs; p50 {median(way.first):.2f} ms,"
        f" p99 {median(way.last):.2f} ms"
    )

"""Webhooks acknowledged after their commit: ours, one INSERT per request, and the same endpoint without a database.

All three are served at the same time and asked in turn, so that what else the machine does meets all of them; a ratio
is the median of the rounds' ratios.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import name_of
from tests.benchmarks.machine import median
from tests.benchmarks.senders import WebhookAuthenticator, session_row, webhook
from tests.benchmarks.served import Served

PART = "webhooks"
SESSIONS = 20
WARM_UP = 500


@dataclass
class Way:
    """One way to keep webhooks, in a process of its own, and what it did round by round."""

    name: str
    process: Served
    port: int
    senders: int
    count: int
    """Webhooks per round: about a second's worth."""
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    def send(self, count: int) -> float:
        """Seconds until so many have been acknowledged."""
        requests = [webhook(number % SESSIONS + 1) for number in range(count)]
        # Connected anew: a server closes what has been idle while the others had their turn.
        senders = WebhookAuthenticator(self.port, self.senders)
        try:
            return senders.send(requests)
        finally:
            senders.close()

    def measure(self) -> None:
        before = self.process.cpu_s()
        took = self.send(self.count)
        self.costs.append((self.process.cpu_s() - before) / self.count * 1e6)
        self.rates.append(self.count / took)

    def report(self, run: Run, target: str = "", *, is_met: bool | None = None) -> None:
        note = f"{median(self.costs):.0f} µs CPU"
        run.add(PART, self.name, median(self.rates), "requests/s", target, is_met=is_met, note=note)


def _way(run: Run, stack: ExitStack, name: str, ingest: str, count: int) -> Way:
    dsn = stack.enter_context(run.ground.database())
    run.ground.execute(name_of(dsn), *map(session_row, range(1, SESSIONS + 1)))
    module = "tests.benchmarks.variants" if ingest else "gateway"
    more = {"BENCH_INGEST": ingest} if ingest else {}
    process, port = stack.enter_context(run.ground.gateway(dsn, module, more))
    return Way(name, process, port, run.size.senders, count)


def run_part(run: Run) -> None:
    count = run.size.webhooks
    with ExitStack() as stack:
        one = _way(run, stack, "one INSERT per request", "one", count // 4)
        none = _way(run, stack, "the same endpoint without a database", "none", count)
        ours = _way(run, stack, "gateway", "", count)
        ways = (one, none, ours)
        for way in ways:
            way.send(min(way.count, WARM_UP))
        for _ in range(run.size.rounds):
            for way in ways:
                way.measure()
    times, share = (
        median(mine / theirs for mine, theirs in zip(ours.rates, other.rates, strict=True))
        for other in (one, none)
    )
    one.report(run)
    none.report(run)
    ours.report(
        run,
        f"{times:.1f} × one by one (≥ 4); {share:.2f} of no database (≥ 0.5)",
        is_met=times >= 4 and share >= 0.5,
    )

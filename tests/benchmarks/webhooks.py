"""Webhooks acknowledged after their commit: ours, one INSERT per request, and the same endpoint without a database."""

from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import name_of
from tests.benchmarks.machine import median
from tests.benchmarks.senders import Senders, session_row, webhook
from tests.benchmarks.served import Served

PART = "webhooks"
SESSIONS = 20


def _rate(run: Run, process: Served, port: int, count: int) -> tuple[float, float]:
    """Webhooks per second, and server CPU in µs for each; medians of the rounds."""
    senders = Senders(port, run.size.senders)
    rates, costs = [], []
    try:
        senders.send([webhook(number % SESSIONS + 1) for number in range(min(count, 500))])
        for _ in range(run.size.rounds):
            requests = [webhook(number % SESSIONS + 1) for number in range(count)]
            before = process.cpu_s()
            took = senders.send(requests)
            costs.append((process.cpu_s() - before) / count * 1e6)
            rates.append(count / took)
    finally:
        senders.close()
    return median(rates), median(costs)


def run_part(run: Run) -> None:
    found: dict[str, float] = {}
    ways = {
        "one INSERT per request": ("one", run.size.webhooks // 2),
        "the same endpoint without a database": ("none", run.size.webhooks * 2),
        "gateway": ("", run.size.webhooks),
    }
    for name, (way, count) in ways.items():
        with run.ground.database() as dsn:
            run.ground.execute(name_of(dsn), *map(session_row, range(1, SESSIONS + 1)))
            module = "tests.benchmarks.variants" if way else "gateway"
            with run.ground.gateway(dsn, module, {"BENCH_INGEST": way} if way else {}) as (process, port):
                found[name], cost = _rate(run, process, port, count)
        if name != "gateway":
            run.add(PART, name, found[name], "requests/s", note=f"{cost:.0f} µs CPU")
            continue
        times = found[name] / found["one INSERT per request"]
        share = found[name] / found["the same endpoint without a database"]
        run.add(
            PART,
            name,
            found[name],
            "requests/s",
            f"{times:.1f} × one by one (≥ 4); {share:.2f} of no database (≥ 0.5)",
            is_met=times >= 4 and share >= 0.5,
            note=f"{cost:.0f} µs CPU",
        )

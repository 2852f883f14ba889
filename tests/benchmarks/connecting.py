"""A socket that connects, is authenticated and subscribes: the gateway's CPU for each, and whether it grows with those
that are there."""

from contextlib import ExitStack, closing

from tests.benchmarks.crowd import Crowd
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import MANNERS
from tests.benchmarks.machine import median

PART = "connecting"
LIMIT_US = 180
STEP = 500


def run_part(run: Run) -> None:
    size = run.size
    costs: dict[int, list[float]] = {}
    with ExitStack() as stack:
        dsn = stack.enter_context(run.ground.database())
        process, port = stack.enter_context(run.ground.gateway(dsn))
        for _ in range(size.rounds):
            with closing(Crowd(port, MANNERS, lambda _: "inbox:1")) as crowd:
                while len(crowd) < size.connecting:
                    step = min(STEP, size.connecting - len(crowd))
                    before = process.cpu_s()
                    crowd.grow_to(len(crowd) + step)
                    costs.setdefault(len(crowd), []).append((process.cpu_s() - before) / step * 1e6)
    few, many = median(costs[min(costs)]), median(costs[max(costs)])
    run.add(PART, f"the first {min(costs):,}", few, "µs CPU each", f"≤ {LIMIT_US} µs", is_met=few <= LIMIT_US)
    run.add(PART, f"the last of {max(costs):,}", many, "µs CPU each",
            f"{many / few:.2f} × the first (≤ 1.25)", is_met=many <= 1.25 * few)  # fmt: skip

"""Growth: what a delivery costs with more and more connections on one gateway."""

from tests.benchmarks.fanout import TEXT_BYTES, Measure
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import crowd_of
from tests.benchmarks.publishing import AsRows

PART = "growth"


def run_part(run: Run) -> None:
    size = run.size
    found: list[float] = []
    with run.ground.database() as dsn, run.ground.gateway(dsn) as (process, port):
        crowd = crowd_of(port, 0)
        publisher = AsRows(run.ground.runner, dsn, 1, TEXT_BYTES)
        measure = Measure(process, crowd, publisher)
        try:
            for connections in size.growth:
                crowd.grow_to(connections)
                measure.warm_up()
                # As many deliveries each time, so that each figure is as exact as the others.
                times = max(2, size.messages * size.connections // connections)
                found.append(measure.per_delivery_us(size.rounds, min(times, 10 * size.messages)))
                run.add(PART, f"gateway, {connections:,} connections", found[-1], "µs")
        finally:
            publisher.close()
            crowd.close()
    spread = max(found) / min(found) - 1
    run.add(
        PART, "difference between cheapest and dearest", 100 * spread, "%", "≤ 25 %", is_met=spread <= 0.25
    )

"""Growth: what a delivery costs with more and more connections, and how long a fan-out to very many holds the loop."""

import json
from collections.abc import Sequence
from contextlib import ExitStack, closing

from tests.benchmarks.fanout import TEXT_BYTES, Contender, Measure, enter_gateway, enter_peer
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import MANNERS, crowd_of
from tests.benchmarks.machine import median
from tests.benchmarks.peers.listed import FLOOR
from tests.benchmarks.publishing import AsRows

PART = "growth"


def _spread(costs: Sequence[float]) -> float:
    """Per cent between the cheapest and the dearest."""
    return 100 * (max(costs) / min(costs) - 1)


def run_part(run: Run) -> None:
    size = run.size
    ours: list[float] = []
    floors: list[float] = []
    with ExitStack() as stack:
        floor, gateway = enter_peer(FLOOR, 0, stack), enter_gateway(run, MANNERS, 0, stack)
        for connections in size.growth:
            # As many deliveries each time, so that each figure is as exact as the others.
            times = max(2, min(10 * size.messages, size.messages * size.connections // connections))
            for each in (floor, gateway):
                each.crowd.grow_to(connections)
            share = _in_turns(floor, gateway, size.rounds, times)
            floors.append(median(floor.single))
            ours.append(median(gateway.single))
            note = f"{share:.2f} × os.write, {floors[-1]:.2f} µs"
            run.add(PART, f"gateway, {connections:,} connections", ours[-1], "µs", note=note)
    run.add(
        PART,
        "difference between cheapest and dearest",
        _spread(ours),
        "%",
        "≤ 25 %",
        is_met=_spread(ours) <= 25,
        note=f"of os.write: {_spread(floors):.0f} %",
    )
    held = held_ms(run)
    name = f"the loop is held by a fan-out to {size.crowd:,}, at the longest"
    run.add(PART, name, held, "ms", "≤ 5 ms", is_met=held <= 5)


def _in_turns(floor: Contender, gateway: Contender, rounds: int, times: int) -> float:
    """How many times as dear as the floor the gateway is at this size."""
    for each in (floor, gateway):
        each.single.clear()
        each.measure.warm_up()
    for _ in range(rounds):
        for each in (floor, gateway):
            each.single.append(each.measure.per_delivery_us(1, times))
    return gateway.times(floor)


def held_ms(run: Run) -> float:
    """The longest turn of the loop within each fan-out; the median of them."""
    with ExitStack() as stack:
        dsn = stack.enter_context(run.ground.database())
        publisher = stack.enter_context(closing(AsRows(run.ground.runner, dsn, 1, TEXT_BYTES)))
        with run.ground.gateway(dsn, "tests.benchmarks.variants", {"BENCH_HELD": "1"}) as (process, port):
            crowd = stack.enter_context(closing(crowd_of(port, run.size.crowd)))
            measure = Measure(process, crowd, publisher)
            for _ in range(run.size.messages):
                measure.once(1)
        turns: list[list[float]] = json.loads(process.wait_for(r"held (.*)")[1])
    return 1000 * median(max(fan_out) for fan_out in turns)

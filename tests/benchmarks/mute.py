"""Clients that read nothing while messages go on: what they cost in the kernel and in the gateway's memory, and that
each of them finds every message once it reads.
"""

from contextlib import ExitStack, closing

from tests.benchmarks.crowd import PAYLOAD_BYTES
from tests.benchmarks.fanout import TEXT_BYTES, Measure
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import crowd_of
from tests.benchmarks.machine import kernel_bytes
from tests.benchmarks.publishing import AsRows

PART = "mute"
AT_ONCE = 50
KILOBYTES_EACH = 160
"""May wait in the kernel for one client: what is on its way, and 128 kB that are not yet."""


def run_part(run: Run) -> None:
    size = run.size
    with ExitStack() as stack:
        dsn = stack.enter_context(run.ground.database())
        process, port = stack.enter_context(run.ground.gateway(dsn))
        publisher = stack.enter_context(closing(AsRows(run.ground.runner, dsn, 1, TEXT_BYTES)))
        reader = stack.enter_context(closing(crowd_of(port, 1)))
        measure = Measure(process, reader, publisher)
        measure.warm_up()
        mute = stack.enter_context(closing(crowd_of(port, size.mute)))
        before = process.resident_bytes()
        for _ in range(size.mute_messages // AT_ONCE):
            measure.once(AT_ONCE)
        kernel, memory = kernel_bytes(port), process.resident_bytes() - before
        sent = size.mute_messages // AT_ONCE * AT_ONCE
        mute.collect(sent * size.mute)  # raises where one is missing, or comes twice
    name = f"{size.mute} clients that read nothing of {sent * PAYLOAD_BYTES / 1e6:.1f} MB each"
    most = KILOBYTES_EACH * size.mute / 1000
    run.add(
        PART, f"{name}: kernel", kernel / 1e6, "MB", f"≤ {most:.3g} MB ({KILOBYTES_EACH} kB each)",
        is_met=kernel / 1e6 <= most, note="each one complete afterwards",
    )  # fmt: skip
    run.add(PART, f"{name}: the gateway", memory / 1e6, "MB")

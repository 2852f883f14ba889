"""What one row costs Postgres: a stranger's INSERT and its commit, with our triggers and without them.

Everything that Postgres does for it is counted: the statement, the triggers, the commit, the notification and its way
to a gateway that listens. Nobody watches, so the gateway asks for little.
"""

import asyncio
import time
from contextlib import ExitStack

import asyncpg

from tests.benchmarks import machine
from tests.benchmarks.crowd import text
from tests.benchmarks.fanout import TEXT_BYTES
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import name_of
from tests.benchmarks.machine import median

PART = "rows"
TABLE = "public.whatsapp_incoming_messages"
INSERT = f"""
INSERT INTO {TABLE} (message_id, from_phone, message_text, wasender_session_id) VALUES ($1, '4915123456789', $2, 1)
"""


class Writer:
    """A stranger with a prepared INSERT in a database of its own."""

    def __init__(self, run: Run, dsn: str) -> None:
        self._runner = run.ground.runner
        self._postgres = run.ground.server.pid or 0
        self._connection = self._runner.run(asyncpg.connect(dsn))
        self._number = 0
        self.costs: list[float] = []

    def measure(self, count: int) -> None:
        """CPU of all Postgres for each row, in µs."""
        before = machine.cpu_s(self._postgres)
        self._runner.run(self._write(count))
        self.costs.append((machine.cpu_s(self._postgres) - before) / count * 1e6)

    async def _write(self, count: int) -> None:
        statement = await self._connection.prepare(INSERT)
        for _ in range(count):
            self._number += 1
            await statement.fetch(f"R{time.monotonic_ns()}-{self._number}", text(self._number, TEXT_BYTES))
        # What is still on its way belongs to these rows.
        await asyncio.sleep(0.05)

    def close(self) -> None:
        self._runner.run(self._connection.close())


def run_part(run: Run) -> None:
    size = run.size
    with ExitStack() as stack:
        writers = []
        for is_ours in (False, True):
            dsn = stack.enter_context(run.ground.database())
            if not is_ours:
                run.ground.execute(name_of(dsn), f"ALTER TABLE {TABLE} DISABLE TRIGGER ALL")
            else:
                stack.enter_context(run.ground.gateway(dsn))
            writer = Writer(run, dsn)
            stack.callback(writer.close)
            writer.measure(max(1, size.rows // 4))
            writer.costs.clear()
            writers.append(writer)
        for _ in range(size.rounds):
            for writer in writers:
                writer.measure(size.rows)
    bare, ours = writers
    run.add(PART, "one row, our triggers off", median(bare.costs), "µs of Postgres")
    times = median(mine / theirs for mine, theirs in zip(ours.costs, bare.costs, strict=True))
    run.add(
        PART, "one row, told to a gateway", median(ours.costs), "µs of Postgres",
        f"{times:.2f} × without triggers (≤ 1.6)", is_met=times <= 1.6,
    )  # fmt: skip

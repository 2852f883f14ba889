"""From commit to client: messages at a steady rate against a bare insert → asyncpg callback in the same run.

From the insert it is longer by what the insert and its triggers take; that is shown beside it.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks import machine
from tests.benchmarks.fanout import TEXT_BYTES, Measure, floor_us
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import crowd_of, name_of
from tests.benchmarks.machine import median, quantile
from tests.benchmarks.publishing import AsRows
from tests.benchmarks.served import Served

PART = "latency"
RATE = 100.0
INBOXES = 20

_BARE_TABLE = (
    "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text, text text, inbox bigint)",
    """
    CREATE FUNCTION ring() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_notify('bare', substr(NEW.text, 2, 8)); RETURN NULL; END $$
    """,
    "CREATE TRIGGER ring AFTER INSERT ON bare FOR EACH ROW EXECUTE FUNCTION ring()",
)


@contextmanager
def _inserting(run: Run, dsn: str, table: str, first: int) -> Iterator[Served]:
    numbers = map(str, (RATE, run.size.stream_s, INBOXES, first))
    command = [sys.executable, "-m", "tests.benchmarks.inserter", dsn, table, *numbers]
    with Served(command, core=machine.cores()[1]) as inserter:
        yield inserter


def _moments(inserter: Served) -> list[tuple[float, float]]:
    """When each insert was begun, and when it was committed."""
    return list(json.loads(inserter.wait_for(r"inserted (.*)")[1]))


def bare_ms(run: Run) -> tuple[float, float]:
    """Median and 99th percentile of the bare way; medians of the rounds."""
    middles, lates = [], []
    with run.ground.database() as dsn:
        run.ground.execute(name_of(dsn), *_BARE_TABLE)
        for number in range(run.size.rounds):
            first = 1 + number * 10_000
            with Served.python("tests.benchmarks.peers.bare_listener", dsn) as listener:
                listener.wait_for("ready")
                with _inserting(run, dsn, "bare", first) as inserter:
                    moments = _moments(inserter)
                run.ground.execute(name_of(dsn), "SELECT pg_notify('bare', 'end')")
                heard = json.loads(listener.wait_for(r"heard (.*)")[1])
            took = [1000 * (at - moments[seen - first][0]) for seen, at in heard]
            assert len(took) == len(moments), "a bell was lost"
            middles.append(quantile(took, 0.5))
            lates.append(quantile(took, 0.99))
    return median(middles), median(lates)


def gateway_ms(run: Run) -> tuple[float, float, float]:
    """The same from the commit for every delivery to every client of the gateway; and the median from the insert."""
    middles, lates, whole = [], [], []
    viewers = run.size.connections // INBOXES
    with run.ground.database() as dsn, run.ground.gateway(dsn) as (_, port):
        crowd = crowd_of(port, viewers * INBOXES, INBOXES)
        try:
            for number in range(run.size.rounds):
                first = 1 + number * 10_000
                with _inserting(run, dsn, "messages", first) as inserter:
                    seen = crowd.watch(lambda: inserter.has_ended)
                    moments = _moments(inserter)
                assert len(seen) == len(moments) * viewers, "a message was lost or came twice"
                took = [1000 * (at - moments[each - first][1]) for each, at in seen]
                whole.append(quantile([1000 * (at - moments[each - first][0]) for each, at in seen], 0.5))
                middles.append(quantile(took, 0.5))
                lates.append(quantile(took, 0.99))
        finally:
            crowd.close()
    return median(middles), median(lates), median(whole)


def last_ms(run: Run) -> tuple[float, float]:
    """One message to everybody: from its commit, and from its insert, to the last client; medians."""
    with run.ground.database() as dsn, run.ground.gateway(dsn) as (process, port):
        crowd = crowd_of(port, run.size.connections)
        publisher = AsRows(run.ground.runner, dsn, 1, TEXT_BYTES)
        measure = Measure(process, crowd, publisher)
        try:
            measure.warm_up()
            took, whole = [], []
            for _number in range(run.size.rounds * run.size.messages // 2 + 1):
                measure.once(1)
                took.append(1000 * (measure.last_at - publisher.committed_at))
                whole.append(1000 * (measure.last_at - publisher.begun_at))
        finally:
            publisher.close()
            crowd.close()
    return median(took), median(whole)


def run_part(run: Run) -> None:
    bare_p50, bare_p99 = bare_ms(run)
    run.add(PART, "bare insert → asyncpg callback, p50", bare_p50, "ms", note=f"p99 {bare_p99:.2f} ms")
    p50, p99, whole = gateway_ms(run)
    name = f"gateway, {run.size.connections:,} clients in {INBOXES} inboxes, {RATE:.0f} messages/s"
    within, note = f"≤ {3 * bare_p50:.2f} ms (3 × bare)", f"{whole:.2f} ms from the insert"
    run.add(PART, f"{name}, p50", p50, "ms", within, is_met=p50 <= 3 * bare_p50, note=note)
    within = f"≤ {5 * bare_p99:.2f} ms (5 × bare)"
    run.add(PART, f"{name}, p99", p99, "ms", within, is_met=p99 <= 5 * bare_p99)
    last, from_insert = last_ms(run)
    limit = bare_p50 + 1.7 * run.size.connections * floor_us(run) / 1000
    name = f"gateway, the last of {run.size.connections:,} clients of one inbox, p50"
    within, note = f"≤ {limit:.1f} ms (bare + 1.7 × floor)", f"{from_insert:.1f} ms from the insert"
    run.add(PART, name, last, "ms", within, is_met=last <= limit, note=note)

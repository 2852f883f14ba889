"""One, two and four gateways on one Postgres: what each more costs Postgres, and what each is spared.

As in life every gateway listens, reads the stream of an inbox that its browsers follow, and takes its share of the
webhooks. On a machine with two cores all gateways share one of them, and Postgres has the other with the load: so costs
are measured, in CPU, and no speed-up.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.benchmarks import machine
from tests.benchmarks.crowd import Crowd
from tests.benchmarks.fanout import TEXT_BYTES
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import crowd_of, name_of
from tests.benchmarks.publishing import AsRows
from tests.benchmarks.senders import WebhookAuthenticator, session_row, webhook
from tests.benchmarks.served import Served

PART = "several"
SESSIONS = 20
BROWSERS = 20
"""Of each gateway, all of one inbox."""
BATCH = 10

_CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'whatsapp-gateway%'
"""


@dataclass
class Fleet:
    """Gateways on one database."""

    run: Run
    dsn: str
    gateways: list[tuple[Served, int]]

    def report(self, name: str, value: float, unit: str, note: str = "") -> None:
        word = "gateway" if len(self.gateways) == 1 else "gateways"
        self.run.add(PART, f"{len(self.gateways)} {word}: {name}", value, unit, note=note)

    def spent(self, work: Callable[[], None]) -> tuple[float, float, float]:
        """Seconds of CPU of Postgres and of all gateways together, and seconds by the clock."""
        postgres = self.run.ground.server.pid or 0
        before = machine.cpu_s(postgres), sum(each.cpu_s() for each, _ in self.gateways), time.monotonic()
        work()
        return (
            machine.cpu_s(postgres) - before[0],
            sum(each.cpu_s() for each, _ in self.gateways) - before[1],
            time.monotonic() - before[2],
        )


def run_part(run: Run) -> None:
    for count in run.size.gateways:
        with ExitStack() as stack:
            dsn = stack.enter_context(run.ground.database())
            run.ground.execute(name_of(dsn), *map(session_row, range(1, SESSIONS + 1)))
            gateways = [_gateway(run, dsn, stack) for _ in range(count)]
            fleet = Fleet(run, dsn, gateways)
            _idle(fleet)
            _events(fleet, stack)
            _webhooks(fleet)
            _connections(fleet)


def _gateway(run: Run, dsn: str, stack: ExitStack) -> tuple[Served, int]:
    """Each has a data folder of its own, as on a machine of its own; the media store is one."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-data-")))
    more = {"GATEWAY_MEDIA_URL": (run.ground.data_dir / f"media-{name_of(dsn)}").as_uri()}
    return stack.enter_context(run.ground.gateway(dsn, more=more, data_dir=folder))


def _idle(fleet: Fleet) -> None:
    postgres, gateways, took = fleet.spent(lambda: time.sleep(fleet.run.size.idle_s))
    count = len(fleet.gateways)
    fleet.report("idle, Postgres", 100 * postgres / took, "% of a core")
    fleet.report("idle, each gateway", 100 * gateways / took / count, "% of a core")
    memory = sum(each.resident_bytes() for each, _ in fleet.gateways) / count / 1e6
    fleet.report("memory of each", memory, "MB")


def _events(fleet: Fleet, stack: ExitStack) -> None:
    """Rows of another writer, ten in a transaction, told to browsers of every gateway."""
    crowds = [stack.enter_context(closing(crowd_of(port, BROWSERS))) for _, port in fleet.gateways]
    publisher = stack.enter_context(closing(AsRows(fleet.run.ground.runner, fleet.dsn, 1, TEXT_BYTES)))
    batches = max(2, fleet.run.size.rows // BATCH)
    late: list[float] = []

    def publish() -> None:
        for number in range(batches):
            publisher.publish(number * BATCH, BATCH)
            late.append(1000 * (_collect(crowds, BATCH * BROWSERS) - publisher.committed_at))

    publish()  # once before it counts
    late.clear()
    postgres, gateways, _ = fleet.spent(publish)
    events = batches * BATCH
    fleet.report(
        "an event, Postgres", 1e6 * postgres / events, "µs", f"ten in a transaction, {events} in all"
    )
    fleet.report(
        "an event, each gateway", 1e6 * gateways / events / len(crowds), "µs", f"to {BROWSERS} browsers"
    )
    fleet.report(
        "commit to the last browser", machine.median(late), "ms", f"p99 {machine.quantile(late, 0.99):.0f}"
    )


def _collect(crowds: list[Crowd], messages: int) -> float:
    """When the last browser of the last gateway had its last message."""
    ends: list[float] = []
    readers = [
        threading.Thread(target=lambda crowd=crowd: ends.append(crowd.collect(messages)), name="browsers")
        for crowd in crowds
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    if len(ends) != len(crowds):
        raise TimeoutError("browsers of a gateway did not get everything")
    return max(ends)


def _webhooks(fleet: Fleet) -> None:
    """Each gateway takes its share at the same time, as a load balancer hands them out."""
    count = len(fleet.gateways)
    share, senders = fleet.run.size.webhooks // count, max(1, fleet.run.size.senders // count)

    def send(port: int) -> None:
        requests = [webhook(number % SESSIONS + 1) for number in range(share)]
        authenticator = WebhookAuthenticator(port, senders)
        try:
            authenticator.send(requests)
        finally:
            authenticator.close()

    def send_all() -> None:
        threads = [threading.Thread(target=send, args=(port,), name="sender") for _, port in fleet.gateways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    send_all()  # once before it counts
    postgres, gateways, took = fleet.spent(send_all)
    total = share * count
    fleet.report("webhooks", total / took, "requests/s", "together, gateways on one core")
    fleet.report("a webhook, Postgres", 1e6 * postgres / total, "µs")
    fleet.report("a webhook, its gateway", 1e6 * gateways / total, "µs")


def _connections(fleet: Fleet) -> None:
    async def count() -> int:
        connection = await asyncpg.connect(fleet.dsn)
        try:
            return int(await connection.fetchval(_CONNECTIONS))
        finally:
            await connection.close()

    held = fleet.run.ground.runner.run(count())
    fleet.report("connections to Postgres, after the load", held, "", "at most 17 each")

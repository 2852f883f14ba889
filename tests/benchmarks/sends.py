"""What a message to a customer costs, from the request to the last tick; and what a long queue costs that waits.

Upstream is the simulator in a process of its own, on the load's core; Postgres counts the statements.
"""

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import asyncpg

from tests.benchmarks import machine
from tests.benchmarks.figures import QUICK, Run
from tests.benchmarks.gateways import BEARER, Ground, ground
from tests.benchmarks.machine import cpu_s, median
from tests.benchmarks.served import Served
from tests.simulator.support import ALL_EVENTS

PART = "sends"
COUNTED = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "top"}
PATIENCE_S = 120.0
LOOK_S = 0.2
MOST_IDLE = 0.2
"""Per cent of a core that a queue may cost while it waits."""

_WAITING = """
INSERT INTO whatsapp_outgoing_messages (wasender_session_id, client_id, chat, to_phone, message_text, message_type,
    status, origin, created_at, send_no, queued_at, due_at, send_after, attempt, payload)
SELECT $1, 'waiting ' || n, (15551000000 + n % 1000) || '@s.whatsapp.net', (15551000000 + n % 1000)::text, 'Hello',
    'text', 'queued', 'api', now(), nextval('gateway.send_numbers'), now(), now() + interval '1 day',
    now() + interval '1 day', 0,
    '{"look": "x", "content": {"text": "Hello"}}'
FROM generate_series(1, $2::int) AS n
"""
_LISTED = """
SELECT coalesce(bool_and(p.next_chat IS NULL AND p.off = i.off AND p.epoch = i.epoch), false)
FROM gateway.inboxes AS i LEFT JOIN gateway.projections AS p ON p.inbox = i.inbox WHERE i.inbox > 0
"""
_STATEMENTS = "SELECT coalesce(sum(s.calls), 0)::bigint FROM pg_stat_statements AS s"


class Shop:
    """A gateway with one linked number, its Postgres and its upstream."""

    def __init__(self, made: Ground, dsn: str, process: Served, port: int, upstream: tuple[str, str]) -> None:
        self._made = made
        self._dsn = dsn
        self._gateway = process.pid
        self._port = port
        self._upstream = upstream
        self.session_id = 0
        self._db: asyncpg.Connection | None = None
        self._sent = 0
        self._done: dict[str, int] = {}
        """By status: messages that were counted."""

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """`data` of the gateway's answer."""
        return _ask(f"127.0.0.1:{self._port}", method, path, body, BEARER)["data"]

    def steer(self, path: str, body: Any) -> None:
        """Something of the simulator's."""
        url, token = self._upstream
        _ask(url.removeprefix("http://").partition("/")[0], "POST", path, body, token)

    def fetch(self, query: str, *values: Any) -> Any:
        """A query's one value, on a connection that is kept: a new one costs Postgres more than a message."""
        run = self._made.runner.run
        if self._db is None:
            self._db = run(asyncpg.connect(self._dsn))
        return run(self._db.fetchval(query, *values, timeout=PATIENCE_S))

    def close(self) -> None:
        """Gives the connection back."""
        if self._db is not None:
            self._made.runner.run(self._db.close())

    def until(self, query: str, wanted: Any, *values: Any) -> None:
        """Returns once the query has that value."""
        ends_at = time.monotonic() + PATIENCE_S
        while (found := self.fetch(query, *values)) != wanted:
            assert time.monotonic() < ends_at, (query, found)
            time.sleep(LOOK_S)

    def link(self) -> None:
        """Makes a number and links it."""
        url, token = self._upstream
        host = url.removeprefix("http://").partition("/")[0]
        wish = {
            "name": "Shop", "phone_number": "+15550001111", "account_protection": False, "log_messages": False,
            "webhook_url": f"http://127.0.0.1:{self._port}/api/whatsapp/webhook", "webhook_enabled": True,
            "webhook_events": ALL_EVENTS,
        }  # fmt: skip
        self.session_id = int(_ask(host, "POST", "/api/whatsapp-sessions", wish, token)["data"]["id"])
        quick = dict.fromkeys(("sent_delay_s", "delivered_delay_s", "read_delay_s"), 0.0)
        self.steer("/_simulator/settings", {**quick, "sends_per_minute": None})
        self.ask("POST", "/api/whatsapp-sessions/sync")
        self.ask("POST", f"/api/whatsapp-sessions/{self.session_id}/connect")
        status = "SELECT lower(status) FROM whatsapp_sessions"
        self.until(status, "need_scan")
        self.steer(f"/_simulator/sessions/{self.session_id}/scan", {})
        self.until(status, "connected")

    def send(self, count: int, status: str) -> tuple[float, float, float]:
        """CPU of the gateway and of Postgres in µs, and statements, for each message until it has that status."""
        before = self._costs()
        for _ in range(count):
            self._sent += 1
            body = {"client_id": f"send {self._sent}", "text": "Good morning, it is in stock again."}
            path = f"/api/conversations/1555000222{self._sent % 10}/messages?session={self.session_id}"
            self.ask("POST", path, body)
        there = "SELECT count(*) FROM whatsapp_outgoing_messages WHERE status = $1"
        self._done[status] = self._done.get(status, 0) + count
        self.until(there, self._done[status], status)
        ours, theirs, statements = (now - then for now, then in zip(self._costs(), before, strict=True))
        return ours / count * 1e6, theirs / count * 1e6, statements / count

    def idle_percent(self, seconds: float) -> float:
        """CPU of gateway and Postgres together while nothing happens, in per cent of a core."""
        before = self._costs()
        time.sleep(seconds)
        after = self._costs()
        return (after[0] - before[0] + after[1] - before[1]) / seconds * 100

    def _costs(self) -> tuple[float, float, float]:
        statements = float(self.fetch(_STATEMENTS))
        postgres = self._made.server.pid
        assert postgres is not None
        return cpu_s(self._gateway), cpu_s(postgres), statements


def _ask(host: str, method: str, path: str, body: Any, token: str) -> Any:
    connection = http.client.HTTPConnection(host, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    said = json.loads(answer.read() or b"{}")
    connection.close()
    assert answer.status < 300, (path, answer.status, said)
    return said


@contextlib.contextmanager
def opened(run: Run) -> Iterator[Shop]:
    """A shop whose Postgres counts statements."""
    load = machine.cores()[1]
    command = Served.python("tests.benchmarks.linking_upstream", "45", core=load)
    with command as served, ground(is_durable=run.size is not QUICK, settings=COUNTED) as made:
        found = served.wait_for(r'\["(http[^"]+)", "([^"]+)"\]')
        upstream = found[1], found[2]
        of_upstream = {"simulator": False, "wasender_base_url": found[1], "wasender_token": found[2]}
        with made.database() as dsn, made.gateway(dsn, upstream=of_upstream) as (process, port):
            name = dsn.rpartition("@/")[2].partition("?")[0]
            made.execute(name, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            shop = Shop(made, dsn, process, port, upstream)
            with contextlib.closing(shop):
                shop.link()
                yield shop


def run_part(run: Run) -> None:
    """Upstream's taking over alone, the whole way with its webhooks, and the queue that waits."""
    size = run.size
    with opened(run) as shop:
        shop.send(max(2, size.sends // 10), "read")  # the first ones warm up, and are not counted
        whole = [shop.send(size.sends, "read") for _ in range(size.rounds)]
        shop.steer("/_simulator/faults", {"mode": "never_sent", "times": 1_000_000})
        taken = [shop.send(size.sends, "accepted") for _ in range(size.rounds)]
        for name, found in (
            ("until WasenderAPI has it", taken),
            ("until it is read, with its webhooks", whole),
        ):
            ours, postgres, statements = (median(each) for each in zip(*found, strict=True))
            run.add(PART, f"gateway, a message {name}", ours, "µs CPU", note=f"{statements:.1f} statements")
            run.add(PART, f"Postgres, a message {name}", postgres, "µs CPU")
    with opened(run) as shop:
        time.sleep(min(size.queue_idle_s, 5.0))  # what linking began is over
        without = shop.idle_percent(size.queue_idle_s)
        shop.fetch(_WAITING, shop.session_id, size.queued)
        shop.fetch("SELECT gateway.wake_sender_v1($1)", shop.session_id)
        shop.until("SELECT (shown ->> 'queued')::int FROM gateway.send_queues", size.queued)
        # The list of conversations follows so many at once in slices, and Postgres analyzes the table.
        shop.until(_LISTED, True)
        time.sleep(min(size.queue_idle_s, 10.0))
        more = shop.idle_percent(size.queue_idle_s) - without
    target = f"≤ {MOST_IDLE:g} % more than without ({without:.2f} %)"
    name = f"an idle gateway and its Postgres, {size.queued:,} messages wait"
    run.add(PART, name, max(0.0, more), "% of a core", target, is_met=more <= MOST_IDLE)

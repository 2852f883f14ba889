"""A gateway of 10,000 sessions: what it costs to subscribe to all of them, and to see the first page of their list."""

import json
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, closing

import asyncpg

from tests.benchmarks.crowd import Crowd, Manners
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import BEARER, MANNERS, name_of
from tests.benchmarks.machine import median
from tests.benchmarks.senders import SECRET
from tests.benchmarks.served import Served

PART = "sessions"
SESSIONS = """
INSERT INTO public.whatsapp_sessions (wasender_session_id, name, phone_number, status, api_key, webhook_secret)
SELECT n, 'Shop ' || n, '+4915' || n, 'connected', 'key-of-session-' || n, '{SECRET}'
FROM generate_series(1, {COUNT}) AS n
"""
MESSAGES = """
INSERT INTO public.whatsapp_incoming_messages (message_id, from_phone, message_text, wasender_session_id)
SELECT 'S' || n, '49151' || n, 'Good morning', n FROM generate_series(1, {COUNT}) AS n
"""
LISTED = """
SELECT count(*) FROM gateway.inboxes AS i JOIN gateway.projections AS p USING (inbox)
WHERE i.inbox > 0 AND p.next_chat IS NULL AND p.off = i.off
"""


def _asked(port: int, path: str) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {BEARER}"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return bytes(reply.read())


def _cost(process: Served, work: Callable[[], object], times: int) -> float:
    """ms of the gateway's CPU: the median of so many."""
    costs = []
    for _ in range(times):
        before = process.cpu_s()
        work()
        costs.append(1000 * (process.cpu_s() - before))
    return median(costs)


def _wait_for_list(run: Run, dsn: str, count: int) -> None:
    """The list is written behind the messages."""
    runner, deadline = run.ground.runner, time.monotonic() + 120
    connection = runner.run(asyncpg.connect(dsn))
    while runner.run(connection.fetchval(LISTED)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError("the list of conversations was not written")
        time.sleep(0.2)
    runner.run(connection.close())


def run_part(run: Run) -> None:
    count = run.size.sessions
    with ExitStack() as stack:
        dsn = stack.enter_context(run.ground.database())
        run.ground.execute(
            name_of(dsn),
            SESSIONS.format(COUNT=count, SECRET=SECRET),
            MESSAGES.format(COUNT=count),
        )
        process, port = stack.enter_context(run.ground.gateway(dsn))
        _wait_for_list(run, dsn, count)
        # A position that is no older than 200 transactions names every inbox that moved in them.
        run.ground.execute(name_of(dsn), *["SELECT pg_current_xact_id()"] * 250)

        def subscribe(after: str) -> None:
            steps = [
                ('"welcome"', f'{{"type":"subscribe","ref":"1","topic":"inbox:*"{after}}}'),
                ('"subscribed"', ""),
            ]
            with closing(Crowd(port, Manners(headers=MANNERS.headers, steps=steps))) as crowd:
                crowd.grow_to(1)

        paths = {
            "the list's first page": "/api/conversations?limit=50&position=page",
            "the list's first page, position of every inbox": "/api/conversations?limit=50",
        }
        token = json.loads(_asked(port, paths["the list's first page"]))["data"]["position"]
        live = _cost(process, lambda: subscribe(""), run.size.rounds * 3)
        resumed = _cost(process, lambda: subscribe(f',"after":{json.dumps(token)}'), run.size.rounds * 3)
        run.add(PART, f"subscribe to inbox:* of {count:,}", live, "ms CPU", "≤ 5 ms", is_met=live <= 5)
        run.add(
            PART,
            f"the same after a page's position, {count:,}",
            resumed,
            "ms CPU",
            "≤ 5 ms",
            is_met=resumed <= 5,
        )
        for name, path in paths.items():
            size = len(_asked(port, path))
            cost = _cost(process, lambda path=path: _asked(port, path), run.size.rounds * 3)  # type: ignore[misc]
            is_met = cost <= 10 and size <= 30_000 if "position" in path else None
            run.add(
                PART,
                name,
                cost,
                "ms CPU",
                "≤ 10 ms, 30 kB" if is_met is not None else "",
                is_met=is_met,
                note=f"{size / 1000:.0f} kB",
            )

"""A large database against a small one: ingest, delivery, and the first pages.

Both are served at the same time and asked in turns: what else the machine does meanwhile, it does to both.
"""

import contextlib
import http.client
import time
from collections.abc import Callable, Iterator

import asyncpg
from websockets.sync.client import connect

from tests.benchmarks import million
from tests.benchmarks.crowd import PATIENCE_S
from tests.benchmarks.fanout import TEXT_BYTES, Measure
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import BEARER, crowd_of, name_of
from tests.benchmarks.machine import median
from tests.benchmarks.publishing import AsRows
from tests.benchmarks.senders import WebhookAuthenticator, session_row, webhook
from tests.benchmarks.served import Served

PART = "stored"
SESSIONS = 20
SMALL = 240
"""Messages of each of those sessions in the small database: a full page of chats, and one of a thread."""

TIMES = 60

PAGES = {
    "first page of an inbox": "/api/conversations?session={inbox}",
    "first page of all inboxes": "/api/conversations",
    "first page of unread chats": "/api/conversations?filter=unread",
    "first page of a thread": "/api/conversations/{phone}/messages?session={inbox}",
}

_INSERT = """
INSERT INTO public.whatsapp_incoming_messages (message_id, from_phone, wasender_session_id) VALUES ($1, '49151', 2)
"""


class Side:
    """One database with its gateway. Every method measures once."""

    def __init__(self, run: Run, dsn: str, process: Served, port: int, stack: contextlib.ExitStack) -> None:
        size = run.size
        self._loop = run.ground.runner
        self._webhooks = size.webhooks // 8
        self._messages = size.messages
        self._authenticator = WebhookAuthenticator(port, size.senders)
        stack.callback(self._authenticator.close)
        crowd = crowd_of(port, size.connections // 5)
        stack.callback(crowd.close)
        publisher = AsRows(run.ground.runner, dsn, 1, TEXT_BYTES)
        stack.callback(publisher.close)
        self._measure = Measure(process, crowd, publisher)
        self._measure.warm_up()
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        stack.callback(self._http.close)
        self._stranger = self._loop.run(asyncpg.connect(dsn))
        stack.callback(lambda: self._loop.run(self._stranger.close()))
        self._socket = stack.enter_context(
            connect(f"ws://127.0.0.1:{port}/ws", additional_headers={"Authorization": f"Bearer {BEARER}"})
        )
        self._socket.send('{"type":"subscribe","ref":"1","topic":"inbox:2"}')
        self._hear("subscribed")
        self._number = 0

    def delivery_us(self) -> float:
        """Server CPU for each client."""
        return self._measure.per_delivery_us(1, self._messages)

    def webhook_us(self) -> float:
        # Not to the inboxes that somebody watches.
        requests = [webhook(number % (SESSIONS - 2) + 3) for number in range(self._webhooks)]
        return self._authenticator.send(requests) / len(requests) * 1e6

    def frame_ms(self) -> float:
        """From the beginning of a stranger's INSERT to its frame at a client."""
        self._number += 1
        began = time.monotonic()
        self._loop.run(self._stranger.execute(_INSERT, f"FRAME{self._number}"))
        self._hear("message.created")
        return 1000 * (time.monotonic() - began)

    def page_ms(self, path: str) -> float:
        self._number += 1
        place = path.format(inbox=self._number % (SESSIONS - 2) + 3, phone=million.FIRST_PHONE)
        began = time.monotonic()
        self._http.request("GET", place, headers={"Authorization": f"Bearer {BEARER}"})
        answer = self._http.getresponse()
        answer.read()
        assert answer.status == 200, (place, answer.status)
        return 1000 * (time.monotonic() - began)

    def _hear(self, word: str) -> None:
        while word not in str(self._socket.recv(timeout=PATIENCE_S)):
            pass


@contextlib.contextmanager
def _sides(run: Run) -> Iterator[list[Side]]:
    """The small database, which has as many inboxes but messages only in those looked at, and the large one."""
    size = run.size
    with contextlib.ExitStack() as stack:
        made = []
        for rows, inboxes in (
            (SESSIONS * SMALL, SESSIONS),
            (size.stored, max(SESSIONS, size.stored_inboxes)),
        ):
            began = time.monotonic()
            name = name_of(dsn := stack.enter_context(run.ground.database()))
            for statements in million.statements(rows, inboxes, size.stored_inboxes):
                run.ground.execute(name, statements)
            run.ground.execute(name, *map(session_row, range(1, SESSIONS + 1)))
            run.say(f"  {rows:,} messages made in {time.monotonic() - began:.0f} s")
            made.append(dsn)
        sides = []
        for dsn in made:
            process, port = stack.enter_context(run.ground.gateway(dsn))
            sides.append(Side(run, dsn, process, port, stack))
        yield sides


def _in_turns(sides: list[Side], times: int, measure: Callable[[Side], float]) -> list[float]:
    for side in sides:
        measure(side)
    turns = [[measure(side) for side in sides] for _ in range(times)]
    return [median(turn[number] for turn in turns) for number in range(len(sides))]


def run_part(run: Run) -> None:
    size = run.size
    figures: list[tuple[str, str, int, Callable[[Side], float]]] = [
        ("delivery", "µs", size.rounds, Side.delivery_us),
        ("commit to frame", "ms", TIMES, Side.frame_ms),
        *((what, "ms", TIMES, lambda side, path=path: side.page_ms(path)) for what, path in PAGES.items()),
        ("webhook", "µs", 2 * size.rounds, Side.webhook_us),
    ]
    with _sides(run) as sides:
        for what, unit, times, measure in figures:
            before, after = _in_turns(sides, times, measure)
            run.add(
                PART, f"{what}, {size.stored:,} messages in {size.stored_inboxes:,} inboxes", after, unit,
                f"{after / before:.2f} × {before:.4g} {unit} of a small one (≤ 1.2)", is_met=after <= 1.2 * before,
            )  # fmt: skip

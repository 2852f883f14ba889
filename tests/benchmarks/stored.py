"""A large database against an empty one: ingest, delivery and the first page of an inbox."""

import http.client
import time
from dataclasses import dataclass

import asyncpg
from websockets.sync.client import connect

from tests.benchmarks import million
from tests.benchmarks.crowd import PATIENCE_S
from tests.benchmarks.fanout import TEXT_BYTES, Measure
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import BEARER, crowd_of, name_of
from tests.benchmarks.machine import median
from tests.benchmarks.publishing import AsRows
from tests.benchmarks.senders import Senders, session_row, webhook

PART = "stored"
SESSIONS = 20
TIMES = 40

PAGES = {
    "first page of an inbox": "/api/conversations?session={inbox}",
    "first page of all inboxes": "/api/conversations",
    "first page of unread chats": "/api/conversations?filter=unread",
    "first page of a thread": "/api/conversations/{phone}/messages?session={inbox}",
}


@dataclass(frozen=True, slots=True)
class Found:
    """µs of server CPU for a delivery, of the clock for a webhook; ms of the clock for the rest."""

    ingest_us: float
    delivery_us: float
    frame_ms: float
    pages_ms: dict[str, float]


def _measure(run: Run, dsn: str) -> Found:
    size = run.size
    run.ground.execute(name_of(dsn), *map(session_row, range(1, SESSIONS + 1)))
    with run.ground.gateway(dsn) as (process, port):
        senders = Senders(port, size.senders)
        crowd = crowd_of(port, size.connections // 5)
        publisher = AsRows(run.ground.runner, dsn, 1, TEXT_BYTES)
        measure = Measure(process, crowd, publisher)
        try:
            measure.warm_up()
            delivery = measure.per_delivery_us(size.rounds, size.messages)
            pages = {what: _page_ms(port, path) for what, path in PAGES.items()}
            frame = _frame_ms(run, dsn, port)
            rates = []
            for _ in range(size.rounds + 1):
                # Not to the inbox that the crowd watches.
                requests = [webhook(number % (SESSIONS - 1) + 2) for number in range(size.webhooks // 4)]
                rates.append(senders.send(requests) / len(requests) * 1e6)
        finally:
            publisher.close()
            senders.close()
            crowd.close()
    return Found(median(rates[1:]), delivery, frame, pages)


def _page_ms(port: int, path: str) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    took = []
    for number in range(TIMES):
        place = path.format(inbox=number % SESSIONS + 1, phone=million.FIRST_PHONE)
        began = time.monotonic()
        connection.request("GET", place, headers={"Authorization": f"Bearer {BEARER}"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, (place, answer.status)
        took.append(1000 * (time.monotonic() - began))
    connection.close()
    return median(took[3:])


def _frame_ms(run: Run, dsn: str, port: int) -> float:
    """From the beginning of a stranger's INSERT to its frame at a client."""
    took = []
    loop = run.ground.runner
    insert = (
        "INSERT INTO public.whatsapp_incoming_messages (message_id, from_phone, wasender_session_id)"
        " VALUES ($1, '49151', 2)"
    )
    url = f"ws://127.0.0.1:{port}/ws"
    stranger = loop.run(asyncpg.connect(dsn))
    try:
        with connect(url, additional_headers={"Authorization": f"Bearer {BEARER}"}) as socket:
            socket.send('{"type":"subscribe","ref":"1","topic":"inbox:2"}')
            while "subscribed" not in str(socket.recv(timeout=PATIENCE_S)):
                pass
            for number in range(TIMES):
                began = time.monotonic()
                loop.run(stranger.execute(insert, f"FRAME{number}"))
                while "message.created" not in str(socket.recv(timeout=PATIENCE_S)):
                    pass
                took.append(1000 * (time.monotonic() - began))
    finally:
        loop.run(stranger.close())
    return median(took[3:])


def run_part(run: Run) -> None:
    size = run.size
    found: dict[str, Found] = {}
    # The small one has as many inboxes, too, but messages only in those that are looked at: a page of each.
    small_size = (SESSIONS * 240, SESSIONS)
    for name, (rows, inboxes) in (
        ("a small database", small_size),
        (f"{size.stored:,} messages", (size.stored, max(SESSIONS, size.stored_inboxes))),
    ):
        with run.ground.database() as dsn:
            began = time.monotonic()
            million.fill(
                lambda statements, dsn=dsn: run.ground.execute(name_of(dsn), statements),  # type: ignore[misc]
                rows,
                inboxes,
                size.stored_inboxes,
            )
            run.say(f"  {name} made in {time.monotonic() - began:.0f} s")
            found[name] = _measure(run, dsn)
    small, large = found.values()
    figures = [
        ("webhook", "µs", small.ingest_us, large.ingest_us),
        ("delivery", "µs", small.delivery_us, large.delivery_us),
        ("commit to frame", "ms", small.frame_ms, large.frame_ms),
        *((what, "ms", small.pages_ms[what], large.pages_ms[what]) for what in PAGES),
    ]
    for what, unit, before, after in figures:
        share = after / before
        run.add(
            PART, f"{what}, {size.stored:,} messages in {size.stored_inboxes:,} inboxes", after, unit,
            f"{share:.2f} × {before:.4g} {unit} of a small one (≤ 1.2)", is_met=share <= 1.2,
        )  # fmt: skip

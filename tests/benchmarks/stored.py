"""A large database against an empty one: ingest, delivery and the first page of an inbox."""

import http.client
import time
from dataclasses import dataclass

from tests.benchmarks.fanout import TEXT_BYTES, Measure
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import BEARER, crowd_of, name_of
from tests.benchmarks.machine import median
from tests.benchmarks.publishing import AsRows
from tests.benchmarks.senders import Senders, session_row, webhook

PART = "stored"
SESSIONS = 20
PAGES = 20

# As they would stand there after months: rows, their chats, and the streams of the last days.
_FILL = """
ALTER TABLE public.whatsapp_incoming_messages DISABLE TRIGGER USER;
INSERT INTO public.whatsapp_incoming_messages
    (message_id, wa_key_id, from_phone, chat, push_name, message_text, wasender_session_id, received_at, is_read,
    raw_data)
SELECT 'OLD' || i, 'OLD' || i, phone, phone || '@s.whatsapp.net', 'Customer', 'An older message, number ' || i,
    i % {inboxes} + 1, now() - make_interval(secs => ({rows} - i) * 2), i % 50 <> 0, '{{"old": true}}'
FROM (SELECT i, '4917' || (i / {inboxes} % 200 * 7919) AS phone FROM generate_series(1, {rows}) AS i) AS made;
ALTER TABLE public.whatsapp_incoming_messages ENABLE TRIGGER USER;
INSERT INTO gateway.inboxes (inbox, off)
SELECT box, {streamed} / {inboxes} FROM generate_series(1, {inboxes}) AS box
ON CONFLICT (inbox) DO UPDATE SET off = excluded.off;
INSERT INTO gateway.stream (inbox, off, at, tbl, op, record, old)
SELECT box, off, now() - interval '1 day', 'whatsapp_incoming_messages', 'INSERT',
    jsonb_build_object('id', off, 'message_text', 'An older message', 'from_phone', '4917'),
    jsonb_build_object('id', off)
FROM generate_series(1, {inboxes}) AS box, generate_series(1, {streamed} / {inboxes}) AS off;
ANALYZE public.whatsapp_incoming_messages, gateway.stream, gateway.inboxes;
"""


@dataclass(frozen=True, slots=True)
class Found:
    """All in µs of server CPU, or ms for the page, which is Postgres' work for the most part."""

    ingest_us: float
    delivery_us: float
    page_ms: float


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
            pages = _pages_ms(port)
            rates = []
            for _ in range(size.rounds + 1):
                # Not to the inbox that the crowd watches.
                requests = [webhook(number % (SESSIONS - 1) + 2) for number in range(size.webhooks // 4)]
                rates.append(senders.send(requests) / len(requests) * 1e6)
        finally:
            publisher.close()
            senders.close()
            crowd.close()
    return Found(median(rates[1:]), delivery, pages)


def _pages_ms(port: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    took = []
    for number in range(PAGES + 3):
        began = time.monotonic()
        path = f"/api/conversations?session={number % SESSIONS + 1}"
        connection.request("GET", path, headers={"Authorization": f"Bearer {BEARER}"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        took.append(1000 * (time.monotonic() - began))
    connection.close()
    return median(took[3:])


def run_part(run: Run) -> None:
    size = run.size
    found: dict[str, Found] = {}
    for name, rows in (("a small database", size.stored // 1000), (f"{size.stored:,} messages", size.stored)):
        with run.ground.database() as dsn:
            began = time.monotonic()
            inboxes = max(SESSIONS, size.stored_inboxes * rows // size.stored)
            fill = _FILL.format(rows=rows, inboxes=inboxes, streamed=rows // 5)
            run.ground.execute(name_of(dsn), fill, "CHECKPOINT")
            run.say(f"  {name} made in {time.monotonic() - began:.0f} s")
            found[name] = _measure(run, dsn)
    small, large = found.values()
    for what, unit, before, after in (
        ("webhook", "µs", small.ingest_us, large.ingest_us),
        ("delivery", "µs", small.delivery_us, large.delivery_us),
        ("first page of an inbox", "ms", small.page_ms, large.page_ms),
    ):
        share = after / before
        run.add(
            PART, f"{what}, {size.stored:,} messages in {size.stored_inboxes:,} inboxes", after, unit,
            f"{share:.2f} × {before:.4g} {unit} of a small one (≤ 1.2)", is_met=share <= 1.2,
        )  # fmt: skip

"""Commits messages at a steady rate, whatever becomes of them: `inserter DSN TABLE RATE SECONDS INBOXES FIRST`.

TABLE is `messages`, or `bare` for the table of the bare measurement. Prints, when done, the moments (CLOCK_MONOTONIC)
at which each insert was begun and committed.
"""

import asyncio
import json
import sys
import time

import asyncpg

from tests.benchmarks.crowd import text

_MESSAGES = """
INSERT INTO public.whatsapp_incoming_messages (message_id, from_phone, message_text, wasender_session_id)
VALUES ($1, '4915123456789', $2, $3)
"""
_BARE = "INSERT INTO bare (key, text, inbox) VALUES ($1, $2, $3)"


async def main(dsn: str, table: str, rate: float, seconds: float, inboxes: int, first: int) -> None:
    connection = await asyncpg.connect(dsn)
    statement = await connection.prepare(_MESSAGES if table == "messages" else _BARE)
    await asyncio.sleep(0.2)
    began = time.monotonic()
    moments: list[tuple[float, float]] = []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        # A timer that wakes late is no one's latency but its own.
        start = max(due, time.monotonic())
        await statement.fetch(f"S{time.time_ns()}", text(first + number, 60), number % inboxes + 1)
        moments.append((start, time.monotonic()))
    await connection.close()
    sys.stdout.write("inserted " + json.dumps(moments) + "\n")


if __name__ == "__main__":
    dsn, table, *numbers = sys.argv[1:]
    rate, seconds, inboxes, first = map(float, numbers)
    asyncio.run(main(dsn, table, rate, seconds, int(inboxes), int(first)))

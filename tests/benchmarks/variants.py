"""`python -m tests.benchmarks.variants serve …`: the gateway with one part changed, to compare with or to look into.

GATEWAY_… variables are the gateway's; BENCH_INGEST says how webhooks are kept: `one` (a transaction for each request,
as the usual recipe has it) or `none` (answered without a database). BENCH_HELD: how long the turns of the loop were in
which it fanned out is printed at the end.
"""

import asyncio
import json
import os
import sys
import time
from typing import Any

from gateway.cli.main import main
from gateway.realtime.hub.fanout_scheduler import FanoutScheduler
from gateway.runtime import services
from gateway.services.webhooks.batch import InboundWebhook, Outcome, WebhookStore


class OneByOne:
    """A transaction for each webhook, as many at a time as the pool has connections."""

    is_away = False
    unanswered = 0

    def __init__(self, store: WebhookStore, *_: Any) -> None:
        self._store = store

    def keeps_raw(self) -> bool:
        return False

    def tell(self, delivery: InboundWebhook) -> None:
        pass

    def note_committed(self) -> None:
        pass

    async def submit(self, delivery: InboundWebhook) -> Outcome:
        return (await self._store.write([delivery]))[0]

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


class Nowhere(OneByOne):
    async def submit(self, delivery: InboundWebhook) -> Outcome:
        return "stored"


def _watch_turns() -> list[list[float]]:
    """Seconds of each turn, by fan-out; grows as long as the gateway runs."""
    turns: list[list[float]] = []
    turn, start = FanoutScheduler.turn, FanoutScheduler.start

    def timed_start(self: FanoutScheduler, walk: Any) -> None:
        turns.append([])
        start(self, walk)

    def timed_turn(self: FanoutScheduler) -> None:
        began = time.perf_counter()
        turn(self)
        turns[-1].append(time.perf_counter() - began)

    vars_of: Any = FanoutScheduler
    vars_of.start, vars_of.turn = timed_start, timed_turn
    return turns


if __name__ == "__main__":
    if way := os.environ.get("BENCH_INGEST"):
        # The composition root puts it in ours' place.
        vars(services)["Ingest"] = {"one": OneByOne, "none": Nowhere}[way]
    turns = _watch_turns() if os.environ.get("BENCH_HELD") else []
    try:
        main()
    finally:
        sys.stdout.write("held " + json.dumps([each for each in turns if each]) + "\n")
        sys.stdout.flush()

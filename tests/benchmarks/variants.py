"""`python -m tests.benchmarks.variants serve …`: the gateway with another way to keep webhooks, to compare with ours.

GATEWAY_… variables are the gateway's; BENCH_INGEST says which way: `one` (a transaction for each request, as the usual
recipe has it) or `none` (answered without a database).
"""

import asyncio
import os
from typing import Any

from gateway import app
from gateway.cli import main
from gateway.services.deliveries import Delivery, DeliveryStore, Outcome


class OneByOne:
    """A transaction for each webhook, as many at a time as the pool has connections."""

    is_away = False

    def __init__(self, store: DeliveryStore, *_: Any) -> None:
        self._store = store

    def tell(self, delivery: Delivery) -> None:
        pass

    def note_committed(self) -> None:
        pass

    async def submit(self, delivery: Delivery) -> Outcome:
        return (await self._store.write([delivery]))[0]

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


class Nowhere(OneByOne):
    async def submit(self, delivery: Delivery) -> Outcome:
        return "stored"


if __name__ == "__main__":
    way = {"one": OneByOne, "none": Nowhere}[os.environ["BENCH_INGEST"]]
    vars(app)["Ingest"] = way  # the composition root puts it in ours' place
    main()

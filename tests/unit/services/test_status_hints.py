"""The end of a gateway cannot be held up by a question that a silent Postgres never answers."""

import asyncio
from typing import Any, cast

from gateway.services.sessions.status_hints import StatusHints


class Frozen:
    """A store whose driver waits for the acknowledgement of a cancellation, which a frozen server does not send."""

    def __init__(self) -> None:
        self.asked, self.thawed = asyncio.Event(), asyncio.Event()

    async def status(self, session_id: int) -> None:
        self.asked.set()
        while not self.thawed.is_set():
            try:
                await self.thawed.wait()
            except asyncio.CancelledError:
                if self.thawed.is_set():
                    raise


async def test_the_wait_for_questions_that_do_not_end_can_be_cut_off() -> None:
    store, nothing = Frozen(), cast(Any, None)
    hints = StatusHints(cast(Any, store), nothing, nothing, nothing)
    hints.ask(12, "connected")
    (question,) = hints._tasks.values()
    await store.asked.wait()
    closing = asyncio.ensure_future(hints.close())
    await asyncio.sleep(0)
    closing.cancel()
    done, _ = await asyncio.wait([closing], timeout=5)

    assert closing in done
    store.thawed.set()
    question.cancel()
    await asyncio.wait([question])

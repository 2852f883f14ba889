"""The end of a gateway cannot be held up by a question that a silent Postgres or upstream never answers."""

import asyncio
from typing import Any, cast

from gateway.services.sessions.status_hints import StatusHints


async def test_the_wait_for_questions_that_do_not_end_can_be_cut_off() -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def ask(session_id: int) -> str | None:
        asked.set()
        while (
            not answered.is_set()
        ):  # as the driver does, whose cancellation a frozen server does not acknowledge
            try:
                await answered.wait()
            except asyncio.CancelledError:
                pass
        return None

    hints = StatusHints(cast(Any, None), ask, lambda session_id, status: None, cast(Any, None))
    hints.ask(12, "connected")
    await asked.wait()
    closing = asyncio.ensure_future(hints.close())
    await asyncio.sleep(0)
    closing.cancel()
    done, _ = await asyncio.wait([closing], timeout=5)

    assert closing in done
    answered.set()

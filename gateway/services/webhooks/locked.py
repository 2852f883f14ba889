"""Webhooks whose rows another transaction holds: each by itself, and what follows under its keys stands behind it."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.domain.ordering import Cause, held_keys
from gateway.services.webhooks.batch import Waiting


class LockedRows:
    """`attempt` writes or spools one webhook; it returns when the webhooks behind it may go."""

    def __init__(self, attempt: Callable[[Waiting, Cause], Awaitable[None]]) -> None:
        self._attempt = attempt
        self._last: dict[tuple[int, str], asyncio.Task[None]] = {}
        """The last one under each ordering key of a session."""
        self._tasks: set[asyncio.Task[None]] = set()

    def is_ahead_of(self, waiting: Waiting) -> bool:
        """Whether a webhook that waits here shares an ordering key with this one and has to come first."""
        return bool(self._last) and any(
            (waiting.session_id, ordering_key) in self._last for ordering_key in waiting.ordering_keys
        )

    def add(self, waiting: Waiting, cause: Cause) -> None:
        """Starts a task for it: other webhooks must not wait for a row that another transaction holds."""
        behind = {
            ordering_key
            for ordering_key in waiting.ordering_keys
            if (waiting.session_id, ordering_key) in self._last
        }
        ahead = {self._last[waiting.session_id, ordering_key] for ordering_key in behind}
        task = asyncio.create_task(self._go(waiting, cause, ahead), name="ingest-alone")
        ordering_keys = behind | held_keys(waiting.inbound.reading, cause)
        for ordering_key in ordering_keys:
            self._last[waiting.session_id, ordering_key] = task
        self._tasks.add(task)

        def leave(_: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            for ordering_key in ordering_keys:
                if self._last.get((waiting.session_id, ordering_key)) is task:
                    del self._last[waiting.session_id, ordering_key]

        task.add_done_callback(leave)

    def cancel(self) -> None:
        """Ends all tries. What waited is answered by its own task."""
        for task in self._tasks:
            task.cancel()

    async def _go(self, waiting: Waiting, cause: Cause, ahead: set[asyncio.Task[None]]) -> None:
        if ahead:
            # Each of them ends by its own deadline, which is not later than ours.
            await asyncio.wait(ahead)
        await self._attempt(waiting, cause)

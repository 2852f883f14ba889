"""Webhooks whose rows another transaction holds: each by itself, and what follows under its keys stands behind it."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.domain.ordering import Cause, held_keys
from gateway.services.background import Background
from gateway.services.webhooks.batch import Waiting


class LockedRows:
    """`attempt` writes or spools one webhook; it returns when the webhooks behind it may go."""

    def __init__(self, attempt: Callable[[Waiting, Cause], Awaitable[None]]) -> None:
        self._attempt = attempt
        self._last: dict[tuple[int, str], asyncio.Task[None]] = {}
        """The last one under each ordering key of a session."""
        self._background = Background()

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
        task = self._background.start(self._go(waiting, cause, ahead), "ingest-alone")
        ordering_keys = behind | held_keys(waiting.inbound.reading, cause)
        for ordering_key in ordering_keys:
            self._last[waiting.session_id, ordering_key] = task

        def leave(_: asyncio.Task[None]) -> None:
            for ordering_key in ordering_keys:
                if self._last.get((waiting.session_id, ordering_key)) is task:
                    del self._last[waiting.session_id, ordering_key]

        task.add_done_callback(leave)

    async def close(self) -> None:
        """Ends all tries, and returns when they have ended."""
        await self._background.close()

    async def _go(self, waiting: Waiting, cause: Cause, ahead: set[asyncio.Task[None]]) -> None:
        if ahead:
            # Each of them ends by its own deadline, which is not later than ours.
            await asyncio.wait(ahead)
        await self._attempt(waiting, cause)

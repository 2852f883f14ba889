"""Sessions whose webhooks are refused, all of them: their secret has changed upstream, and the shop may not notice.

A stranger can send a wrong secret, too; so what counts is that none with the right one came since.

Lifecycle: `run` writes what was noted until it is cancelled; what cannot be written is written later.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from gateway.domain.errors import GatewayError

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 5.0


class RefusedStore(Protocol):
    """Where the sessions' refused webhooks are counted. Raises StoreUnavailable."""

    async def note_refused(self, taken: Collection[int], refused: Mapping[int, int]) -> list[int]:
        """The sessions whose count has changed.

        Of `taken` sessions a webhook was taken: what was refused before counts no more. `refused` come on top.
        """


class RefusedWebhooks:
    """Counts, by session, the webhooks that were refused since the last one that was taken."""

    def __init__(
        self,
        store: RefusedStore,
        on_change: Callable[[Collection[int]], Awaitable[None]],
        *,
        write_every_s: float = WRITE_EVERY_S,
    ) -> None:
        """`on_change` is told of the sessions whose count has changed. It raises GatewayError."""
        self._store = store
        self._on_change = on_change
        self._write_every_s = write_every_s
        self._taken: set[int] = set()
        self._refused: dict[int, int] = {}
        self._has_news = asyncio.Event()

    def note(self, session_id: int) -> None:
        """A webhook that names the session was refused. Never waits."""
        self._refused[session_id] = self._refused.get(session_id, 0) + 1
        self._has_news.set()

    def taken(self, session_id: int) -> None:
        """A webhook of the session came with the right secret. Never waits."""
        if session_id not in self._taken or self._refused:
            self._taken.add(session_id)
            self._refused.pop(session_id, None)
            self._has_news.set()

    async def run(self) -> None:
        """Writes what was noted, until it is cancelled."""
        while True:
            await self._has_news.wait()
            try:
                await self.write()
            except GatewayError as error:
                logger.info("webhooks.refused_not_noted error=%s", error)
            except Exception:
                logger.exception("webhooks.refused_not_noted")
            await asyncio.sleep(self._write_every_s)

    async def write(self) -> None:
        """Writes what was noted so far. Raises GatewayError; then it is kept."""
        self._has_news.clear()
        taken, self._taken = self._taken, set()
        refused, self._refused = self._refused, {}
        try:
            changed = await self._store.note_refused(taken, refused)
        except BaseException:
            for session_id, count in refused.items():
                if session_id not in self._taken:
                    self._refused[session_id] = self._refused.get(session_id, 0) + count
            self._taken |= taken - self._refused.keys()
            self._has_news.set()
            raise
        if changed:
            await self._on_change(changed)

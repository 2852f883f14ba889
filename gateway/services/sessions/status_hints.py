"""Statuses that a webhook told without a time of its own: upstream is asked once whether they are so.

What upstream answers counts. Where it does not answer, the end of a link counts and is shown as not sure; any other
status waits, and upstream is asked again with back-off.

Lifecycle: `ask` starts a task per session, a newer hint ends the older one's; `close` ends all.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.domain.backoff import Backoff
from gateway.domain.errors import GatewayError, SessionNotFound
from gateway.domain.message import SessionChange, StatusReported
from gateway.domain.session import Heard, SessionStatus, StatusSource, normalise_status
from gateway.services.background import Background
from gateway.services.deadlines import upstream_late, within

logger = logging.getLogger(__name__)

ANSWER_S = 2.0
"""How long upstream may take before a hint counts, or waits, without it."""

TRIES = 8
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0

_ENDS = (SessionStatus.LOGGED_OUT, SessionStatus.DISCONNECTED)


class HintStore(Protocol):
    """Where statuses are read and stored. Raises StoreUnavailable."""

    async def status(self, session_id: int) -> str | None:
        """The session's stored status, or None."""

    async def record_status(
        self, session_id: int, status: str, source: StatusSource, as_of: float, *, is_doubtful: bool = False
    ) -> Heard:
        """Stores a status unless a newer one is known; `as_of` is when it was asked for, unix seconds."""


class StatusHints:
    """Asks upstream whether a status is so that a webhook told without a time."""

    def __init__(
        self,
        store: HintStore,
        ask: Callable[[int], Awaitable[str | None]],
        on_status: Callable[[int, str], None],
        on_gone: Callable[[int], Awaitable[object]],
        *,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        """`ask` asks upstream for a status; `on_status` is told of what was recorded, `on_gone` of a session that
        upstream does not have."""
        self._store = store
        self._ask = ask
        self._on_status = on_status
        self._on_gone = on_gone
        self._backoff = Backoff(first_pause_s, LONGEST_PAUSE_S)
        self._background = Background()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def on_report(self, session_id: int, change: SessionChange) -> None:
        """A webhook's change of a session has been committed. Returns at once."""
        # A new code notifies, and one that is known is no reason to ask upstream.
        if not isinstance(change, StatusReported):
            return
        if change.has_time:
            self.drop(session_id)
            self._on_status(session_id, change.status)
        else:
            self.ask(session_id, change.status)

    def drop(self, session_id: int) -> None:
        """Something surer is known: what waits for an answer counts no more."""
        former = self._tasks.pop(session_id, None)
        if former is not None:
            former.cancel()

    def ask(self, session_id: int, status: str) -> None:
        """A webhook told this status. Returns at once."""
        self.drop(session_id)
        task = self._background.start(self._settle(session_id, status), f"status-hint-{session_id}")
        self._tasks[session_id] = task
        task.add_done_callback(lambda done: self._forget(session_id, done))

    async def close(self) -> None:
        """Ends the questions that are under way."""
        await self._background.close()

    def _forget(self, session_id: int, done: asyncio.Task[None]) -> None:
        if self._tasks.get(session_id) is done:
            del self._tasks[session_id]

    async def _settle(self, session_id: int, status: str) -> None:
        for failures in range(1, TRIES + 1):
            try:
                if await self._is_settled(session_id, status):
                    return
            except SessionNotFound:
                await self._on_gone(session_id)
                return
            except GatewayError as error:
                logger.warning("status_hints.not_settled session=%d error=%s", session_id, error)
            await asyncio.sleep(self._backoff.pause_s(failures, random.random()))

    async def _is_settled(self, session_id: int, status: str) -> bool:
        known = await self._store.status(session_id)
        if known is None:
            return True
        if known == status:
            self._on_status(session_id, status)
            return True
        as_of = time.time()
        told = await self._answer(session_id)
        if told is not None:
            await self._store.record_status(session_id, told, "probe", as_of)
            self._on_status(session_id, told)
            return True
        if status in _ENDS:
            await self._store.record_status(session_id, status, "webhook", as_of, is_doubtful=True)
            self._on_status(session_id, status)
            return True
        return False

    async def _answer(self, session_id: int) -> str | None:
        try:
            told = await within(ANSWER_S, self._ask(session_id), upstream_late)
        except SessionNotFound:
            raise
        except GatewayError as error:
            logger.info("status_hints.unanswered session=%d error=%s", session_id, type(error).__name__)
            return None
        return None if told is None else normalise_status(told)

"""Webhook → rows, in batches; nothing is acknowledged before it is safe.

Webhooks that arrive while a transaction commits share the next one (there is no timer: an idle gateway commits
at once), and each is answered after that commit. A batch that Postgres refuses is halved until the bad one is
alone, and goes to the journal. Of a batch that meets a row somebody else holds, each is written by itself and
beside the next batches: only the held one waits, is tried again for a while, and is then handed back to its
sender, who retries.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from gateway.domain.errors import RowLocked, RowRefused, StoreUnavailable, Unavailable
from gateway.domain.message import Reading, SessionChange

logger = logging.getLogger(__name__)

MAX_BATCH = 128
MAX_WAITING = 4096
GIVE_UP_S = 5.0
"""How long a webhook is tried whose row somebody else holds, before its sender is asked to come back."""

AT_ONCE = 3
"""Connections that webhooks written by themselves may use together: the others are for those who do not wait."""

OUTAGE_S = 2.0
"""How long a batch is tried while Postgres is away."""

Outcome = Literal["stored", "duplicate", "ignored", "unknown", "failed"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified webhook, redacted and mended, with what it says."""

    session_id: int
    received_at: datetime
    body: dict[str, Any]
    reading: Reading


class DeliveryStore(Protocol):
    async def write(self, batch: Sequence[Delivery]) -> list[Outcome]:
        """Rows and journal of the whole batch in one transaction.

        Raises RowRefused if Postgres refuses some of the data, RowLocked if a foreign transaction holds some
        row, StoreUnavailable if Postgres is away; nothing of the batch is stored then.
        """

    async def journal_failure(self, delivery: Delivery, reason: str) -> None:
        """Keeps a delivery whose rows Postgres refuses."""


@dataclass(slots=True)
class _Waiting:
    delivery: Delivery
    done: asyncio.Future[Outcome]


class Ingest:
    def __init__(
        self,
        store: DeliveryStore,
        on_session_change: Callable[[int, SessionChange], None] = lambda session_id, change: None,
    ) -> None:
        self._store = store
        self._on_session_change = on_session_change
        self._queue: list[_Waiting] = []
        self._unanswered: set[asyncio.Future[Outcome]] = set()
        self._alone: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._wake = asyncio.Event()
        self._is_open = True

    async def submit(self, delivery: Delivery) -> Outcome:
        """Returns once the delivery is committed. Raises Unavailable; then nothing is stored."""
        if not self._is_open or len(self._unanswered) >= MAX_WAITING:
            raise Unavailable("The gateway cannot take webhooks now. Send it again.", retry_after_s=1)
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._unanswered.add(done)
        done.add_done_callback(self._unanswered.discard)
        self._queue.append(_Waiting(delivery, done))
        self._wake.set()
        return await done

    async def run(self) -> None:
        """Commits batch after batch until cancelled; `close` first, so that nothing is left behind."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
                    await self._commit(batch)
        finally:
            for task in self._alone:
                task.cancel()

    async def close(self) -> None:
        """Takes nothing new, and returns when everything taken has been answered."""
        self._is_open = False
        if self._unanswered:
            await asyncio.wait(list(self._unanswered))

    async def _commit(self, batch: list[_Waiting]) -> None:
        try:
            outcomes = await self._write(batch)
        except RowLocked:
            for waiting in batch:
                self._set_apart(waiting)
        except StoreUnavailable as error:
            for waiting in batch:
                _answer(waiting, error)
        except Exception as error:
            # Whatever it is, it must not cost the others of the batch.
            if len(batch) > 1:
                await self._halve(batch)
            else:
                await self._give_up(batch[0], error)
        else:
            for waiting, outcome in zip(batch, outcomes, strict=True):
                self._stored(waiting, outcome)

    async def _write(self, batch: list[_Waiting]) -> list[Outcome]:
        """One transaction, tried again for a moment while Postgres is away."""
        deadline = asyncio.get_running_loop().time() + OUTAGE_S
        while True:
            try:
                return await self._store.write([waiting.delivery for waiting in batch])
            except RowLocked:
                raise
            except StoreUnavailable:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(random.uniform(0.1, 0.3))

    async def _halve(self, batch: list[_Waiting]) -> None:
        middle = len(batch) // 2
        await self._commit(batch[:middle])
        await self._commit(batch[middle:])

    def _set_apart(self, waiting: _Waiting) -> None:
        # In a task of its own: who else arrives must not wait for a row that a stranger holds.
        task = asyncio.create_task(self._try_alone(waiting), name="ingest-alone")
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)

    async def _try_alone(self, waiting: _Waiting) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GIVE_UP_S
        while True:
            try:
                async with self._turns:
                    outcomes = await self._store.write([waiting.delivery])
            except StoreUnavailable as error:
                if loop.time() > deadline:
                    return _answer(waiting, error)
            except Exception as error:
                return await self._give_up(waiting, error)
            else:
                return self._stored(waiting, outcomes[0])
            await asyncio.sleep(random.uniform(0.05, 0.2))

    async def _give_up(self, waiting: _Waiting, error: Exception) -> None:
        """One webhook that cannot be written: into the journal if it is the data's fault, else back to its sender."""
        delivery = waiting.delivery
        try:
            if not isinstance(error, RowRefused):
                raise error
            logger.warning(
                "ingest.refused session=%d event=%s reason=%s",
                delivery.session_id, delivery.reading.event, error.message,
            )  # fmt: skip
            await self._store.journal_failure(delivery, error.message)
        except StoreUnavailable as away:
            _answer(waiting, away)
        except Exception as fault:
            # Also a bug of ours: the pump must outlive it, and the sender tries again.
            logger.exception("ingest.failed session=%d event=%s", delivery.session_id, delivery.reading.event)
            _answer(waiting, Unavailable(f"The webhook could not be stored ({type(fault).__name__})."))
        else:
            _answer(waiting, "failed")

    def _stored(self, waiting: _Waiting, outcome: Outcome) -> None:
        _answer(waiting, outcome)
        for change in waiting.delivery.reading.changes:
            if isinstance(change, SessionChange):
                self._on_session_change(waiting.delivery.session_id, change)


def _answer(waiting: _Waiting, result: Outcome | BaseException) -> None:
    if waiting.done.done():
        return  # the sender hung up
    if isinstance(result, BaseException):
        waiting.done.set_exception(result)
    else:
        waiting.done.set_result(result)

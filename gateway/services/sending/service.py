"""Sends the queues: one sender per session in the whole cluster.

A lease (held on the listening connection) is the right to send a session's queue. It is taken when a notification tells
of work, and every gateway looks every few seconds for work that no sender does, because a gateway died or lost its
leases.

Lifecycle: `run` owns every task of this file and ends after `close`. `close` lets the calls under way end.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import replace

from gateway.domain.errors import GatewayError
from gateway.domain.notifications import sessions_of
from gateway.services.sending.checks import Checker
from gateway.services.sending.ports import Leases, QueueStore, SendingContext, Standing
from gateway.services.sending.runner import SessionRunner

logger = logging.getLogger(__name__)

LOOK_S = 3.0
"""Between two looks for queues without a sender."""
CLOSE_S = 6.0


class Sending:
    """Keeps a sender for every session that has something to send."""

    def __init__(
        self,
        store: QueueStore,
        leases: Leases,
        context: SendingContext,
        checker_of: Callable[[int], Checker],
        awake: asyncio.Event | None = None,
    ) -> None:
        """`checker_of` makes the part that asks upstream for the fate of messages."""
        self._store = store
        self._leases = leases
        self._context = replace(context, lease_until=self._lease_until, on_step=self._stepped)
        self._held_until = context.lease_until
        self._checker_of = checker_of
        self._awake = awake
        self._runners: dict[int, SessionRunner] = {}
        self._busy: set[int] = set()
        self._look_at = 0.0
        self._stir = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._is_closing = False
        self._is_closed = asyncio.Event()
        self._is_closed.set()
        self._fault: str | None = None

    @property
    def senders(self) -> int:
        """How many queues are sent here."""
        return sum(runner.has_lease for runner in self._runners.values())

    @property
    def is_busy(self) -> bool:
        """Whether a queue is being sent here."""
        return bool(self._runners)

    # ------------------------------------------------------------------------------------------ told by others

    def notify(self, payload: str) -> None:
        """Takes a notification of changed queues. Never waits; a payload that cannot be read counts as all."""
        numbers = sessions_of(payload)
        if numbers is None:
            self._look_soon()
            return
        for number in numbers:
            if (runner := self._runners.get(number)) is not None:
                runner.wake()
        self._busy.update(numbers)
        self._stir.set()

    def session_changed(
        self, session_id: int, attempt: object, status: str | None, row_version: int | None
    ) -> None:
        """Status or settings of a session may have changed: its sender here looks."""
        if (runner := self._runners.get(session_id)) is not None:
            runner.wake()

    def inboxes_moved(self, payload: str) -> None:
        """Messages came, or changed: what is open may be settled, and a chat may have written."""
        numbers = sessions_of(payload)
        for session_id, runner in self._runners.items():
            if numbers is None or session_id in numbers:
                runner.messages_moved()

    def keys_changed(self, session_ids: Iterable[int]) -> None:
        """These sessions have another API key."""
        for session_id in session_ids:
            if (runner := self._runners.get(session_id)) is not None:
                runner.key_changed()

    def on_renewed(self) -> None:
        """The leases hold for longer again: calls that waited for that may begin."""
        for runner in self._runners.values():
            if runner.is_starved:
                runner.is_starved = False
                runner.wake()

    def on_leases_lost(self) -> None:
        """The listening connection is gone, and every lease with it: no call begins any more."""
        for runner in self._runners.values():
            runner.has_lease = False
            runner.interrupt()
        self._look_soon()

    # ------------------------------------------------------------------------------------------ running

    async def run(self) -> None:
        """Until `close`. Nothing that one session does, and no bug in its sender, ends it."""
        self._is_closed.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                try:
                    while not self._is_closing:
                        await self._turn()
                    await self._stop()
                finally:
                    self._tasks = None  # a group that is ending takes no more tasks
        finally:
            self._is_closed.set()

    async def close(self) -> None:
        """Begins no call any more, lets those under way end, and gives the leases back. Idempotent."""
        self._is_closing = True
        self._stir.set()
        await self._is_closed.wait()

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            if loop.time() >= self._look_at:
                self._look_at = loop.time() + LOOK_S * random.uniform(0.8, 1.2)
                if self._awake is None or self._awake.is_set():
                    await self._look()
            busy, self._busy = self._busy, set()
            for session_id in busy - self._runners.keys():
                self._start(session_id)
        except GatewayError as error:  # the next look sees whatever was missed
            logger.warning("sending.store_unavailable error=%s", error)
        except Exception:
            logger.exception("sending.turn_failed")
        try:
            async with asyncio.timeout(max(0.0, self._look_at - loop.time())):
                await self._stir.wait()
        except TimeoutError:
            pass
        self._stir.clear()

    async def _look(self) -> None:
        fault = await self._store.fault()
        if fault != self._fault:
            self._fault = fault
            logger.warning("sending.impossible reason=%s", fault) if fault else logger.info(
                "sending.possible"
            )
        if fault is None:
            self._busy.update(await self._store.busy_sessions())

    def _look_soon(self) -> None:
        self._look_at = 0.0
        self._stir.set()

    def _start(self, session_id: int) -> None:
        if self._tasks is None or self._is_closing or self._fault is not None:
            return
        former = self._runners.get(session_id)
        runner = SessionRunner(
            session_id, self._store, self._context, self._checker_of(session_id), self._leases
        )
        self._runners[session_id] = runner
        runner.task = self._tasks.create_task(runner.run(former), name=f"send session {session_id}")
        # Not in the task itself: one that is cancelled before its first step runs no `finally`.
        runner.task.add_done_callback(lambda _: self._leave(session_id, runner))

    def _leave(self, session_id: int, runner: SessionRunner) -> None:
        if self._runners.get(session_id) is runner:
            del self._runners[session_id]

    async def _stop(self) -> None:
        """Interrupts all senders, and waits until their calls are over and written; not for ever."""
        for runner in self._runners.values():
            runner.interrupt()
        tasks = [runner.task for runner in self._runners.values() if runner.task is not None]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=CLOSE_S)
        for task in late:
            task.cancel()

    # ------------------------------------------------------------------------------------------ told by senders

    def _stepped(self, session_id: int, standing: Standing) -> None:
        if (runner := self._runners.get(session_id)) is not None:
            runner.show(standing)

    def _lease_until(self, session_id: int) -> float:
        runner = self._runners.get(session_id)
        if runner is None or not runner.has_lease:
            return float("-inf")
        until = self._held_until(session_id)
        runner.is_starved = until < self._context.clock() + self._context.terms.call_s
        return until

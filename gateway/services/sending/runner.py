"""Sends one session's queue in this process, from the lease to the end of the work.

Lifecycle: `Sending` runs `run` in a task and ends it with `interrupt`. A call under way is awaited; the lease is always
given back.
"""

import asyncio
import contextlib
import logging
from uuid import uuid4

from gateway.domain.errors import GatewayError, StoreUnavailable
from gateway.services.sending.checks import Checker
from gateway.services.sending.ports import Leases, QueueStore, SendingContext, Shown, Standing
from gateway.services.sending.sender import Sender

logger = logging.getLogger(__name__)

SHOW_EVERY_S = 1.0
"""Viewers are told at most so often."""
IDLE_S = 2.0
"""How long an empty queue is kept: messages often come one after the other."""


class SessionRunner:
    """The sender and the checker of one session, while this process holds its lease."""

    def __init__(
        self, session_id: int, store: QueueStore, context: SendingContext, checker: Checker, leases: Leases
    ) -> None:
        self.task: asyncio.Task[None] | None = None
        self.has_lease = False
        """Or may have it: it was asked for, and the answer was not no."""
        self.is_starved = False
        """A call was not begun because the lease would not have outlasted it."""
        self._id = session_id
        self._store = store
        self._leases = leases
        self._token = str(uuid4())
        self._sender = Sender(session_id, self._token, context)
        self._checker = checker
        self._standing: Standing | None = None
        self._stepped = asyncio.Event()

    def wake(self) -> None:
        """The queue, or what decides about it, has changed."""
        self._sender.wake()
        self._checker.wake()

    def messages_moved(self) -> None:
        """What became of a message may be known now."""
        self._checker.wake()
        self._sender.messages_moved()

    def key_changed(self) -> None:
        """The session has another API key."""
        self._sender.key_changed()

    def interrupt(self) -> None:
        """No call begins any more."""
        self._sender.interrupt()

    def show(self, standing: Standing) -> None:
        """Takes how the queue stands; viewers are told soon."""
        self._standing = standing
        self._stepped.set()

    async def run(self, former: "SessionRunner | None") -> None:
        """Sends until there is nothing to do, or it is interrupted. Never raises, except when it is cancelled."""
        try:
            if former is not None and former.task is not None:
                await asyncio.wait([former.task])  # it may still hold the lease, and Postgres counts them
            self.has_lease = True
            self.has_lease = await self._leases.acquire(self._id)
            if not self.has_lease:
                return
            logger.info("sending.started session=%d", self._id)
            await self._work()
        except GatewayError as error:
            logger.warning("sending.stopped session=%d error=%s", self._id, error)
        except Exception:
            logger.exception("sending.crashed session=%d", self._id)
        finally:
            await self._release()

    async def _work(self) -> None:
        beside = [asyncio.create_task(self._checker.run()), asyncio.create_task(self._display())]
        try:
            await self._sender.run()
            await self._tell()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _display(self) -> None:
        """Tells viewers, and ends the work once nothing is left of it."""
        while True:
            left = await self._tell()
            await asyncio.sleep(SHOW_EVERY_S)
            if left == 0 and self._checker.is_idle and not self._stepped.is_set():
                await asyncio.sleep(IDLE_S)
                if not self._stepped.is_set() and self._checker.is_idle:
                    self.interrupt()
            if left == 0:
                with contextlib.suppress(TimeoutError):  # the checker may become idle without a step
                    async with asyncio.timeout(IDLE_S):
                        await self._stepped.wait()
            else:
                await self._stepped.wait()
            self._stepped.clear()

    async def _tell(self) -> int | None:
        """How many messages wait; None where it could not be found out."""
        standing = self._standing
        try:
            queued = await self._store.count(self._id)
            if standing is None:
                return queued
            shown = Shown(queued, standing.next_at, standing.paused_until, standing.reason)
            await self._store.show(self._id, self._token, shown if queued else Shown())
        except StoreUnavailable as error:
            logger.info("sending.not_shown session=%d error=%s", self._id, error.code)
            return None
        return queued

    async def _release(self) -> None:
        if not self.has_lease:
            return
        self.has_lease = False
        try:
            await self._leases.release(self._id)
        except Exception as error:  # mostly: the connection is gone, and the lease with it
            logger.warning("sending.release_failed session=%d error=%r", self._id, error)

"""Linking phones: one poller per connecting session in the whole cluster.

The attempt is a row in Postgres, and a lease (held on the listening connection) is the right to run its
poller. `connect` makes the row and starts a poller here; every gateway looks every few seconds for attempts
that run without one, because a gateway died or lost its leases, and takes them over from their row.

Lifecycle: `run` owns every task of this file and ends after `close`. Pollers that are stopped by `close`, or
by `on_leases_lost`, end no attempt: it goes on at whichever gateway gets the lease.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

from gateway.domain import linking
from gateway.domain.errors import GatewayError
from gateway.domain.linking import Attempt, End
from gateway.domain.message import SessionChange, StatusReported
from gateway.domain.session import Actor, SessionId, SessionStatus
from gateway.services.deadlines import upstream_late, within
from gateway.services.linking.attempt_runner import AttemptRunner
from gateway.services.linking.ports import (
    CALL_S,
    STORE_S,
    Leases,
    LinkingContext,
    OnConnected,
)

logger = logging.getLogger(__name__)

LOOK_S = 3.0
"""Between two looks for attempts without a poller."""
CLOSE_S = 5.0
"""For pollers to give their leases back, and for what follows an end."""
REFRESH_S = 30.0
"""For reading key, user and the rest after a link."""


class Linking:
    """Starts, follows and ends attempts to link a phone."""

    def __init__(
        self,
        context: LinkingContext,
        leases: Leases,
        *,
        on_connected: OnConnected,
        look_s: float = LOOK_S,
        awake: asyncio.Event | None = None,
    ) -> None:
        self._awake = awake
        self._context = context
        self._completion = Completion(context, on_connected)
        self._store = context.store
        self._look_s = look_s
        self._leases = leases
        self._runners: dict[int, AttemptRunner] = {}
        self._woken: set[int] = set()
        """Sessions of which a webhook has told: their pollers ask at once."""
        self._doubtful: set[int] = set()
        """Sessions whose poller may follow an attempt that is not its own any more: their rows are read."""
        self._stir = asyncio.Event()
        self._look_at = 0.0
        self._is_closing = False
        self._is_closed = asyncio.Event()
        self._is_closed.set()
        self._tasks: asyncio.TaskGroup | None = None
        self._side_tasks: set[asyncio.Task[None]] = set()
        self._confirming: set[int] = set()

    # -------------------------------------------------------------------------------------- asked by people

    async def connect(self, session_id: int, actor: Actor) -> Attempt:
        """The running attempt of the session; a new one if none runs. Idempotent, also across gateways.

        Answers as soon as the attempt is stored; upstream is asked by the poller. Raises StoreUnavailable.
        """
        runner = self._new_runner(session_id)
        begun = self._store.begin(session_id, runner.token, actor.name)
        attempt, is_new = await within(STORE_S, begun)
        if is_new:
            self._start(session_id, runner, attempt)
            await self._context.note(
                session_id, "link_started", "Linking was started.", actor=actor.name, attempt_id=attempt.id
            )
        elif (runner_here := self._runners.get(session_id)) is None:
            self.look_now()  # its gateway may have died a moment ago
        elif runner_here.poller is not None:
            runner_here.poller.hurry()
        return attempt

    async def cancel(self, session_id: int, actor: Actor, why: str) -> bool:
        """Ends the running attempt, for a disconnect, delete or restart. False if none runs.

        When it returns, this process asks upstream nothing more about the attempt. Raises StoreUnavailable.
        """
        attempt = await within(STORE_S, self._store.current(session_id))
        is_ended = False
        if attempt is not None and attempt.running:
            now, limits = self._context.clock(), self._context.limits
            for effect in linking.decide(attempt, linking.Cancelled(), now=now, limits=limits):
                if isinstance(effect, End):
                    ended = self._store.end(session_id, None, effect.reason, effect.error)
                    is_ended = await within(STORE_S, ended)
        await self._stop([session_id])
        if is_ended:
            sentence = f"Linking was cancelled: {why.rstrip('.')}."
            await self._context.note(session_id, "link_cancelled", sentence, actor=actor.name)
        return is_ended

    @property
    def pollers(self) -> int:
        """How many attempts are followed here."""
        return sum(runner.poller is not None for runner in self._runners.values())

    @property
    def is_busy(self) -> bool:
        """Whether an attempt is followed here, or being ended."""
        return bool(self._runners or self._side_tasks)

    # -------------------------------------------------------------------------------------- told by others

    def wake(self, session_id: int) -> None:
        """Something happened to this session: its poller, if it is followed here, asks upstream at once."""
        self._woken.add(session_id)
        self._stir.set()

    def look_now(self) -> None:
        """Notifications may have been missed: attempts without a poller are looked for at once."""
        self._look_at = 0.0
        self._stir.set()

    def show(
        self, session_id: int, row: Attempt | None, status: str | None, version: int | None = None
    ) -> None:
        """A session has changed; this is its newest attempt, and status and version of its row: its poller looks.

        A poller's own row is taken as it is. One that is not may be older than the poller, so it is read again.
        """
        runner = self._runners.get(session_id)
        if runner is None:
            return
        if row is not None and runner.poller is not None and runner.holds(row):
            runner.poller.tell(row, status, version)
        else:
            self._doubtful.add(session_id)
            self._stir.set()

    def on_report(self, session_id: int, change: SessionChange) -> None:
        """A webhook's change of a session has been committed. Returns at once."""
        if isinstance(change, StatusReported):
            self.on_status(session_id, change.status)

    def on_status(self, session_id: int, status: str) -> None:
        """A webhook brought a status. Returns at once; `connected` is checked in the background."""
        self.wake(session_id)
        if status == SessionStatus.CONNECTED and session_id not in self._confirming and self._tasks:
            self._confirming.add(session_id)
            self._spawn(self._confirm(session_id), f"confirm link {session_id}")

    def on_leases_lost(self) -> None:
        """The listening connection is gone, and every lease with it: pollers stop, attempts go on."""
        for runner in self._runners.values():
            runner.has_lease = False
            runner.interrupt()
        self.look_now()

    # -------------------------------------------------------------------------------------- running

    async def run(self) -> None:
        """Until `close`. Nothing that one session does, and no bug in its poller, ends it."""
        self._is_closed.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                try:
                    while not self._is_closing:
                        await self._turn()
                    await self._stop(list(self._runners))
                    await _finish(self._side_tasks)
                finally:
                    self._tasks = None  # a group that is ending takes no more tasks
        finally:
            self._is_closed.set()

    async def close(self) -> None:
        """Stops all pollers and gives their leases back, so that another gateway goes on at once."""
        self._is_closing = True
        self._stir.set()
        await self._is_closed.wait()

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            if loop.time() >= self._look_at:
                self._look_at = loop.time() + self._look_s * (0.8 + 0.4 * self._context.roll())
                if self._awake is None or self._awake.is_set():
                    await self._check()
            woken, self._woken = self._woken, set()
            doubtful, self._doubtful = self._doubtful, set()
            for session_id in (woken | doubtful) & self._runners.keys():
                await self._judge(session_id, is_woken=session_id in woken)
        except GatewayError as error:  # the next look sees whatever was missed
            logger.warning("linking.store_unavailable error=%s", error)
        except Exception:
            logger.exception("linking.turn_failed")
        try:
            async with asyncio.timeout(max(0.0, self._look_at - loop.time())):
                await self._stir.wait()
        except TimeoutError:
            pass
        self._stir.clear()

    async def _check(self) -> None:
        """Starts pollers for attempts that may have none, and checks pollers whose attempt is not listed."""
        # Noted before reading: whatever begins during the read is not missing from it.
        followed = {session_id: runner for session_id, runner in self._runners.items() if runner.poller}
        running = {row.session_id: row for row in await within(STORE_S, self._store.running())}
        for session_id in running.keys() - self._runners.keys():
            self._start(session_id, self._new_runner(session_id), None)
        self._doubtful.update(id_ for id_, runner in followed.items() if not runner.holds(running.get(id_)))

    async def _judge(self, session_id: int, *, is_woken: bool) -> None:
        """Shows a poller its row; stops it, even in the middle of a call, if the row is not its own."""
        runner = self._runners.get(session_id)
        if runner is None or runner.poller is None:
            return
        row = await within(STORE_S, self._store.current(session_id))
        if row is None or not runner.holds(row):
            runner.interrupt()
        elif is_woken:
            runner.poller.nudge(row)
        else:
            runner.poller.tell(row)

    # -------------------------------------------------------------------------------------- pollers

    def _new_runner(self, session_id: int) -> AttemptRunner:
        return AttemptRunner(session_id, self._context, self._leases)

    def _start(self, session_id: int, runner: AttemptRunner, fresh: Attempt | None) -> None:
        """Starts a runner in a task. Before `run` nothing is started: `run` finds the attempt."""
        if self._tasks is None or self._is_closing:
            return
        former = self._runners.get(session_id)
        if former is not None:
            former.interrupt()
        self._runners[session_id] = runner
        job = self._work(session_id, runner, fresh, former)
        runner.task = self._tasks.create_task(job, name=f"link session {session_id}")
        # Not in the task itself: one that is cancelled before its first step runs no `finally`.
        runner.task.add_done_callback(lambda _: self._leave(session_id, runner))

    async def _work(
        self, session_id: int, runner: AttemptRunner, fresh: Attempt | None, former: AttemptRunner | None
    ) -> None:
        end = await runner.run(fresh, former)
        if end is not None:
            self._spawn(self._completion.follow(session_id, end), f"close link {session_id}")

    def _leave(self, session_id: int, runner: AttemptRunner) -> None:
        if self._runners.get(session_id) is runner:
            del self._runners[session_id]

    async def _stop(self, session_ids: Iterable[int]) -> None:
        """Interrupts these pollers and waits until they have let go of their leases."""
        runners = [self._runners[session_id] for session_id in session_ids if session_id in self._runners]
        for runner in runners:
            runner.interrupt()
        tasks = [runner.task for runner in runners if runner.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S)

    # -------------------------------------------------------------------------------------- side tasks

    async def _confirm(self, session_id: int) -> None:
        try:
            if await self._completion.confirm(session_id):
                self.wake(session_id)
        finally:
            self._confirming.discard(session_id)

    def _spawn(self, job: Coroutine[None, None, None], name: str) -> None:
        if self._tasks is None:
            job.close()
            return
        task = self._tasks.create_task(_guarded(job, name), name=name)
        self._side_tasks.add(task)
        task.add_done_callback(self._side_tasks.discard)


class Completion:
    """What follows the end of an attempt, once in the cluster: called by the part whose write ended the attempt."""

    def __init__(self, context: LinkingContext, on_connected: OnConnected) -> None:
        self._context = context
        self._on_connected = on_connected

    async def follow(self, session_id: int, end: End) -> None:
        """Writes the end into the audit log, and after `connected` asks for the session's new facts."""
        logger.info("linking.ended session=%d reason=%s", session_id, end.reason)
        note = self._context.note
        match end.reason:
            case "connected":
                if await self._was_scanned_unseen(session_id):
                    await note(session_id, "scanned", "A phone has scanned the code.")
                await note(session_id, "connected", "The phone is linked.")
                await self._refresh(session_id)
            case "timeout":
                await note(session_id, "link_timeout", "No phone was linked in time.")
            case "error":
                error: dict[str, Any] = end.error or {}
                await note(session_id, "error", f"Linking ended: {error.get('message')}", error=error)
            case "cancelled":
                pass  # who cancelled it has said so

    async def confirm(self, session_id: int) -> bool:
        """A webhook said `connected`: ends the running attempt, unless upstream says otherwise when asked.

        A webhook that comes late may be about an earlier link. If upstream cannot be asked, its word stands:
        a linked phone must not end in a time-out. True if this call ended the attempt.
        """
        store = self._context.store
        try:
            attempt = await within(STORE_S, store.current(session_id))
            if attempt is None or not attempt.running or not await self._is_connected(session_id):
                return False
            # The webhook may not say when that was, and then it has written no status.
            told = store.record_status(session_id, SessionStatus.CONNECTED, "webhook")
            await within(STORE_S, told)
            if not await within(STORE_S, store.end(session_id, None, "connected", None)):
                return False
        except GatewayError as error:
            logger.warning("linking.confirm_failed session=%d error=%s", session_id, error)
            return False
        await self.follow(session_id, End("connected"))
        return True

    async def _was_scanned_unseen(self, session_id: int) -> bool:
        """Whether a code was shown and the phone was linked between two polls: the audit log tells of the scan, too."""
        try:
            attempt = await within(STORE_S, self._context.store.current(session_id))
        except GatewayError:
            return False
        return attempt is not None and attempt.number > 0 and attempt.scanned_at is None

    async def _is_connected(self, session_id: int) -> bool:
        call = self._context.upstream.get_session(SessionId(session_id))
        try:
            return (await within(CALL_S, call, upstream_late)).status == SessionStatus.CONNECTED
        except GatewayError as error:
            return error.retryable

    async def _refresh(self, session_id: int) -> None:
        try:
            await within(REFRESH_S, self._on_connected(session_id))
        except GatewayError as error:
            logger.warning("linking.refresh_failed session=%d error=%r", session_id, error)


async def _guarded(job: Coroutine[None, None, None], name: str) -> None:
    """A bug in one session's side task must not end the group that all sessions share."""
    try:
        await job
    except Exception:
        logger.exception("linking.task_crashed task=%s", name)


async def _finish(tasks: set[asyncio.Task[None]]) -> None:
    """Lets these end by themselves, but not for ever."""
    if not tasks:
        return
    _, late = await asyncio.wait(set(tasks), timeout=CLOSE_S)
    for task in late:
        task.cancel()

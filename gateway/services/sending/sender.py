"""Sends one session's queue, one message at a time, each at most once per attempt.

The row is `sending`, committed and fenced, before its call begins. So a sender that dies leaves a row of which its
successor knows that it may have been sent, and a frozen one that wakes up begins nothing. What it was told while it was
frozen is still true: a late answer moves the row, if the row still waits for it.

Lifecycle: `run` in a task while this process holds the session's lease; `wake` on every notification; `interrupt` ends
it after the call that is under way, and so does another sender's taking the queue. Cancelling it in the middle of a
call leaves the row to the successor.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from prometheus_client import Counter

from gateway.domain import send_queue, sending
from gateway.domain.backoff import Backoff
from gateway.domain.errors import (
    GatewayError,
    SessionNotFound,
    StoreUnavailable,
    UpstreamError,
    UpstreamLimit,
    UpstreamRateLimited,
    UpstreamUnauthorized,
)
from gateway.domain.send_queue import Begin, Expire, Queue, Wait
from gateway.domain.sending import Answer, NotSent, Refused, Send, SendStatus
from gateway.services.sending.ports import QueueView, SendingContext, Standing, Start

logger = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_WAIT_S = 60.0
"""A slow tick beside the notifications, which may be lost."""
PREPARE_TRIES = 5
"""So often a message is made ready that upstream answers with an error, its upload for example."""

BACKOFF = Backoff(first_s=0.5, most_s=8.0)
"""Between tries while Postgres is away."""

ANSWERS = Counter(
    "gateway_sends", "Calls that hand a message to WasenderAPI, by what they came to.", ["outcome"]
)


class Sender:
    """Follows one session's queue in this process."""

    def __init__(self, session_id: int, holder: str, context: SendingContext) -> None:
        self._id = session_id
        self._holder = holder
        self._context = context
        self._queue = Queue()
        self._woken = asyncio.Event()
        self._is_ending = False
        self._fetched_at: float | None = None
        """When WasenderAPI last gave the session itself, as of the last step."""
        self._unprepared: dict[int, int] = {}
        """By row: how often upstream refused what it needs before its call."""
        self._never_called: set[tuple[int, tuple[int, str | None, float | None]]] = set()
        """Calls, each of a row, whose start may be committed, and that were given up before they were made."""

    def wake(self) -> None:
        """Something has changed that may decide about the next step."""
        self._woken.set()

    def messages_moved(self) -> None:
        """Something was heard of messages: it decides about the next step only while a trial is out."""
        if self._queue.trial is not None:
            self.wake()

    def key_changed(self) -> None:
        """The session has another API key."""
        self._queue = send_queue.key_changed(self._queue)
        self.wake()

    def interrupt(self) -> None:
        """No call begins any more. `run` ends as soon as the one under way is over and written."""
        self._is_ending = True
        self.wake()

    async def run(self) -> None:
        """Sends until it is interrupted. Postgres' outages are waited out."""
        store = self._context.store
        former = await self._patiently(partial(store.take, self._id, self._holder))
        if former is not None:
            self._queue = former
        while not self._is_ending:
            self._woken.clear()
            view = await self._patiently(partial(store.view, self._id, self._holder))
            if view is None:
                self._be_fenced()
            elif not await self._adopted(view):
                await self._step(view)

    def _be_fenced(self) -> None:
        if not self._is_ending:
            logger.warning("sending.fenced session=%d", self._id)
            self.interrupt()

    # ------------------------------------------------------------------ one step

    async def _adopted(self, view: QueueView) -> bool:
        """Whether there were rows in `sending`; this sender makes no call now, so their calls are not to be heard of.

        Of a former sender's it cannot be said whether it was made. Of its own it can: the commit came late, after it
        had been given up.
        """
        orphans = [send for send in view.sends if send.status is SendStatus.SENDING]
        for send in orphans:
            if (send.id, send.call) in self._never_called:
                await self._take_back(send)
            else:
                logger.warning("sending.orphaned session=%d message=%d", self._id, send.id)
                orphaned = sending.orphaned(send)
                await self._patiently(partial(self._context.store.replace, send, orphaned))
        return bool(orphans)

    async def _step(self, view: QueueView) -> None:
        context, known = self._context, self._queue
        self._learn(view)
        if self._queue != known:
            save = context.store.save_queue
            await self._patiently(partial(save, self._id, self._holder, self._queue))
        step = send_queue.next_step(
            self._queue,
            view.sends,
            view.wrote.__contains__,
            now=context.clock(),
            lease_until=context.lease_until(self._id),
            terms=context.terms,
        )
        context.on_step(self._id, standing_of(step, self._queue, view, context.clock()))
        match step:
            case Begin():
                await self._send(step)
            case Expire():
                for send in step.sends:
                    await self._patiently(partial(context.store.replace, send, sending.expire(send)))
            case Wait():
                await self._wait(step.until)

    def _learn(self, view: QueueView) -> None:
        """What the session's row says. Words of a send are believed against a status that has not changed."""
        queue, now = replace(self._queue, protected=view.protected), self._context.clock()
        if view.is_gone:
            queue = send_queue.session_gone(queue)
        elif view.connected != queue.connected or (not view.connected and queue.not_connected_since is None):
            queue = send_queue.connection_changed(queue, view.connected, now)
        elif queue.reason == "gone" and self._is_found_since(view):
            queue = send_queue.session_found(queue)
        elif queue.reason == "gone" and queue.paused_until <= now:
            queue = replace(queue, reason=None)  # its row still says that it is there: asked again, rarely
        self._fetched_at = view.fetched_at
        restrictions = queue.restrictions
        if view.restricted_at is not None:
            queue = send_queue.restriction_told(queue, view.restricted_at)
        if queue.restrictions != restrictions:
            logger.info("sending.paused session=%d reason=restricted", self._id)
        self._queue = send_queue.trial_stands(queue, view.trial, now)

    def _is_found_since(self, view: QueueView) -> bool:
        """Whether WasenderAPI has given the session after the send to which it said that there is none."""
        return view.fetched_at is not None and self._fetched_at not in (None, view.fetched_at)

    async def _wait(self, until: float | None) -> None:
        left_s = LONGEST_WAIT_S if until is None else until - self._context.clock()
        try:
            async with asyncio.timeout(max(0.0, min(left_s, LONGEST_WAIT_S))):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _send(self, step: Begin) -> None:
        """Everything that can fail without harm comes first; then the commit; then the call."""
        store, send = self._context.store, step.send
        try:
            key = await self._context.preparation.key_of(self._id, fresh=self._queue.key_is_fresh)
            payload = await self._context.preparation.payload_of(send)
        except GatewayError as error:
            logger.info("sending.not_prepared session=%d message=%d error=%s", self._id, send.id, error.code)
            await self._not_prepared(error, step)
            return
        self._unprepared.pop(send.id, None)
        if isinstance(payload, Refused):
            failed = send.to(SendStatus.FAILED, error=payload.error, error_code=payload.error_code)
            await self._patiently(partial(store.replace, send, failed))
            return
        if key is None:
            await self._heed(NotSent("unauthorized", "The session has no API key."), step)
            return
        now = self._context.clock()
        row = sending.begin(send, now, holder=self._holder, is_first_contact=step.is_first_contact)
        if self._is_ending or not await self._begins(send, row):
            return
        answer = await self._context.upstream.send(key, payload)
        ANSWERS.labels(answer.reason if isinstance(answer, NotSent) else type(answer).__name__.lower()).inc()
        await self._write(row, answer)
        await self._heed(answer, step)

    async def _not_prepared(self, error: GatewayError, step: Begin) -> None:
        """What stands in the way of all is waited out; a file that upstream does not take holds up no other message."""
        answer, send = unprepared(error), step.send
        if answer.reason == "not_reached" and isinstance(error, UpstreamError) and error.status is not None:
            self._unprepared[send.id] = self._unprepared.get(send.id, 0) + 1
            if self._unprepared[send.id] >= PREPARE_TRIES:
                del self._unprepared[send.id]
                failed = send.to(SendStatus.FAILED, error=error.message, error_code="upload")
                await self._patiently(partial(self._context.store.replace, send, failed))
                return
        await self._heed(answer, step)

    async def _begins(self, send: Send, row: Send) -> bool:
        """Whether the call may be made. A commit of which nothing was heard may have happened: no call, then."""
        try:
            start = await self._context.store.begin(self._id, self._holder, send, row)
        except StoreUnavailable as error:
            logger.warning("sending.not_begun session=%d message=%d error=%s", self._id, send.id, error.code)
            self._never_called.add((row.id, row.call))
            await self._take_back(row)
            return False
        if start is Start.FENCED:
            self._be_fenced()
        return start is Start.BEGUN

    async def _take_back(self, row: Send) -> None:
        """The row, if its start was committed after all: this sender knows that no call was made."""
        await self._write(row, NotSent("not_reached", "Postgres did not confirm the start."))

    async def _write(self, row: Send, answer: Answer) -> None:
        """Moves the row by the answer, also when another caller has changed it meanwhile; waits until Postgres is
        there to do so."""
        store = self._context.store
        while True:
            current = await self._patiently(partial(store.row, row.id), until_done=True)
            if current is None:
                return
            after = sending.answered(current, row, answer)
            if after is current or await self._patiently(
                partial(store.replace, current, after), until_done=True
            ):
                return

    async def _heed(self, answer: Answer, step: Begin) -> None:
        """What the answer says of all that wait."""
        before = self._queue.reason
        self._queue = send_queue.answered(
            self._queue,
            answer,
            self._context.clock(),
            is_first_contact=step.is_first_contact,
            number=step.send.id,
        )
        if self._queue.reason != before:
            logger.info("sending.paused session=%d reason=%s", self._id, self._queue.reason)
        save = self._context.store.save_queue
        await self._patiently(partial(save, self._id, self._holder, self._queue))

    async def _patiently(self, ask: Callable[[], Awaitable[T]], *, until_done: bool = False) -> T | None:
        """Asks Postgres until it answers. None when this sender is to end first, unless it must be done."""
        failures = 0
        while True:
            try:
                return await ask()
            except StoreUnavailable as error:
                if self._is_ending and not until_done:
                    return None
                logger.info("sending.store_away session=%d error=%s", self._id, error.code)
            failures += 1
            await asyncio.sleep(BACKOFF.pause_s(failures))


def unprepared(error: GatewayError) -> NotSent:
    """What a failure before the call means for the queue: the message surely was not sent."""
    match error:
        case UpstreamUnauthorized():
            return NotSent("unauthorized", error.message)
        case UpstreamLimit():
            return NotSent("subscription", error.message)
        case SessionNotFound():
            return NotSent("gone", error.message)
        case UpstreamRateLimited():
            return NotSent("rate_limit", error.message, error.retry_after_s)
        case _:
            return NotSent("not_reached", error.message)


def standing_of(step: Begin | Expire | Wait, queue: Queue, view: QueueView, now: float) -> Standing:
    """What viewers are told: when the next message may go, or why none does."""
    if not isinstance(step, Wait):
        return Standing(now, None, None)
    reason: str | None = "gone" if view.is_gone and step.reason == "not_connected" else step.reason
    is_held = any(
        send.status is SendStatus.QUEUED and send.due_at <= now and send.chat not in view.wrote
        for send in view.sends
    )
    if reason is None and is_held and queue.restricted_until > now:
        return Standing(step.until, queue.restricted_until, "restricted")
    if reason is None:
        return Standing(step.until, None, None)
    until = {"rate_limit": queue.pace.not_before, "restricted": queue.restricted_until}.get(
        reason, queue.paused_until
    )
    is_known = until > now and reason not in ("not_connected", "gone")
    return Standing(until if is_known else None, until if is_known else None, reason)

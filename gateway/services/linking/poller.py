"""One poller: follows one linking attempt until it has ended, or until another gateway holds it.

It owns no decision: it asks upstream, hands what came to `domain.linking`, and carries out what that says.
Every write names the poller's token, so that a poller which was frozen and woke up too late changes nothing.

Lifecycle: an `AttemptRunner` makes it and runs `follow`; `tell` and cancelling the task are the only ways in.
Cancelling is safe at any point: the attempt's row says where to go on.
"""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeVar

from gateway.domain import linking
from gateway.domain.errors import GatewayError, StoreUnavailable, UpstreamFailed
from gateway.domain.linking import Answered, Attempt, End, Failed, Signal
from gateway.domain.session import SessionId, SessionStatus
from gateway.services.deadlines import upstream_late, within
from gateway.services.linking.ports import CALL_S, STORE_S, LinkingContext

logger = logging.getLogger(__name__)

T = TypeVar("T")

LAST_LOOK_S = 2.0
"""For the look at upstream when the time is up: a scan in the last second counts."""
STORE_RETRY_S = 1.0
STATUS_FRESH_S = 60.0
"""An unchanged status is written at most this often."""
ECHO_S = 1.0
"""A notification this soon after a write of ours, with nothing new in the row, is that write's own."""
MIN_GAP_S = 0.25
"""Between two polls, however often the poller is woken."""
_REFUSED = (400, 409)
"""HTTP statuses of "not in the session's present state"."""


class NotOurs(Exception):
    """The attempt has ended, or another poller holds it."""


class Poller:
    """Follows `attempt`, which is held by `token`.

    `is_new` says that upstream has not been asked to connect yet. Otherwise upstream's status tells whether a
    gateway that died came that far.
    """

    def __init__(self, attempt: Attempt, token: str, context: LinkingContext, *, is_new: bool) -> None:
        self.attempt = attempt
        self.is_ending = False
        """True while the end is being written: from there on this poller needs no stopping."""
        self._token = token
        self._context = context
        self._id = SessionId(attempt.session_id)
        self._connect_due = is_new
        self._connect_made = False
        self._failures = 0
        self._before: str | None = None
        """Status in upstream's answer before the present one."""
        self._written: str | None = None
        """Status that this poller wrote last."""
        self._told: str | None = None
        """Status in the session's row at the last notification."""
        self._written_at = float("-inf")
        """When the status was written; `_wrote_at`: when anything was."""
        self._wrote_at = (
            context.clock()
        )  # the attempt was begun or taken a moment ago, and that notifies, too
        self._asked_at = float("-inf")
        # Attempts taken over together (a gateway died) would otherwise all ask at once.
        self._ask_at = context.clock() + (0.0 if is_new else context.limits.poll_s * context.roll())
        self._news: Attempt | None = None
        self._rung = asyncio.Event()

    def tell(self, row: Attempt, status: str | None = None) -> None:
        """Takes the attempt's row after a notification: running, and held by this poller.

        `status` is what the session's row says; None if it was not read.
        """
        self._told = status or self._told
        if self._news is None or row.moved_at >= self._news.moved_at:  # rows come by two ways
            self._news = row
        self._rung.set()

    async def follow(self) -> End | None:
        """The end of the attempt if this poller wrote it; None if another wrote it, or holds the attempt now."""
        while True:
            try:
                await self._rest()
                signals = await self._ask() if self._is_due() else []
                for signal in (*signals, linking.Tick()):
                    if (end := await self._act_on(signal)) is not None:
                        return end
            except NotOurs:
                return None
            except StoreUnavailable as error:
                # Nothing is lost: what could not be written is seen again by the next look at upstream.
                self.is_ending = False
                logger.warning("link.store_unavailable session=%d error=%s", self._id, error)
                await asyncio.sleep(STORE_RETRY_S * (1 + self._context.roll()))

    # ------------------------------------------------------------------------------------------ waiting

    @property
    def _deadline(self) -> float:
        return linking.deadline(self.attempt, self._context.limits)

    async def _rest(self) -> None:
        """Until it is time to ask or to give up. A notification brings the next question forward."""
        while (delay := min(self._ask_at, self._deadline) - self._context.clock()) > 0:
            try:
                async with asyncio.timeout(delay):
                    await self._rung.wait()
            except TimeoutError:
                continue  # a timer may fire before the wall clock is there
            await self._on_notification()

    async def _on_notification(self) -> None:
        has_news = await self._adopt_report()
        if self._told != self._written:  # a webhook may have written another status meanwhile
            self._written_at = float("-inf")
            has_news = has_news or self._written is not None
        is_echo = not has_news and self._context.clock() - self._wrote_at < ECHO_S
        if is_echo or self._failures:  # after a failure the pause it set counts
            return
        self._ask_at = min(self._ask_at, max(self._context.clock(), self._asked_at + MIN_GAP_S))

    async def _adopt_report(self) -> bool:
        """Whether the row that a notification brought holds something that this poller did not write."""
        self._rung.clear()
        row, self._news = self._news, None
        # A row that was read before our own last write tells nothing new.
        if row is None or row.id != self.attempt.id or row.moved_at < self.attempt.moved_at:
            return False
        has_moved = row != self.attempt
        await self._learn(row)
        return has_moved

    async def _learn(self, row: Attempt | None) -> None:
        """Takes this row for the newest, and logs a new code. Raises NotOurs without a row.

        Only the poller sees every code, from a poll or a webhook.
        """
        if row is None:
            raise NotOurs
        before, self.attempt = self.attempt, row
        if row.number > before.number:
            await self._context.note(
                self._id, "qr_generated", f"Code {row.number} is shown.", attempt=row.number, seq=row.seq
            )

    # ------------------------------------------------------------------------------------------ asking

    def _is_due(self) -> bool:
        """Whether to ask now: also when the time is up, for a last look, unless the last call failed."""
        return self._context.clock() >= self._ask_at or not self._failures

    async def _ask(self) -> list[Signal]:
        self._asked_at = self._context.clock()
        if self._connect_due:
            return await self._ask_to_connect()
        signals = await self._ask_for_code()
        if await self._adopt_report():
            # A webhook overtook this answer: its code may be older than the row's. Soon asked again.
            signals = [replace(s, code=self.attempt.code) if isinstance(s, Answered) else s for s in signals]
        return signals

    async def _ask_to_connect(self) -> list[Signal]:
        """`connect` repeats harmlessly upstream; after a failure the status says whether it was done."""
        self._connect_due = False
        try:
            reply = await self._call(self._context.upstream.connect_session(self._id))
        except GatewayError as error:
            return [self._failure(error, "connect")]
        self._connect_made, self._failures = True, 0
        if reply.code is None:
            # The engine is not up yet, or the number is linked already: `connected` in this reply may mean
            # "connecting", so only the status is believed.
            return await self._ask_for_code()
        return [Answered(status=None, code=reply.code)]

    async def _ask_for_code(self) -> list[Signal]:
        """Status first: a code that is read afterwards is newer than what the status says."""
        upstream = self._context.upstream
        try:
            status = (await self._call(upstream.get_session(self._id))).status
        except GatewayError as error:
            return [self._failure(error, "status")]
        code, failed = self.attempt.code, None
        if status != SessionStatus.CONNECTED:
            try:
                code = await self._call(upstream.get_qr_code(self._id))
            except GatewayError as error:
                if _means_no_code(error):
                    code = None
                else:
                    failed = self._failure(error, "code")
        answer = Answered(status, code, self._before, self._connect_made)
        self._before = status or self._before
        if failed is not None:
            return [answer, failed]
        self._failures = 0
        return [answer]

    async def _call(self, call: Awaitable[T]) -> T:
        left = self._deadline - self._context.clock()
        return await within(min(CALL_S, max(LAST_LOOK_S, left)), call, upstream_late)

    def _failure(self, error: GatewayError, during: linking.Call) -> Failed:
        self._failures += 1
        logger.info("link.upstream_failed session=%d call=%s error=%s", self._id, during, error.code)
        return Failed(error, during, self._failures)

    # ------------------------------------------------------------------------------------------ acting

    async def _act_on(self, signal: Signal) -> End | None:
        context = self._context
        effects = linking.decide(
            self.attempt, signal, now=context.clock(), limits=context.limits, roll=context.roll()
        )
        for effect in effects:
            if isinstance(effect, End):
                return await self._end(effect)
            await self._carry_out(effect)
        return None

    async def _carry_out(self, effect: linking.Effect) -> None:
        store = self._context.store
        match effect:
            case linking.WaitUntil(at):
                self._ask_at = at
            case linking.Connect():
                self._connect_due = True
            case linking.StoreStatus(status):
                await self._record_status(status)
            case linking.StoreCode(code):
                life_s = linking.CODE_LIFE_S
                await self._write(
                    store.record_code(self._id, code, life_s, self._token, as_of=self._asked_at)
                )
            case linking.StoreScanned():
                await self._write(store.mark_scanned(self._id, self._token))
                await self._context.note(self._id, "scanned", "A phone has scanned the code.")
            case linking.Touch():
                await self._write(store.touch(self._id, self._token))

    async def _write(self, call: Awaitable[Attempt | None]) -> None:
        row = await within(STORE_S, call)
        self._wrote_at = self._context.clock()
        await self._learn(row)

    async def _record_status(self, status: str) -> None:
        now = self._context.clock()
        is_new = status != self._written
        if not is_new and now - self._written_at < STATUS_FRESH_S:
            return
        record = self._context.store.record_status(
            self._id, status, "poll", self._token, as_of=self._asked_at
        )
        heard = await within(STORE_S, record)
        if heard is None:
            raise NotOurs
        if heard.is_old:
            return  # overtaken by a webhook, which may have been late itself: the next answer is written again
        self._written, self._written_at = status, now
        if is_new:  # an unchanged one notifies of nothing
            self._wrote_at = self._context.clock()

    async def _end(self, end: End) -> End | None:
        self.is_ending = True
        store = self._context.store
        if await within(STORE_S, store.end(self._id, self._token, end.reason, end.error)):
            return end
        raise NotOurs


def _means_no_code(error: GatewayError) -> bool:
    """Whether `/qrcode` refused because there is no code now: the engine is not up yet, or the code was scanned.

    Upstream documents the cases but not their statuses. The session itself was answered for a moment ago.
    """
    if not isinstance(error, UpstreamFailed):
        return False
    return error.status in _REFUSED or (error.details or {}).get("reason") == "not_initialized"

"""One session's attempt in this process: a runner gets the lease for it, and a poller follows the attempt to its end.

The poller owns no decision: it asks upstream, hands what came to `domain.linking`, and carries out what that says.
Every write names the runner's token, so that a poller which was frozen and woke up too late changes nothing.

Lifecycle: `Linking` runs `AttemptRunner.run` in a task and stops it with `interrupt`; the lease is always given back.
`tell`, `nudge` and cancelling the task are the only ways in. Cancelling is safe at any point: the attempt's row says
where to go on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import TypeVar
from uuid import uuid4

from gateway.domain import linking
from gateway.domain.errors import GatewayError, StoreUnavailable, UpstreamFailed
from gateway.domain.linking import Answered, Attempt, End, Failed, Signal
from gateway.domain.session import SessionId, SessionStatus
from gateway.services.deadlines import upstream_late, within
from gateway.services.linking.ports import CALL_S, STORE_S, Leases, LinkingContext

logger = logging.getLogger(__name__)

T = TypeVar("T")

LEASE_TRIES_S = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
"""A new attempt may have to wait until the poller of the one before it, on another gateway, has let go."""
_FAULT = {"code": "internal", "message": "Linking stopped because of a fault here.", "action": "retry"}
LAST_LOOK_S = 2.0
"""For the look at upstream when the time is up: a scan in the last second counts."""
STORE_RETRY_S = 1.0
STATUS_FRESH_S = 60.0
"""An unchanged status is written at most this often."""
MIN_GAP_S = 0.25
"""Between two polls, however often the poller is woken."""
_REFUSED = (400, 409)
"""HTTP statuses of "not in the session's present state"."""


class AttemptRunner:
    """Follows one session's attempt in this process, from the lease to the end."""

    def __init__(self, session_id: int, context: LinkingContext, leases: Leases) -> None:
        self.token = str(uuid4())
        """Fences the writes of this runner's poller. Each runner has its own, also within one process."""
        self.task: asyncio.Task[None] | None = None
        self.poller: Poller | None = None
        self.has_lease = False
        """Or may have it: it was asked for, and the answer was not no."""
        self._id = session_id
        self._context = context
        self._leases = leases
        self._is_leaving = False

    def holds(self, row: Attempt | None) -> bool:
        """Whether this is the running row that the poller here follows."""
        return (
            row is not None
            and row.running
            and row.holder == self.token
            and self.poller is not None
            and row.id == self.poller.attempt.id
        )

    def interrupt(self) -> None:
        """Stops following, unless it is leaving or writing the end down already."""
        # A poller that writes the end goes by itself, and must not lose what follows the end. One that is
        # going already must not be disturbed while it gives its lease back.
        if self.task is None or self._is_leaving or (self.poller is not None and self.poller.is_ending):
            return
        self.task.cancel()

    async def run(self, fresh: Attempt | None, former: "AttemptRunner | None") -> End | None:
        """The end of the attempt if this runner wrote it; None if the attempt goes on, or another wrote its end.

        `fresh` is the attempt if it was begun for this runner. Never raises, except when it is cancelled.
        """
        try:
            if former is not None and former.task is not None:
                await asyncio.wait([former.task])  # it may still hold the lease, and Postgres counts them
            if not await self._acquire(LEASE_TRIES_S if fresh else LEASE_TRIES_S[:1]):
                return None
            attempt, is_new = await self._take(fresh)
            if attempt is None:
                return None
            self.poller = Poller(attempt, self.token, self._context, is_new=is_new)
            logger.info("linking.poller_started session=%d attempt=%d", self._id, attempt.id)
            return await self.poller.follow()
        except GatewayError as error:
            logger.warning("linking.poller_stopped session=%d error=%s", self._id, error)
            return None
        except Exception:
            self._is_leaving = True
            logger.exception("linking.poller_crashed session=%d", self._id)
            return await self._give_up()
        finally:
            self._is_leaving = True
            await self._release()

    async def _acquire(self, tries_s: Sequence[float]) -> bool:
        for wait_s in tries_s:
            await asyncio.sleep(wait_s)
            # Noted before: if this runner is stopped while Postgres answers, the lease has to be given back, too.
            self.has_lease = True
            self.has_lease = await within(STORE_S, self._leases.acquire(self._id))
            if self.has_lease:
                return True
        return False

    async def _take(self, fresh: Attempt | None) -> tuple[Attempt | None, bool]:
        """The attempt, held by this runner, if it runs; and whether upstream has not been asked yet."""
        store = self._context.store
        if fresh is not None:
            # Another gateway's poller may have had it between `begin` and the lease: it would have left its
            # token. A cancelled attempt must not reach upstream at all.
            row = await within(STORE_S, store.current(self._id))
            if row is not None and row.running and row.id == fresh.id and row.holder == self.token:
                return row, True
        return await within(STORE_S, store.take(self._id, self.token)), False

    async def _give_up(self) -> End | None:
        """A poller with a bug ends its attempt: it would crash again wherever it went on."""
        try:
            ended = self._context.store.end(self._id, self.token, "error", _FAULT)
            return End("error", _FAULT) if await within(STORE_S, ended) else None
        except Exception as failure:
            logger.warning("linking.give_up_failed session=%d error=%r", self._id, failure)
            return None

    async def _release(self) -> None:
        if not self.has_lease:
            return
        self.has_lease = False
        try:
            await within(STORE_S, self._leases.release(self._id))
        except Exception as error:  # mostly: the connection is gone, and the lease with it
            logger.warning("linking.release_failed session=%d error=%r", self._id, error)


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
        self._written_at = float("-inf")
        self._own_versions: set[int] = set()
        """Versions of the session's row that this poller wrote: notifications of them are its own echo."""
        self._told_version: int | None = None
        """Version of the session's row at the last notification of a write that was not this poller's."""
        self._asked_at = float("-inf")
        # Attempts taken over together (a gateway died) would otherwise all ask at once.
        self._ask_at = context.clock() + (0.0 if is_new else context.limits.poll_s * context.roll())
        self._news: Attempt | None = None
        self._is_hurried = False
        """A person does not want to wait until the pause after a failure is over."""
        self._has_to_wait = False
        """Upstream itself asked for the present pause."""
        self._is_due_now = False
        """Another writer has changed the session's row, or a webhook has come: upstream is asked at once."""
        self._notified = asyncio.Event()

    def tell(self, row: Attempt, status: str | None = None, version: int | None = None) -> None:
        """Takes the attempt's row after a notification: running, and held by this poller.

        `status` and `version` are those of the session's row; None if it was not read.
        """
        if version is not None and version not in self._own_versions:
            has_known = self._told_version is not None or bool(self._own_versions)
            is_another = has_known and version != self._told_version
            self._told_version = version
            if self._written not in (None, status):
                self._written_at = float("-inf")  # the next answer writes this poller's status again
                is_another = True
            # The first one may be from before this poller: alone it says nothing.
            self._is_due_now = self._is_due_now or is_another
        if self._news is None or row.moved_at >= self._news.moved_at:  # rows come by two ways
            self._news = row
        self._notified.set()

    def nudge(self, row: Attempt) -> None:
        """As `tell`, and upstream is asked at once: a webhook has said that something happened."""
        self._is_due_now = True
        self.tell(row)

    def hurry(self) -> None:
        """A person asks for another try: a pause after a failure ends now, unless upstream asked for it."""
        if self._failures and not self._has_to_wait:
            self._is_hurried = True
            self._notified.set()

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
                    await self._notified.wait()
            except TimeoutError:
                continue  # a timer may fire before the wall clock is there
            await self._on_notification()

    async def _on_notification(self) -> None:
        is_due, self._is_due_now = self._is_due_now, False
        has_news = await self._adopt_report()
        # One that brings nothing new is the echo of a write of ours. After a failure the pause it set counts.
        is_hurried, self._is_hurried = self._is_hurried, False
        if is_hurried or ((is_due or has_news) and not self._failures):
            self._ask_at = min(self._ask_at, max(self._context.clock(), self._asked_at + MIN_GAP_S))

    async def _adopt_report(self) -> bool:
        """Whether the row that a notification brought holds something that this poller did not write."""
        self._notified.clear()
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
        answer = Answered(status, code, self._before, self._connect_made, is_whole=failed is None)
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
        self._has_to_wait = bool(error.retry_after_s)
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
                await self._write(store.record_code(self._id, code, self._token, as_of=self._asked_at))
            case linking.StoreTrouble(trouble):
                await self._write(store.note_trouble(self._id, trouble, self._token))
            case linking.StoreScanned():
                await self._write(store.mark_scanned(self._id, self._token))
                await self._context.note(self._id, "scanned", "A phone has scanned the code.")
            case linking.Touch():
                await self._write(store.touch(self._id, self._token))

    async def _write(self, call: Awaitable[Attempt | None]) -> None:
        await self._learn(await within(STORE_S, call))

    async def _record_status(self, status: str) -> None:
        now = self._context.clock()
        if status == self._written and now - self._written_at < STATUS_FRESH_S:
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
        if heard.is_changed and heard.row_version is not None:
            self._own_versions.add(heard.row_version)

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

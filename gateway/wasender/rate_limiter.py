"""When a call to WasenderAPI may go: few at once, pauses kept, and no session in another's way.

Upstream counts per session: limits for each endpoint, and an undisclosed cap on calls at once ("1 to 5
workers"). So the narrow gate is the bucket's: a session by the account token, a session by its own key, its
messages, or the account's own paths. It lets two through (messages: one), first come, first served; what waits
behind a call that hangs is of the same bucket.

Upstream documents no cap for the whole account. The gate for that is a courtesy, and must not be shut by
calls that hang until their time-out. So a call gives its place there back after `OVERDUE_S`, and for a minute
its bucket passes through a gate of the slow: a call that hangs meets only calls that hang. In all there can be no more
calls under way than both gates hold, and the quick one lets through in one time-out.

Lifecycle: a `RateLimiter` lives as long as the client that has it, on one loop, and owns no task.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from prometheus_client import Counter, Histogram

from gateway.domain.errors import (
    SessionNotFound,
    UpstreamError,
    UpstreamInvalid,
    UpstreamLimit,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from gateway.wasender.calls import KEY_BUCKET, SEND, RetryPolicy, UpstreamCall
from gateway.wasender.http_transport import NOT_REACHED

CALLS = Counter(
    "gateway_upstream_calls",
    "Calls to WasenderAPI, each try counted; `held` ones were never sent.",
    ["call", "outcome"],
)
WAITED = Histogram(
    "gateway_upstream_wait_seconds",
    "How long a call to WasenderAPI waited for its turn, pauses included.",
    buckets=(0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)

TOOK = Histogram(
    "gateway_upstream_seconds",
    "How long calls to WasenderAPI took once they were sent, failed ones included.",
    ["call"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30),
)

PER_BUCKET = 2
PER_ACCOUNT = 64
_PER_SLOW = 64
OVERDUE_S = 2.0
"""A call that takes longer counts as hanging."""
SLOW_S = 60.0
"""How long a bucket counts as slow after a call that hung."""
MAX_PAUSE_S = 60.0
"""Then upstream is asked again, whatever it had said: the shop may have switched account protection off, or
bought a bigger plan."""
ENFORCED_S = 600.0
"""How long after a 429 the header that announces the next one is believed."""
SAFETY_S = 1.0
"""Added to a pause: upstream names whole seconds, and does not say which way it rounds."""
_MANY_BUCKETS = 1024

# Answered when the engine has done something; `connect`, when there is a first code.
_SLOW_BY_NATURE = frozenset({"connect_session", "create_session", "restart_session"})
_OUTCOMES: dict[type[UpstreamError], str] = {
    UpstreamUnauthorized: "unauthorized",
    UpstreamLimit: "limit",
    SessionNotFound: "not_found",
    UpstreamInvalid: "invalid",
    UpstreamRateLimited: "rate_limited",
    UpstreamTimeout: "timeout",
}


def count(call: UpstreamCall, outcome: UpstreamError | str) -> None:
    """Counts a try. An error is counted by its kind."""
    if isinstance(outcome, UpstreamError):
        is_sent = outcome.details != NOT_REACHED
        outcome = _OUTCOMES.get(type(outcome), "failed") if is_sent else str(NOT_REACHED["reason"])
    CALLS.labels(call.name, outcome).inc()


@dataclass(slots=True)
class _Bucket:
    slots: asyncio.Semaphore
    users: int = 0
    slow_until: float = float("-inf")
    paused_until: float = float("-inf")
    wished_until: float = float("-inf")
    """The end of the pause by upstream's own words, which may be a day away."""
    refused_at: float = float("-inf")

    def is_idle(self, now: float) -> bool:
        needed_until = max(self.slow_until, self.paused_until, self.refused_at + ENFORCED_S)
        return not self.users and needed_until <= now


class RateLimiter:
    """Lets calls pass. `per_account` bounds the calls under way that do not hang; `roll` gives 0 ≤ x < 1."""

    def __init__(
        self,
        *,
        per_bucket: int = PER_BUCKET,
        per_account: int = PER_ACCOUNT,
        roll: Callable[[], float] = random.random,
    ) -> None:
        self._per_bucket = per_bucket
        self._quick = asyncio.Semaphore(per_account)
        self._slow = asyncio.Semaphore(_PER_SLOW)
        self._roll = roll
        self._buckets: dict[str, _Bucket] = {}
        self._many = _MANY_BUCKETS

    @contextlib.asynccontextmanager
    async def turn(self, call: UpstreamCall, policy: RetryPolicy, deadline: float) -> AsyncIterator[None]:
        """Waits for this call's turn; the call is made inside. Safe to cancel.

        `deadline` is a time of the running loop. Raises UpstreamRateLimited at once if upstream wants a pause
        longer than the caller's policy allows, UpstreamTimeout (`not_reached`) if the turn does not come in time.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        bucket = self._bucket(call)
        bucket.users += 1
        try:
            _pause_left(bucket, call, policy, deadline)  # too long? Then not behind those that sit it out
            await _take(bucket.slots, call, deadline)
            try:
                gate = await self._pass(bucket, call, policy, deadline)
                sent_at = loop.time()
                WAITED.observe(sent_at - began)
                marks_bucket = call.name not in _SLOW_BY_NATURE
                passage = _Passage(gate, bucket, marks_bucket=marks_bucket, gives_back=gate is self._quick)
                try:
                    yield
                finally:
                    TOOK.labels(call.name).observe(loop.time() - sent_at)
                    passage.leave()
            finally:
                bucket.slots.release()
        finally:
            bucket.users -= 1

    def pause(self, call: UpstreamCall, seconds: float, *, refused: bool) -> bool:
        """Keeps further calls of the call's bucket back. Answers whether it does.

        `refused` tells a 429 from a success that was the last call of its window. That is believed of messages,
        whose limits are documented, and where a 429 came lately: otherwise the headers may count what is not
        limited, and a minute without a new code is too much for a guess.
        """
        now = asyncio.get_running_loop().time()
        bucket = self._bucket(call)
        if refused:
            bucket.refused_at = now
        elif not self.believes(call):
            return False
        # Half of the safety is spread, so that not all that wait come back in one instant.
        until = now + min(seconds, MAX_PAUSE_S) + SAFETY_S * (0.5 + 0.5 * self._roll())
        is_longer = bucket.paused_until > now
        bucket.wished_until = max(bucket.wished_until, now + seconds) if is_longer else now + seconds
        bucket.paused_until = max(bucket.paused_until, until)
        return True

    def believes(self, call: UpstreamCall) -> bool:
        """Whether a success that was the last call of its window means a pause for the calls after it."""
        if call.name == SEND:
            return True
        return self._bucket(call).refused_at + ENFORCED_S > asyncio.get_running_loop().time()

    def pause_left(self, call: UpstreamCall) -> float:
        """Seconds until upstream's pause for such calls ends, by upstream's own words; 0 if there is none."""
        bucket, now = self._bucket(call), asyncio.get_running_loop().time()
        return max(0.0, bucket.wished_until - now) if bucket.paused_until > now else 0.0

    async def _pass(
        self, bucket: _Bucket, call: UpstreamCall, policy: RetryPolicy, deadline: float
    ) -> asyncio.Semaphore:
        """Through the account's gate, with no pause left when it has been passed."""
        while True:
            if (left_s := _pause_left(bucket, call, policy, deadline)) > 0:
                await asyncio.sleep(left_s)
                continue  # it may have become longer meanwhile
            now = asyncio.get_running_loop().time()
            gate = self._slow if bucket.slow_until > now else self._quick
            await _take(gate, call, deadline)
            if bucket.paused_until <= asyncio.get_running_loop().time():
                return gate
            gate.release()  # the call beside this one was refused meanwhile

    def _bucket(self, call: UpstreamCall) -> _Bucket:
        if (bucket := self._buckets.get(call.bucket)) is not None:
            return bucket
        if len(self._buckets) >= self._many:
            now = asyncio.get_running_loop().time()
            self._buckets = {
                name: bucket for name, bucket in self._buckets.items() if not bucket.is_idle(now)
            }
            self._many = max(_MANY_BUCKETS, 2 * len(self._buckets))
        # Messages go one by one: upstream does not say which of two at once comes first. Beside one, a session makes
        # one other call with its key: calls at once are what numbers are banned for.
        is_narrow = call.name == SEND or call.bucket.startswith(KEY_BUCKET)
        bucket = _Bucket(asyncio.Semaphore(1 if is_narrow else self._per_bucket))
        self._buckets[call.bucket] = bucket
        return bucket


class _Passage:
    """A call under way, with its place at the gate until it leaves or, at the quick gate, is overdue."""

    __slots__ = ("_bucket", "_gate", "_gives_back", "_marks_bucket", "_timer")

    def __init__(
        self, gate: asyncio.Semaphore, bucket: _Bucket, *, marks_bucket: bool, gives_back: bool
    ) -> None:
        self._gate: asyncio.Semaphore | None = gate
        self._bucket, self._marks_bucket, self._gives_back = bucket, marks_bucket, gives_back
        self._timer = asyncio.get_running_loop().call_later(OVERDUE_S, self._overdue)

    def _overdue(self) -> None:
        if self._marks_bucket:
            self._bucket.slow_until = asyncio.get_running_loop().time() + SLOW_S
        if self._gives_back:
            self._release()

    def leave(self) -> None:
        self._timer.cancel()
        self._release()

    def _release(self) -> None:
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.release()


def _pause_left(bucket: _Bucket, call: UpstreamCall, policy: RetryPolicy, deadline: float) -> float:
    """Seconds of pause to sit out, 0 if none. Raises UpstreamRateLimited if it is too long for the caller."""
    now = asyncio.get_running_loop().time()
    if bucket.paused_until <= now:
        return 0.0
    if bucket.wished_until - now > policy.pause_s or bucket.paused_until > deadline:
        count(call, "held")
        raise UpstreamRateLimited(
            "WasenderAPI has asked for a pause that is not over yet, so it was not called.",
            retry_after_s=max(bucket.paused_until, bucket.wished_until) - now,
        )
    return bucket.paused_until - now


async def _take(gate: asyncio.Semaphore, call: UpstreamCall, deadline: float) -> None:
    if not gate.locked():  # nearly always: no clock needs to be wound up for that
        await gate.acquire()
        return
    try:
        async with asyncio.timeout_at(deadline):
            await gate.acquire()
    except TimeoutError:
        count(call, "held")
        raise UpstreamTimeout(
            "Too many calls to WasenderAPI are waiting for an answer, so this one was not sent.",
            details=NOT_REACHED,
        ) from None

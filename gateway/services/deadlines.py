"""The deadlines of all that waits for Postgres: the one place that knows how such a wait is cut short.

A Postgres that is frozen, or cut off without a word, answers a cancellation as little as a statement, and the driver
waits for either. So a deadline never waits for a cancellation: `within` leaves a call behind that does not end, and
`Deadline` breaks the connection of a block that does not end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Protocol, TypeVar

from gateway.domain.errors import GatewayError, StoreUnavailable, UpstreamTimeout

T = TypeVar("T")

CANCEL_PART = 0.1
"""The part of a budget, at its end, that is the server's for its answer to a cancellation."""
CANCEL_S = 0.5
"""That part is never longer."""

_abandoned: set[asyncio.Future[Any]] = set()
"""Work whose budget is over, and which has not ended: asyncio itself keeps no task alive."""


def store_late() -> StoreUnavailable:
    """The error of a question that Postgres did not answer within its budget."""
    return StoreUnavailable("Postgres did not answer in time.")


def upstream_late() -> UpstreamTimeout:
    """The error of a call that WasenderAPI did not answer within its budget."""
    return UpstreamTimeout("WasenderAPI did not answer in time.")


async def within(budget_s: float, work: Awaitable[T], late: Callable[[], GatewayError] = store_late) -> T:
    """The result of `work`; raises what `late` makes once the budget is used up, whatever the work does then.

    The work is cancelled then, and not waited for. What it does after all must do no harm.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=max(0.0, budget_s))
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if task.done():
        return task.result()
    _abandon(task)
    raise late()


def _abandon(task: asyncio.Future[Any]) -> None:
    _abandoned.add(task)
    task.add_done_callback(_forget)
    task.cancel()


def _forget(task: asyncio.Future[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not log it: its budget was over


class Breakable(Protocol):
    """A connection that can be broken without a farewell."""

    def terminate(self) -> None:
        """Breaks it at once: whatever waits for its answer gets an error."""


class Deadline:
    """`async with Deadline(connection, 5)`: the block has ended after five seconds; if not, its connection is broken.

    Shortly before the end the block is cancelled: a healthy server then stops the statement and rolls back, and the
    connection lives on. Raises TimeoutError in both cases. A block that is cancelled from outside ends at the same
    moment at the latest.
    """

    __slots__ = ("_connection", "_ends_at", "_limit", "_timer")

    def __init__(self, connection: Breakable, budget_s: float) -> None:
        self._connection = connection
        self._ends_at = asyncio.get_running_loop().time() + budget_s
        self._limit = asyncio.timeout_at(self._ends_at - min(CANCEL_S, budget_s * CANCEL_PART))
        self._timer: asyncio.TimerHandle | None = None

    @property
    def left_s(self) -> float:
        """Seconds until the connection is broken."""
        return max(0.0, self._ends_at - asyncio.get_running_loop().time())

    async def __aenter__(self) -> "Deadline":
        await self._limit.__aenter__()
        self._timer = asyncio.get_running_loop().call_at(self._ends_at, self._connection.terminate)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._timer is not None
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)
        # The end of a transaction that was cut off fails in a way of its own: late is what it was.
        if isinstance(error, Exception) and self._limit.expired():
            raise TimeoutError from error

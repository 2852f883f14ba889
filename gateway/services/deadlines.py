"""A budget for work that may hang, and whose cancellation may hang as well."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from gateway.domain.errors import StoreUnavailable

T = TypeVar("T")

_abandoned: set[asyncio.Task[Any]] = set()


async def within(budget_s: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, or StoreUnavailable once the budget is used up.

    The work is cancelled then, and not waited for: a frozen Postgres does not answer a cancellation either, and
    the driver waits for that answer. What it does after all must do no harm.
    """
    task = asyncio.create_task(work, name="within")
    try:
        await asyncio.wait([task], timeout=max(0.0, budget_s))
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if task.done():
        return task.result()
    _abandon(task)
    raise StoreUnavailable("Postgres did not answer in time.")


def _abandon(task: asyncio.Task[Any]) -> None:
    _abandoned.add(task)
    task.add_done_callback(_forget)
    task.cancel()


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not log it: its budget was over

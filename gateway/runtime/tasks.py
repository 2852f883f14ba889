"""The tasks of a running gateway: one for each part that has `run`."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Protocol, cast

from gateway.runtime.context import BuildContext
from gateway.runtime.repositories import Repositories

logger = logging.getLogger(__name__)


class Work(Protocol):
    """A job that runs as long as the gateway does."""

    async def run(self) -> None:
        """Goes on until it is cancelled."""


class Closing(Protocol):
    """What has to end before the tasks do."""

    async def close(self) -> None:
        """Returns when nothing is under way any more."""


def works_of(floors: Iterable[object]) -> dict[str, Work]:
    """Every part of these floors that has `run`, by its name there."""
    found: dict[str, Work] = {}
    for floor in floors:
        for name, part in vars(floor).items():
            if callable(getattr(type(part), "run", None)):
                assert name not in found, f"two parts are called {name}"
                found[name] = cast(Work, part)
    return found


async def start_tasks(
    floors: Iterable[object],
    closing: Sequence[Closing],
    repositories: Repositories,
    context: BuildContext,
) -> dict[str, asyncio.Task[None]]:
    """Starts the tasks; they end with the stack, after what is `closing` has been closed, in that order.

    One that dies ends the gateway: a restart is better than missing changes.
    """
    stack, close_s = context.stack, context.timings.close_s
    cutting = stack.enter_context(ExitStack())
    group = await stack.enter_async_context(asyncio.TaskGroup())
    tasks = {name: group.create_task(work.run(), name=name) for name, work in works_of(floors).items()}

    async def stop() -> None:
        # What waits for a silent Postgres waits on when it is cancelled: only cutting its connection ends that.
        cutting.callback(asyncio.get_running_loop().call_later(close_s, repositories.cut_off).cancel)
        try:
            async with asyncio.timeout(close_s):
                for part in closing:
                    await part.close()
        except TimeoutError:
            logger.warning("gateway.closed_late")  # a task has died: what waits for it cannot finish
        for task in tasks.values():
            task.cancel()

    stack.push_async_callback(stop)
    return tasks

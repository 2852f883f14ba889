"""Statements that are planned, and not executed: asyncpg leaves the server within an implicit transaction then."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

Ask = Callable[..., Awaitable[object]]
"""Asks one statement, with its arguments, over the connection that is looked at."""

Trouble = Callable[[Ask], Awaitable[None]]


async def cut_off_after_the_plan(ask: Ask) -> None:
    """A task that ends between the plan of a statement and its execution."""
    planned: Any = getattr(asyncpg.Connection, "_get_statement")  # noqa: B009  the driver's inside

    async def plan_and_be_cancelled(self: asyncpg.Connection, *arguments: object, **more: object) -> object:
        found = await planned(self, *arguments, **more)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return found

    async def reading() -> None:
        await ask("SELECT 1")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncpg.Connection, "_get_statement", plan_and_be_cancelled)
        task = asyncio.create_task(reading())
        await asyncio.wait([task])
    assert task.cancelled()


async def fail_to_encode(ask: Ask) -> None:
    """A statement that is planned, and whose arguments the driver cannot send."""
    with pytest.raises(asyncpg.DataError):
        await ask("SELECT $1::int", "no number")


async def ask_for_what_is_not_there(ask: Ask) -> None:
    """A statement that the server cannot plan."""
    with pytest.raises(asyncpg.UndefinedTableError):
        await ask("SELECT * FROM not_there")


TROUBLES = [cut_off_after_the_plan, fail_to_encode, ask_for_what_is_not_there]

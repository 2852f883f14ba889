"""What asyncio's Queue and Event do for one connection, without keeping anything while no task waits."""

import asyncio
from typing import Any


class SlimQueue:
    """An unbounded queue with one reader."""

    __slots__ = ("_items", "_reader")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._reader: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._items

    def put_nowait(self, item: Any) -> None:
        """Appends an item, and wakes the reader."""
        self._items.append(item)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> Any:
        """The oldest item, as soon as there is one."""
        while not self._items:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._items.pop(0)


class SlimEvent:
    """Open or shut; made shut. A task that waits goes on when it opens."""

    __slots__ = ("_is_open", "_waiting")

    def __init__(self) -> None:
        self._is_open = False
        self._waiting: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Whether waiting returns at once."""
        return self._is_open

    def set(self) -> None:
        """Wakes all that wait, and lets waiting return at once."""
        self._is_open = True
        if self._waiting is not None:
            self._waiting.set_result(None)
            self._waiting = None

    def clear(self) -> None:
        """Lets waiting wait."""
        self._is_open = False

    async def wait(self) -> bool:
        """True, as soon as it is set."""
        if not self._is_open:
            if self._waiting is None:
                self._waiting = asyncio.get_running_loop().create_future()
            # Shared by all who wait: one of them that is cancelled must not cancel it.
            await asyncio.shield(self._waiting)
        return True

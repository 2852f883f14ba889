"""Lets a database that scales to zero sleep while no socket, webhook or attempt to link needs it.

While it sleeps nothing here asks Postgres by itself: the listening connection is closed, and feed, states, linking,
monitor and retention ask nothing by themselves. The first socket, webhook or attempt to link wakes it. A socket is
let in when everything written meanwhile has been read.

Lifecycle: `IdleMonitor.run` lives as long as the gateway; without it nothing ever sleeps.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gateway.domain.errors import StoreUnavailable
from gateway.services.deadlines import within

IDLE_S = 180.0
"""Seconds without any need after which the gateway lets the database sleep."""

CHECK_S = 5.0
WAKE_S = 10.0
"""Such a database takes a moment to come up."""


class IdleListener(Protocol):
    """The listening connection, as far as it can be let go and opened again."""

    async def sleep(self) -> None:
        """Closes the connection until `wake`."""

    def wake(self) -> None:
        """Lets the connection be opened again. Never waits."""

    async def wait_until_up(self) -> None:
        """Returns once the connection is open and listens."""


class User(Protocol):
    """What may need Postgres without asking for it at this moment."""

    @property
    def is_busy(self) -> bool:
        """Whether it needs Postgres now."""


class Waker:
    """Wakes the gateway for the next that needs Postgres, and lets it wait until the gateway hears again."""

    def __init__(
        self,
        listener: IdleListener,
        *,
        catch_up: Callable[[], Awaitable[None]],
        on_lost: Callable[[], None],
        wake_s: float = WAKE_S,
    ) -> None:
        """`catch_up` returns when everything written so far has been read; `on_lost` marks the gateway stale, as after
        any loss of the listening connection."""
        self._listener = listener
        self._catch_up = catch_up
        self._on_lost = on_lost
        self._wake_s = wake_s
        self._has_slept = False
        self._waking = asyncio.Lock()
        self.needed_at = 0.0
        """When Postgres was needed last, by the loop's clock."""

    def touch(self) -> None:
        """Something needs Postgres now. Never waits."""
        self.needed_at = asyncio.get_running_loop().time()
        self._listener.wake()

    async def wait_until_awake(self) -> None:
        """Returns once the gateway hears Postgres again after a sleep, or it is clear that it cannot."""
        self.touch()
        if not self._has_slept:
            return
        async with self._waking:
            if not self._has_slept:
                return
            try:
                await within(self._wake_s, self._come_back())
            except StoreUnavailable:
                self._on_lost()
            self._has_slept = False

    async def _come_back(self) -> None:
        await self._listener.wait_until_up()
        await self._catch_up()

    async def sleep(self) -> None:
        """Lets the database sleep until the next that needs it."""
        self._has_slept = True
        await self._listener.sleep()


class IdleMonitor:
    """Lets Postgres sleep while none of its users needs it."""

    def __init__(
        self, waker: Waker, awake: asyncio.Event, users: Sequence[User], *, idle_s: float = IDLE_S
    ) -> None:
        """`awake` is set while the database is not let sleep."""
        self._waker = waker
        self._awake = awake
        self._users = users
        self._idle_s = idle_s

    async def run(self) -> None:
        """Puts the gateway to sleep whenever nothing has needed it for a while, until it is cancelled."""
        loop = asyncio.get_running_loop()
        self._waker.needed_at = loop.time()
        while True:
            await asyncio.sleep(min(CHECK_S, self._idle_s))
            if any(user.is_busy for user in self._users):
                self._waker.needed_at = loop.time()
            elif self._awake.is_set() and loop.time() - self._waker.needed_at >= self._idle_s:
                await self._waker.sleep()

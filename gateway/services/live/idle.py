"""Lets a database that scales to zero sleep while no socket, webhook or attempt to link needs it.

While it sleeps nothing here asks Postgres by itself: the listening connection is closed, and feed, states, linking,
monitor and retention ask nothing by themselves. The first socket, webhook or attempt to link wakes it. A socket is
let in when everything written meanwhile has been read.

Lifecycle: `run` lives as long as the gateway; without it nothing ever sleeps.
"""

import asyncio
from collections.abc import Awaitable, Callable
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


class IdleMonitor:
    """Lets Postgres sleep while no client and no attempt needs it, and wakes the gateway for the next one.

    `is_needed` says whether a client or an attempt needs Postgres at this moment; `catch_up` returns when
    everything written so far has been read; `on_lost` marks the gateway stale, as after any loss of the listening
    connection."""

    def __init__(
        self,
        ears: IdleListener,
        awake: asyncio.Event,
        *,
        is_needed: Callable[[], bool],
        catch_up: Callable[[], Awaitable[None]],
        on_lost: Callable[[], None],
    ) -> None:
        self._ears = ears
        self._awake = awake
        self._is_needed = is_needed
        self._catch_up = catch_up
        self._on_lost = on_lost
        self._needed_at = 0.0
        self._has_slept = False
        self._waking = asyncio.Lock()

    def touch(self) -> None:
        """Something needs Postgres now. Never waits."""
        self._needed_at = asyncio.get_running_loop().time()
        self._ears.wake()

    async def wait_until_awake(self) -> None:
        """Returns once the gateway hears Postgres again after a sleep, or it is clear that it cannot."""
        self.touch()
        if not self._has_slept:
            return
        async with self._waking:
            if not self._has_slept:
                return
            try:
                await within(WAKE_S, self._come_back())
            except StoreUnavailable:
                self._on_lost()
            self._has_slept = False

    async def _come_back(self) -> None:
        await self._ears.wait_until_up()
        await self._catch_up()

    async def run(self) -> None:
        """Puts the gateway to sleep whenever nothing has needed it for a while, until it is cancelled."""
        loop = asyncio.get_running_loop()
        self._needed_at = loop.time()
        while True:
            await asyncio.sleep(min(CHECK_S, IDLE_S))
            if self._is_needed():
                self._needed_at = loop.time()
            elif self._awake.is_set() and loop.time() - self._needed_at >= IDLE_S:
                self._has_slept = True
                await self._ears.sleep()

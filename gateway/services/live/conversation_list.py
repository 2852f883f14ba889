"""Keeps the list of conversations ready: after a notification, follows the streams in small steps, at most half of
the time.

Any number of gateways may do this; Postgres lets one at a time. Nothing depends on how far it has come: a reader looks
at what the list does not know yet by itself, and calls `notify` when that was much.

Lifecycle: `run` lives as long as the gateway. It begins with a look, and a failure of the store only delays it.
"""

import asyncio
import enum
import logging
import random
from typing import Protocol

from gateway.domain.backoff import Backoff
from gateway.domain.errors import StoreUnavailable

logger = logging.getLogger(__name__)

PAUSE_S = 0.25
"""Shortest between two rounds: what is written meanwhile is done together, each chat once. Under load that is a sixth
of what a webhook costs Postgres; readers are exact however long it is."""

BUSY_S = 1.0
"""While another gateway follows: it may have read before the event that was notified here."""

MOST_S = 15.0
"""Longest between two tries when steps fail."""
BACKOFF = Backoff(first_s=1.0, most_s=MOST_S)


class Progress(enum.Enum):
    """What came of a step: everything is done, more is left, or another gateway is at it."""

    DONE = "done"
    MORE = "more"
    BUSY = "busy"


class ConversationListStore(Protocol):
    """The list of conversations in Postgres, brought up to the streams step by step."""

    async def step(self) -> Progress:
        """A step of some 50 ms towards the streams' tops. Raises StoreUnavailable."""


class ConversationList:
    """Steps the list towards the streams after each notification, and never for more than half the time."""

    def __init__(self, store: ConversationListStore, *, awake: asyncio.Event | None = None) -> None:
        """`awake` is set while the database may be asked."""
        self._awake = awake
        self._store = store
        self._wake = asyncio.Event()
        self._wake.set()

    def notify(self, payload: str = "*") -> None:
        """Something has been written, or was found missing. Never waits."""
        self._wake.set()

    async def run(self) -> None:
        """Works until it is cancelled; a step that fails is tried again, later each time."""
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._catch_up()
                failures = 0
                continue
            except StoreUnavailable as error:
                logger.warning("conversation_list.step_failed error=%s", error)
            except Exception:
                # Readers do without it: no row may end the gateway from here.
                logger.exception("conversation_list.step_failed")
            failures += 1
            self._wake.set()
            await asyncio.sleep(BACKOFF.pause_s(failures, random.random()))

    async def _catch_up(self) -> None:
        loop = asyncio.get_running_loop()
        progress = Progress.MORE
        while progress is not Progress.DONE:
            if self._awake is not None:
                await self._awake.wait()
            began = loop.time()
            progress = await self._store.step()
            # Webhooks come first: as long as this has worked, it rests.
            rest = BUSY_S * random.uniform(0.5, 1.5) if progress is Progress.BUSY else loop.time() - began
            await asyncio.sleep(max(PAUSE_S, rest))

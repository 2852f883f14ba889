"""The newest row of every session, with its QR attempt: what the values of state topics are made of.

Postgres holds the rows, with one version counter per session and a channel of their own, so that viewers on
every gateway and late joiners see the same code. Here is a copy, kept up by notifications and a slow tick.

Lifecycle: `open` reads all sessions; `run` re-reads those that a notification names, and everything with each tick.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from gateway.domain.backoff import Backoff
from gateway.domain.errors import StoreUnavailable
from gateway.domain.linking import Attempt
from gateway.domain.notifications import sessions_of
from gateway.domain.session import Session
from gateway.services.live.state_values import StateRow

logger = logging.getLogger(__name__)

BACKOFF = Backoff(first_s=0.4, most_s=5.0)

TICK_S = 10.0


class StateStore(Protocol):
    """The rows that states are made of. Raises StoreUnavailable."""

    async def read_states(self, session_ids: Sequence[int] | None) -> list[StateRow]:
        """The rows of these sessions (deleted ones included), or of all that exist."""


class Publisher(Protocol):
    """Tells subscribers of a change."""

    def publish(self, before: StateRow | None, row: StateRow) -> None:
        """`before` is what was known of the session; None if nothing was."""


OnChange = Callable[[int, Attempt | None, str | None, int | None], None]


class SessionStates:
    """Keeps the newest row of every session in memory, and has published what changes."""

    def __init__(
        self,
        store: StateStore,
        publisher: Publisher,
        *,
        on_change: OnChange = lambda number, attempt, status, row_version: None,
        on_failure: Callable[[], None] = lambda: None,
        tick_s: float = TICK_S,
        awake: asyncio.Event | None = None,
    ) -> None:
        """`publisher` tells subscribers. `on_change` is told the newest attempt of each session that has changed, and
        status and version of its row; `on_failure` of every read that failed: what it was for may be missing.
        """
        self._store = store
        self._publisher = publisher
        self._on_change = on_change
        self._on_failure = on_failure
        self._tick_s = tick_s
        self._awake = awake
        self._rows: dict[int, StateRow] = {}
        self._dirty: set[int] = set()
        self._all_dirty = False
        self._wake = asyncio.Event()

    def notify(self, payload: str) -> None:
        """Takes a notification of changed sessions. Never waits; a payload that cannot be read counts as `*`."""
        numbers = sessions_of(payload)
        if numbers is None:
            self._all_dirty = True
        else:
            self._dirty.update(numbers)
        self._wake.set()

    async def open(self) -> None:
        """Reads all rows once. Raises StoreUnavailable."""
        self._rows = {row.session_id: row for row in await self._store.read_states(None)}

    async def catch_up(self) -> None:
        """Returns when everything committed before has been published. Raises StoreUnavailable."""
        await self._refresh(None)

    async def run(self) -> None:
        """Reads changed rows after every notification, and all of them at each tick, until it is cancelled."""
        failures = 0
        while True:
            try:
                async with asyncio.timeout(self._tick_s):
                    await self._wake.wait()
            except TimeoutError:
                if self._awake is not None and not self._awake.is_set():
                    continue
                self._all_dirty = True
            self._wake.clear()
            everything, self._all_dirty = self._all_dirty, False
            dirty, self._dirty = self._dirty, set()
            try:
                await self._refresh(None if everything else sorted(dirty))
                failures = 0
            except StoreUnavailable as error:
                failures += 1
                self._all_dirty = self._all_dirty or everything
                self._dirty |= dirty
                self._wake.set()
                delay = BACKOFF.pause_s(failures, random.random())
                self._on_failure()
                logger.warning("session_states.read_failed error=%s retry_in_s=%.1f", error, delay)
                await asyncio.sleep(delay)

    # ------------------------------------------------------------------------------------------ reading

    def row(self, session_id: int) -> StateRow | None:
        """What was read last of a session; None if there is none."""
        return self._rows.get(session_id)

    def rows(self) -> Collection[StateRow]:
        """What was read last of every session, deleted ones included."""
        return self._rows.values()

    async def see(self, session_id: int) -> None:
        """A look at the store if this session is not known yet. Raises StoreUnavailable."""
        # It may have been created a moment ago, and its notification still be on the way.
        if session_id not in self._rows:
            await self._refresh([session_id])

    def session(self, session_id: int) -> Session | None:
        """The session as last read; None if there is none."""
        row = self._rows.get(session_id)
        return row.session if row else None

    # ------------------------------------------------------------------------------------------ publishing

    async def _refresh(self, session_ids: list[int] | None) -> None:
        if session_ids == []:
            return
        rows = await self._store.read_states(session_ids)
        if session_ids is None:
            # Those we know and the list does not have: deleted, or made while it was read. Their rows tell.
            found = {row.session_id for row in rows}
            missing = [
                row.session_id for row in self._rows.values() if row.session and row.session_id not in found
            ]
            if missing:
                rows += await self._store.read_states(missing)
        changed = []
        for row in rows:
            before = self._rows.get(row.session_id)
            if before is not None and row.version < before.version:
                continue  # an older snapshot, overtaken by another read
            if before is None and row.session is None:
                continue  # a client may ask for any number
            self._rows[row.session_id] = row
            if before is None or row.version > before.version:
                changed.append(row)
                self._publisher.publish(before, row)
        for row in changed:
            status = row.session.status if row.session else None
            self._on_change(row.session_id, row.attempt, status, row.row_version)

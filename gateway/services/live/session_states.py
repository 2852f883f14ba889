"""The newest value of every state topic: each session's row, and its QR attempt.

Postgres holds them, with one version counter per session and a channel of their own, so that viewers on
every gateway and late joiners see the same code. Here is a copy, kept up by notifications and a slow tick.

Lifecycle: `open` reads all sessions; `run` re-reads those that a notification names, and everything with each tick.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from gateway.domain.backoff import Backoff
from gateway.domain.errors import GatewayError, StoreUnavailable
from gateway.domain.linking import MAX_CODES, Attempt
from gateway.domain.notifications import sessions_of
from gateway.domain.session import Session, iso_utc, session_data

logger = logging.getLogger(__name__)

BACKOFF = Backoff(first_s=0.4, most_s=5.0)

TICK_S = 10.0
ENDED_SHOWN_S = 600.0
"""How long the end of an attempt stays visible, unless a new attempt begins."""


Part = Literal["session", "link"]


@dataclass(frozen=True, slots=True)
class StateRow:
    """What Postgres holds of one session, read in one snapshot."""

    session_id: int
    version: int
    session: Session | None
    """None once the session has been deleted."""
    attempt: Attempt | None
    """The newest attempt, running or ended."""
    row_version: int | None = None
    """Version of the session's own row: another one for each write of it, whoever writes."""


OnChange = Callable[[int, Attempt | None, str | None, int | None], None]


@dataclass(frozen=True, slots=True)
class StateValue:
    """One part of one state, as it goes to clients."""

    session_id: int
    part: Part
    version: int
    event: str
    at: str
    data: dict[str, Any] | None
    expires_at: float | None = None
    """Unix seconds; afterwards the value must not be sent any more."""


class StateStore(Protocol):
    """The rows that states are made of. Raises StoreUnavailable."""

    async def read_states(self, session_ids: Sequence[int] | None) -> list[StateRow]:
        """The rows of these sessions (deleted ones included), or of all that exist."""


class StatePublisher(Protocol):
    """Takes new values of state topics, and says which topics have a subscriber."""

    def publish_state(self, value: StateValue) -> None:
        """Sends the value to the topic's subscribers in place of an unsent older one."""

    def is_watched(self, topic: str) -> bool:
        """Whether the topic has a subscriber in this process."""


class SessionStates:
    """Keeps the newest row of every session in memory, and publishes what changes."""

    def __init__(
        self,
        store: StateStore,
        publisher: StatePublisher,
        picture: Callable[[str], str],
        *,
        on_change: OnChange = lambda number, attempt, status, row_version: None,
        on_failure: Callable[[], None] = lambda: None,
        awake: asyncio.Event | None = None,
    ) -> None:
        """`picture` draws a code. `on_change` is told the newest attempt of each session that has changed, and status
        and version of its row; `on_failure` of every read that failed: what it was for may be missing.
        """
        self._store = store
        self._publisher = publisher
        self._picture = picture
        self._on_change = on_change
        self._on_failure = on_failure
        self._awake = awake
        self._rows: dict[int, StateRow] = {}
        self._pictures: dict[int, tuple[str, str | None]] = {}
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
                async with asyncio.timeout(TICK_S):
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

    def values(self, session_id: int | None = None) -> list[StateValue]:
        """The current values: of one session (both parts), or of all sessions (part `session`)."""
        if session_id is not None:
            row = self._rows.get(session_id)
            if row is None:
                return []
            parts = [self._session_value(row, "session.status"), self._link_value(row)]
            return [part for part in parts if part is not None]
        shown = [row for row in self._rows.values() if row.session and row.session.status != "gone"]
        values = [
            self._session_value(row, "session.status") for row in sorted(shown, key=lambda r: r.session_id)
        ]
        return [value for value in values if value is not None]

    async def see(self, session_id: int) -> None:
        """A look at the store if this session is not known yet. Raises StoreUnavailable."""
        # It may have been created a moment ago, and its notification still be on the way.
        if session_id not in self._rows:
            await self._refresh([session_id])

    def session(self, session_id: int) -> Session | None:
        """The session as last read; None if there is none."""
        row = self._rows.get(session_id)
        return row.session if row else None

    def code_data(self, attempt: Attempt) -> dict[str, Any]:
        """An attempt's code as clients see it; the values of a code are None while none has come."""
        return {
            "qr_code": self._picture_of(attempt),
            "qrCode": attempt.code,
            "seq": attempt.seq,
            "issued_at": _iso(attempt.issued_at),
            "expires_at": _iso(attempt.expires_at),
            "attempt": attempt.number,
            "max_attempts": MAX_CODES,
            "scanned_at": _iso(attempt.scanned_at),
        }

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
                self._publish(before, row)
        for row in changed:
            status = row.session.status if row.session else None
            self._on_change(row.session_id, row.attempt, status, row.row_version)

    def _publish(self, before: StateRow | None, row: StateRow) -> None:
        event = _session_event(before.session if before else None, row.session)
        if event is not None:
            value = self._session_value(row, event)
            if value is not None:
                self._publisher.publish_state(value)
        if not before or before.attempt != row.attempt:
            link = self._link_value(row) if self._publisher.is_watched(f"session:{row.session_id}") else None
            if link is not None:
                self._publisher.publish_state(link)
        if row.session is None:
            self._pictures.pop(row.session_id, None)

    def _session_value(self, row: StateRow, event: str) -> StateValue | None:
        now = datetime.now(UTC)
        if row.session is None:
            if event != "session.deleted":
                return None
            return StateValue(
                row.session_id,
                "session",
                row.version,
                event,
                iso_utc(now) or "",
                {"id": row.session_id, "status": "gone"},
            )
        # A change by another writer moves `updated_at` alone; read in a wrong time zone it may lie ahead.
        moments = [moment for moment in (row.session.checked_at, row.session.updated_at) if moment]
        at = min(now, max(moments, default=now))
        data = session_data(row.session, now)
        return StateValue(row.session_id, "session", row.version, event, iso_utc(at) or "", data)

    def _link_value(self, row: StateRow) -> StateValue | None:
        attempt, now = row.attempt, time.time()
        if attempt is None or row.session is None:
            return None
        if attempt.ended_at is not None:
            if now - attempt.ended_at > ENDED_SHOWN_S:
                return None
            data = {"reason": attempt.reason, "error": attempt.error}
            at = _iso(attempt.ended_at) or ""
            return StateValue(
                row.session_id,
                "link",
                row.version,
                "session.link_ended",
                at,
                data,
                attempt.ended_at + ENDED_SHOWN_S,
            )
        if attempt.code is None or (attempt.expires_at is not None and attempt.expires_at <= now):
            return None
        return StateValue(
            row.session_id,
            "link",
            row.version,
            "session.qr",
            _iso(attempt.issued_at) or "",
            self.code_data(attempt),
            attempt.expires_at,
        )

    def _picture_of(self, attempt: Attempt) -> str | None:
        """The picture of the code, made once per code, and only when a client watches or asks."""
        if attempt.code is None:
            return None
        known = self._pictures.get(attempt.session_id)
        if known is None or known[0] != attempt.code:
            known = self._pictures[attempt.session_id] = (attempt.code, self._drawn(attempt))
        return known[1]

    def _drawn(self, attempt: Attempt) -> str | None:
        try:
            return self._picture(attempt.code or "")
        except GatewayError as error:
            # The raw code is still pushed: another client may make something of it.
            logger.warning("session_states.code_not_drawn session=%d error=%s", attempt.session_id, error)
            return None


def _session_event(before: Session | None, after: Session | None) -> str | None:
    if after is None:
        return "session.deleted" if before is not None else None
    if before is None:
        return "session.created"
    if before.status != after.status:
        return "session.status"
    return "session.updated" if _visible(before) != _visible(after) else None


def _visible(session: Session) -> dict[str, Any]:
    fresh = ("version", "checked_at", "source", "updated_at", "stale")
    data = session_data(session, datetime.now(UTC))
    return {key: value for key, value in data.items() if key not in fresh}


def _iso(moment: float | None) -> str | None:
    return None if moment is None else iso_utc(datetime.fromtimestamp(moment, UTC))

"""What clients are shown of a session and of its QR attempt."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from gateway.domain.errors import GatewayError
from gateway.domain.linking import MAX_CODES, Attempt
from gateway.domain.session import Session, iso_utc, session_data

logger = logging.getLogger(__name__)

ENDED_SHOWN_S = 600.0
"""How long the end of an attempt stays visible, unless a new attempt begins."""

Part = Literal["session", "link", "sending"]


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
    """Version of the session's own row: another one for each write of it, by any writer."""
    sending: dict[str, Any] | None = None
    """How its queue of messages stands; None for a session that has never sent."""


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


class CodePictures:
    """Pictures of codes, each drawn once, and only when a client watches or asks."""

    def __init__(self, draw: Callable[[str], str]) -> None:
        self._draw = draw
        self._known: dict[int, tuple[str, str | None]] = {}

    def of(self, attempt: Attempt) -> str | None:
        """The picture of the attempt's code; None if it has no code, or one that cannot be drawn."""
        if attempt.code is None:
            return None
        known = self._known.get(attempt.session_id)
        if known is None or known[0] != attempt.code:
            known = self._known[attempt.session_id] = (
                attempt.code,
                self._drawn(attempt.session_id, attempt.code),
            )
        return known[1]

    def forget(self, session_id: int) -> None:
        """The session is gone: its picture is needed no more."""
        self._known.pop(session_id, None)

    def _drawn(self, session_id: int, code: str) -> str | None:
        try:
            return self._draw(code)
        except GatewayError as error:
            # The raw code is still pushed: another client may make something of it.
            logger.warning("session_states.code_not_drawn session=%d error=%s", session_id, error)
            return None


class StateValues:
    """Makes the values of rows: what `session` and `link` are to clients at this moment."""

    def __init__(self, pictures: CodePictures) -> None:
        self._pictures = pictures

    def of_session(self, row: StateRow | None) -> list[StateValue]:
        """All parts of one session, as far as there is something to show."""
        if row is None:
            return []
        parts = [self.session(row), self.link(row), self.sending(row)]
        return [part for part in parts if part is not None]

    def of_all(self, rows: Iterable[StateRow]) -> list[StateValue]:
        """Part `session` of every session that is not gone, by their numbers."""
        shown = [row for row in rows if row.session and row.session.status != "gone"]
        values = [self.session(row) for row in sorted(shown, key=lambda row: row.session_id)]
        return [value for value in values if value is not None]

    def forget(self, session_id: int) -> None:
        """The session is gone: nothing of it is kept ready any more."""
        self._pictures.forget(session_id)

    def session(self, row: StateRow, event: str = "session.status") -> StateValue | None:
        """Part `session`, told as this event. A session that was deleted is shown by `session.deleted` alone."""
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

    def link(self, row: StateRow) -> StateValue | None:
        """Part `link`: the code while it is good, what goes wrong, or how the attempt ended while that is news."""
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
            return self._trouble(row, attempt)
        return StateValue(
            row.session_id,
            "link",
            row.version,
            "session.qr",
            _iso(attempt.issued_at) or "",
            self.code_data(attempt),
            attempt.expires_at,
        )

    def _trouble(self, row: StateRow, attempt: Attempt) -> StateValue | None:
        """What goes wrong while there is no code, or that it has passed."""
        if attempt.trouble_at is None:
            return None
        at = _iso(attempt.trouble_at) or ""
        data = {"trouble": _shown(attempt.trouble), "scanned_at": _iso(attempt.scanned_at)}
        return StateValue(row.session_id, "link", row.version, "session.link_trouble", at, data)

    def sending(self, row: StateRow) -> StateValue | None:
        """Part `sending`: how the queue of messages stands. Viewers are told, too."""
        if row.sending is None or row.session is None:
            return None
        at = iso_utc(datetime.now(UTC)) or ""
        return StateValue(row.session_id, "sending", row.version, "session.sending", at, row.sending)

    def code_data(self, attempt: Attempt) -> dict[str, Any]:
        """An attempt's code as clients see it; the values of a code are None while none has come."""
        return {
            "qr_code": self._pictures.of(attempt),
            "qrCode": attempt.code,
            "seq": attempt.seq,
            "issued_at": _iso(attempt.issued_at),
            "expires_at": _iso(attempt.expires_at),
            "attempt": attempt.number,
            "max_attempts": MAX_CODES,
            "scanned_at": _iso(attempt.scanned_at),
            "trouble": _shown(attempt.trouble),
        }


def _shown(trouble: dict[str, Any] | None) -> dict[str, Any] | None:
    """Trouble as clients see it: with the next try as a time of day."""
    return None if trouble is None else {**trouble, "retry_at": _iso(trouble.get("retry_at"))}


def _iso(moment: float | None) -> str | None:
    return None if moment is None else iso_utc(datetime.fromtimestamp(moment, UTC))

"""What linking needs from the rooms around it, and the bounds of every call to them.

The rooms satisfy the protocols by shape; `runtime.services` passes them in.
"""

import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.domain.linking import Attempt, Limits
from gateway.domain.session import ConnectReply, Heard, SessionId, StatusSource, UpstreamSession
from gateway.services.deadlines import within
from gateway.services.sessions.audit_log import Log

logger = logging.getLogger(__name__)

CALL_S = 10.0
"""For one upstream call; less near the end of an attempt."""
STORE_S = 10.0
"""For one call to Postgres."""


class Upstream(Protocol):
    """WasenderAPI, with the account token. Every call raises UpstreamError."""

    async def connect_session(self, session_id: SessionId, /) -> ConnectReply:
        """Starts linking upstream; the reply may hold a first code. Raises UpstreamError."""

    async def get_qr_code(self, session_id: SessionId, /) -> str | None:
        """The code upstream shows now; None if it has none yet. Raises UpstreamError."""

    async def get_session(self, session_id: SessionId, /) -> UpstreamSession:
        """The session as upstream has it now. Raises UpstreamError, SessionNotFound among them."""


class AttemptStore(Protocol):
    """The attempts' rows. A session has at most one running attempt.

    `holder` (text) fences a write: if the running attempt is not held by it, or there is none, nothing is
    written and the answer is None or False. A `holder` of None means any holder. `as_of`, in unix
    seconds, is when the question was begun that brought the answer (None: now): what is older than what is known is
    not written. Every call raises StoreUnavailable.
    """

    async def begin(self, session_id: int, holder: str, actor: str) -> tuple[Attempt, bool]:
        """A new attempt and True; or the one that runs already, untouched, and False."""

    async def current(self, session_id: int) -> Attempt | None:
        """The newest attempt, also an ended one."""

    async def running(self) -> list[Attempt]:
        """Attempts that have not ended, of all gateways. Raises StoreUnavailable."""

    async def take(self, session_id: int, holder: str) -> Attempt | None:
        """Makes `holder` the holder of the running attempt. None if none runs."""

    async def record_code(
        self, session_id: int, code: str, holder: str | None, *, as_of: float | None = None
    ) -> Attempt | None:
        """Another code than the present one gets the next seq and number, and takes back `scanned_at`.

        Its life is what WhatsApp's clock and the codes of the attempt so far let expect.
        """

    async def note_trouble(
        self, session_id: int, trouble: dict[str, Any] | None, holder: str
    ) -> Attempt | None:
        """Notes why upstream fails while the attempt goes on; None notes that this has passed."""

    async def record_status(
        self,
        session_id: int,
        status: str,
        source: StatusSource,
        holder: str | None = None,
        *,
        as_of: float | None = None,
    ) -> Heard | None:
        """Writes the status of the session's own row; an unchanged one notifies of nothing. None if fenced off."""

    async def mark_scanned(self, session_id: int, holder: str) -> Attempt | None:
        """Notes the scan; None if the attempt is not running or not this holder's. Raises StoreUnavailable."""

    async def touch(self, session_id: int, holder: str) -> Attempt | None:
        """Sets `moved_at`."""

    async def end(
        self, session_id: int, holder: str | None, reason: str, error: dict[str, Any] | None
    ) -> bool:
        """True for the one caller that ended it."""


class Leases(Protocol):
    """The right to poll a session, while the listening connection lives."""

    async def acquire(self, session_id: int) -> bool:
        """Whether this process holds the lease now. Never waits for another holder."""

    async def release(self, session_id: int) -> None:
        """Gives the lease back, so that another gateway may take it at once."""


OnConnected = Callable[[int], Awaitable[None]]
"""Called once in the cluster when an attempt ended with a link: refreshes key, user and last_connected_at."""


@dataclass(frozen=True, slots=True)
class LinkingContext:
    """What every poller is given."""

    store: AttemptStore
    upstream: Upstream
    log: Log
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.time
    """Unix seconds, to be compared with the rows' times."""
    roll: Callable[[], float] = random.random
    """0 ≤ roll() < 1."""

    async def note(self, session_id: int, event: str, sentence: str, **metadata: Any) -> None:
        """Writes to the audit log. A log that cannot be written stops no link."""
        try:
            await within(STORE_S, self.log(session_id, event, sentence, metadata))
        except Exception as error:
            logger.warning("link.not_logged session=%d event=%s error=%r", session_id, event, error)

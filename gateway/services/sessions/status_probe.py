"""Asks upstream for the status of one session with the session's own key, which tells a real link from a ghost."""

import logging
import time
from collections.abc import Callable
from typing import Protocol

from gateway.domain.errors import GatewayError, SessionNotFound, UpstreamUnauthorized
from gateway.domain.session import Heard, SessionSecrets, StatusSource, normalise_status

logger = logging.getLogger(__name__)


MOST_AT_ONCE = 30
"""Upstream publishes no limit for `/status`; this stays far below the ones it has."""


class ProbeStore(Protocol):
    """Where keys are read and statuses are written. Everything raises StoreUnavailable."""

    async def quiet_sessions(self, quiet_s: float, limit: int) -> list[int]:
        """Sessions that should live and were not heard of, longest first; none that is being linked."""

    async def note_probe(self, session_id: int) -> None:
        """Notes that the session has just been asked, so that no gateway asks it again soon."""

    async def secrets(self, session_id: int) -> SessionSecrets | None:
        """API key and webhook secret as they are stored; None for an unknown session."""

    async def record_status(self, session_id: int, status: str, source: StatusSource, as_of: float) -> Heard:
        """Stores a status unless a newer one is known; `as_of` is when it was asked for, unix seconds."""


class StatusSourceOfTruth(Protocol):
    """Where the status of a session is asked for: WasenderAPI."""

    async def get_status(self, api_key: str) -> str:
        """The status of the session that the key belongs to, in upstream's words. Raises UpstreamError."""


class KeyKeeper(Protocol):
    """The sessions service, as far as a probe needs it."""

    async def refresh_secrets(self, session_id: int) -> SessionSecrets | None:
        """Key and secret, fetched from upstream and stored; None if upstream has no such session."""

    async def mark_gone(self, session_id: int) -> bool:
        """Notes that upstream has no such session any more; whether that was new."""


class StatusProbe:
    """Asks upstream what a session's status is now."""

    def __init__(
        self,
        store: ProbeStore,
        sessions: KeyKeeper,
        upstream: StatusSourceOfTruth,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is unix time."""
        self._store = store
        self._sessions = sessions
        self._upstream = upstream
        self._clock = clock

    async def probe_quiet(self, quiet_s: float) -> None:
        """Asks for every session that was not heard of for so long, the longest first; some are left for later."""
        for session_id in await self._store.quiet_sessions(quiet_s, MOST_AT_ONCE):
            await self.probe(session_id)

    async def probe(self, session_id: int) -> None:
        """Asks for the session's status and stores it. A session that upstream does not have is gone."""
        await self._store.note_probe(session_id)
        as_of = self._clock()
        try:
            status = await self.ask_status(session_id)
        except SessionNotFound:
            await self._sessions.mark_gone(session_id)
        except GatewayError as error:
            logger.warning("monitor.probe_failed session=%d error=%s", session_id, error)
        else:
            if status is not None:
                await self._store.record_status(session_id, normalise_status(status), "probe", as_of)

    async def ask_status(self, session_id: int) -> str | None:
        """The session's status upstream now; None where there is no key to ask with."""
        secrets = await self._store.secrets(session_id)
        if secrets is not None and secrets.api_key:
            try:
                return await self._upstream.get_status(secrets.api_key)
            except UpstreamUnauthorized:
                pass  # the key may have been made anew: fetch it, and ask once more
        fresh = await self._sessions.refresh_secrets(session_id)
        if fresh is None or not fresh.api_key or (secrets and fresh.api_key == secrets.api_key):
            return None
        return await self._upstream.get_status(fresh.api_key)

"""After a phone was linked: the session's new key, and whose phone it is."""

import logging
from typing import Any, Protocol

from gateway.domain.errors import GatewayError
from gateway.domain.session import SessionStatus
from gateway.services.background import Background
from gateway.services.sessions.cache import SessionSource, SessionStore, now

logger = logging.getLogger(__name__)


class UserSource(SessionSource, Protocol):
    """Where a session and its WhatsApp user are asked for: WasenderAPI."""

    async def get_user(self, api_key: str) -> dict[str, Any]:
        """The WhatsApp user that the session of this key is linked to. Raises UpstreamError."""


class LinkedPhones:
    """Asks upstream for what a new link has changed, and stores it. One question at a time for each session."""

    def __init__(self, upstream: UserSource, store: SessionStore) -> None:
        self._upstream = upstream
        self._store = store
        self._background = Background()
        self._refreshing: set[int] = set()

    def reported(self, session_id: int, status: str) -> None:
        """A webhook told this status, which is stored already. A new link is asked for; returns at once."""
        if status == SessionStatus.CONNECTED:
            self._background.start(self.refresh(session_id), f"connected-{session_id}")

    async def refresh(self, session_id: int) -> None:
        """Stores the session's key and whose phone it is. Single-flight; faults are logged."""
        if session_id in self._refreshing:
            return
        self._refreshing.add(session_id)
        try:
            as_of = now()
            upstream = await self._upstream.get_session(session_id)
            user = await self._upstream.get_user(upstream.api_key) if upstream.api_key else None
            if upstream.api_key:
                await self._store.record_key(session_id, upstream.api_key, as_of)
            await self._store.record_connected(session_id, user)
        except GatewayError as error:
            logger.warning("sessions.refresh_failed session=%d error=%s", session_id, error)
        finally:
            self._refreshing.discard(session_id)

    async def close(self) -> None:
        """Ends what still runs in the background."""
        await self._background.close()

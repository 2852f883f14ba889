"""What WasenderAPI says of sessions, on its way into Postgres.

Every answer comes with the time its question was begun. What was stored since then may be newer, so it is not
replaced: the settings are asked for again, and a status that a webhook brought meanwhile stays.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.domain.backoff import Backoff
from gateway.domain.errors import SessionNotFound
from gateway.domain.session import (
    Actor,
    Heard,
    Session,
    SessionSecrets,
    SessionStatus,
    StatusSource,
    UpstreamSession,
)
from gateway.services.sessions.audit_log import AuditNote

ASK_AGAIN = 3
"""How often a session is asked for again because another writer stored something meanwhile."""
OVERTAKEN = Backoff(first_s=0.02, most_s=10.0, factor=4.0, spread=0.0)


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """What a list of sessions shows. None = no limit of that kind."""

    only: frozenset[int] | None = None
    status: str | None = None
    search: str | None = None
    sort: tuple[tuple[str, bool], ...] = (("name", False),)
    """Fields, the weightiest first, and whether each is descending."""
    limit: int = 50
    after: "SessionKey | None" = None
    """The last session of the page before."""
    include_gone: bool = False


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Where a session stands in a sorted list: its values of the fields sorted by, as text, and its id."""

    values: tuple[str | None, ...]
    id: int


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions of one page, and where the next one begins."""

    sessions: list[Session] = field(default_factory=list)
    next: SessionKey | None = None
    """None on the last page."""


class SessionStore(Protocol):
    """`as_of`, in unix seconds, is when upstream was asked for what is to be written."""

    async def list_sessions(self, query: SessionQuery) -> SessionPage:
        """One page of the sessions that the query names. Raises StoreUnavailable."""

    async def get_session(self, session_id: int) -> Session | None:
        """The session as it is stored, or None. Raises StoreUnavailable."""

    async def save_session(
        self, upstream: UpstreamSession, source: StatusSource, as_of: float
    ) -> tuple[Session, str]:
        """Inserts or updates; what upstream did not say is kept.

        The word is created, updated, unchanged; or overtaken, when settings were stored since: then only the
        status is taken over, if it is still newer.
        """

    async def record_status(
        self,
        session_id: int,
        status: str,
        source: StatusSource,
        as_of: float,
        note: AuditNote | None = None,
    ) -> Heard:
        """The status, and in the same transaction the row of the audit log: `note`, or what the turn is worth."""

    async def record_connected(self, session_id: int, user_info: dict[str, Any] | None) -> None:
        """Notes that the session is linked, and to which WhatsApp user. Raises StoreUnavailable."""

    async def record_key(self, session_id: int, api_key: str, as_of: float) -> bool:
        """False, and nothing written, if settings were stored since: which key is the newer one cannot be known."""

    async def delete_session(self, session_id: int, actor: Actor) -> None:
        """Takes the session and its secrets out, in the actor's name. Raises StoreUnavailable."""

    async def secrets(self, session_id: int) -> SessionSecrets | None:
        """API key and webhook secret as stored; None for an unknown session. Raises StoreUnavailable."""

    async def known_ids(self) -> set[int]:
        """Numbers of all stored sessions. Raises StoreUnavailable."""

    async def is_remembered(self, session_id: int) -> bool:
        """Whether there is, or ever was, a session of this id here."""


class SessionSource(Protocol):
    """Where a session is asked for: WasenderAPI."""

    async def get_session(self, session_id: int) -> UpstreamSession:
        """The session as upstream has it now. Raises UpstreamError, SessionNotFound among them."""


class SessionCache:
    """Stores what upstream says, unless something newer is stored already."""

    def __init__(self, upstream: SessionSource, store: SessionStore) -> None:
        self._upstream = upstream
        self._store = store

    async def fetch(self, session_id: int) -> tuple[Session, str]:
        """The session as upstream has it now, stored. Raises SessionNotFound; then it is gone here, too."""
        as_of = now()
        try:
            upstream = await self._upstream.get_session(session_id)
        except SessionNotFound:
            await self.mark_gone(session_id, as_of)
            raise
        return await self.keep(upstream, as_of)

    async def keep(self, upstream: UpstreamSession, as_of: float) -> tuple[Session, str]:
        """Stores an answer to a question begun at `as_of`; asks again while others store in between."""
        session, word = await self._store.save_session(upstream, "api", as_of)
        for tries in range(1, ASK_AGAIN + 1):
            if word != "overtaken":
                break
            # Grows, so that a clock which is a little behind Postgres' comes past what was stored.
            await asyncio.sleep(OVERTAKEN.pause_s(tries))
            as_of = now()
            session, word = await self._store.save_session(
                await self._upstream.get_session(int(upstream.id)), "api", as_of
            )
        return session, word

    async def mark_gone(self, session_id: int, as_of: float) -> bool:
        """Upstream has no such session any more. Its row and messages stay; False if that was known."""
        heard = await self._store.record_status(session_id, str(SessionStatus.GONE), "api", as_of)
        return heard.is_changed


def now() -> float:
    """Unix seconds: the time that an answer holds for whose question is begun now."""
    return time.time()

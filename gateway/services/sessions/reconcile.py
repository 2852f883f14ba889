"""Reconciles all sessions with WasenderAPI: what it says counts.

Sessions made elsewhere, and those whose first storing failed, are adopted; what upstream no longer has becomes
`gone`, and comes back if it comes back.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.errors import GatewayError
from gateway.domain.session import SYSTEM, Actor, UpstreamSession
from gateway.services.sessions.audit_log import Log
from gateway.services.sessions.cache import SessionCache, SessionSource, SessionStore, now

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class SyncReport:
    """What a reconciliation changed, in numbers of sessions, with a sentence for each that failed."""

    created: int = 0
    updated: int = 0
    gone: int = 0
    unchanged: int = 0
    total: int = 0
    errors: list[str] = field(default_factory=list)


class SessionLister(SessionSource, Protocol):
    """Where all sessions are asked for: WasenderAPI."""

    async def list_sessions(self) -> list[UpstreamSession]:
        """All sessions of the account, as upstream has them now. Raises UpstreamError."""


class Reconciler:
    """Makes the stored sessions equal to upstream's."""

    def __init__(
        self,
        upstream: SessionLister,
        store: SessionStore,
        *,
        background: SessionLister | None = None,
        log: Log,
    ) -> None:
        """`background` is upstream, too, asked more patiently: for what no person waits for."""
        self._upstream = upstream
        self._background = background or upstream
        self._store = store
        self._log = log

    async def sync(
        self, actor: Actor = SYSTEM, *, progress: Callable[[int, int], None] | None = None
    ) -> SyncReport:
        """Reconciles all sessions with upstream. One session's fault is reported and stops no other."""
        # First what we have: a session made while the list is read must not look as if it were gone.
        known = await self._store.known_ids()
        as_of = now()
        upstream = self._background if actor is SYSTEM else self._upstream
        cache = SessionCache(upstream, self._store)
        listed = await upstream.list_sessions()
        report = SyncReport(total=len(listed))
        for done, summary in enumerate(listed, start=1):
            try:
                word = await self._sync_one(cache, summary, as_of)
                setattr(report, word, getattr(report, word) + 1)
                if word != "unchanged":
                    message = f"Sync: the session was {word} from WasenderAPI."
                    await self._log(int(summary.id), f"sync_{word}", message, actor.described())
            except GatewayError as error:
                report.errors.append(f"{summary.id}: {error.message}")
            if progress:
                progress(done, len(listed))
        if known and not listed and actor is SYSTEM:
            # An empty account is rarer than a wrong token or the wrong upstream; a person may ask for it.
            logger.warning("sessions.sync_stopped reason=upstream_lists_nothing known=%d", len(known))
            return report
        for session_id in sorted(known - {int(item.id) for item in listed}):
            if await cache.mark_gone(session_id, as_of):
                report.gone += 1
        return report

    async def _sync_one(self, cache: SessionCache, summary: UpstreamSession, as_of: float) -> str:
        # The list has no secrets; they are fetched once per session.
        secrets = await self._store.secrets(int(summary.id))
        if secrets is None or not secrets.api_key or not secrets.webhook_secret:
            _, word = await cache.fetch(int(summary.id))
        else:
            _, word = await cache.keep(summary, as_of)
        # Overtaken again and again: the writer that stores it so often knows it better than this list.
        return "unchanged" if word == "overtaken" else word

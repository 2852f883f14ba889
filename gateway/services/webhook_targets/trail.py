"""What admins do with targets, in the access log; and that a target in raw mode is given a session's key and secret."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from gateway.domain.access import Principal
from gateway.services.auth.access_log import AccessLog
from gateway.services.sessions.audit_log import Log
from gateway.services.webhook_targets.ports import Target


class TargetTrail:
    """Notes what was done."""

    def __init__(self, log: AccessLog, audit: Log, known_ids: Callable[[], Awaitable[set[int]]]) -> None:
        self._log = log
        self._audit = audit
        self._known_ids = known_ids

    async def note(self, event: str, target: Target, by: Principal, **details: Any) -> None:
        """One entry of the access log."""
        await self._log.note(
            event, None, None, by, target=target.id, url=target.url, mode=target.mode, **details
        )

    async def handed_out(self, target: Target, by: Principal) -> None:
        """One row in the audit log of each session that goes out with its key and secret, as for a look at them.

        Raises StoreUnavailable."""
        host = urlsplit(target.url).hostname
        sentence = f"{by.name} sends its webhooks, with its key and secret, to {host}."
        metadata = {**by.actor.described(), "target": target.id}
        for session_id in target.sessions or sorted(await self._known_ids()):
            await self._audit(session_id, "secrets_revealed", sentence, metadata)

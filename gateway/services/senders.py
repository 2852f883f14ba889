"""Whose webhook is this, and may it come in: the sessions' keys and secrets, kept in memory.

The session is found by the path, else by the key in the body, else by the secret. A wrong secret may be a
rotated one, so that session is fetched from upstream once (at most every 10 s) before it is refused.
"""

import asyncio
import hmac
import logging
import time
from collections.abc import Callable
from typing import Protocol

from gateway.domain.errors import GatewayError, StoreUnavailable, Unauthenticated, Unavailable
from gateway.domain.session import SessionSecrets
from gateway.services.within import within

logger = logging.getLogger(__name__)

REFRESH_EVERY_S = 10.0
READ_S = 0.4
"""How long a webhook waits for the table to be read; then it is checked against what was known before."""

AWAY_S = 1.0
"""For how long nobody reads again when nothing answered: webhooks must not queue up for that."""

REFRESH_S = 2.5
"""How long upstream may take to tell a session's secret: who sent the webhook does not wait much longer."""


class SecretStore(Protocol):
    async def all_secrets(self, session_id: int | None = None) -> list[SessionSecrets]: ...


class SecretSource(Protocol):
    async def refresh_secrets(self, session_id: int) -> SessionSecrets | None: ...


class Senders:
    def __init__(
        self, store: SecretStore, source: SecretSource, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._known: dict[int, SessionSecrets] = {}
        self._changes = 1
        self._changes_read = 0
        self._reads = 0
        self._reading = asyncio.Lock()
        self._is_fresh = False
        self._away_until = float("-inf")
        self._refreshed_at: dict[int, float] = {}
        self._refreshing: dict[int, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Learns all secrets while Postgres is there: known ones are enough when it is not."""
        await self._read()

    def forget(self) -> None:
        """Something about the sessions changed: read them again before the next webhook."""
        self._changes += 1

    async def authenticate(
        self, path_id: int | None, key: str | None, signature: str | None
    ) -> SessionSecrets:
        """The session of a webhook whose signature is its secret.

        Raises Unauthenticated; or Unavailable when the secret cannot be known now (Postgres away, not cached).
        """
        if not signature:
            raise Unauthenticated("The webhook has no X-Webhook-Signature.")
        if self._changes_read != self._changes:
            # Also before a match: a secret that was changed because it leaked must not open the door once more.
            await self._read()
        sender = self._matching(path_id, key, signature)
        if sender is None:
            # The session may be so new that its bell has not rung here yet.
            is_fresh = await self._read()
            sender = self._matching(path_id, key, signature)
            if sender is None and not is_fresh and self._named(path_id, key) is None:
                raise Unavailable(
                    "The database is away, and this webhook cannot be checked.", retry_after_s=2
                )
        if sender is None:
            sender = await self._after_refresh(path_id, key, signature)
        if sender is None:
            raise Unauthenticated("The webhook's secret is not the session's.")
        return sender

    def _matching(self, path_id: int | None, key: str | None, signature: str) -> SessionSecrets | None:
        candidate = self._named(path_id, key)
        if candidate is not None:
            return candidate if _equal(candidate.webhook_secret, signature) else None
        if path_id is not None:
            return None
        # Every secret is compared, so that the time says nothing about which one came close.
        found = [item for item in self._known.values() if _equal(item.webhook_secret, signature)]
        return found[0] if len(found) == 1 else None

    def _named(self, path_id: int | None, key: str | None) -> SessionSecrets | None:
        if path_id is not None:
            return self._known.get(path_id)
        if not key:
            return None
        if key.isdecimal() and len(key) <= 18 and int(key) in self._known:
            return self._known[int(key)]
        return next((item for item in self._known.values() if _equal(item.api_key, key)), None)

    async def _read(self) -> bool:
        """Reads the table, or waits for a read that began after this call; False when Postgres is away."""
        begun = self._reads
        async with self._reading:
            if self._reads > begun:
                return self._is_fresh
            if self._clock() < self._away_until:
                return False
            self._reads += 1
            # Noted before the read: a change that comes meanwhile is read with the next webhook.
            noted = self._changes
            begun_at = self._clock()
            try:
                found = await within(READ_S, self._store.all_secrets())
                self._known = {int(item.id): item for item in found}
                self._changes_read = noted
                self._is_fresh = True
            except StoreUnavailable:
                self._is_fresh = False
                if self._clock() - begun_at >= READ_S:
                    self._away_until = self._clock() + AWAY_S
            return self._is_fresh

    async def _after_refresh(
        self, path_id: int | None, key: str | None, signature: str
    ) -> SessionSecrets | None:
        candidate = self._named(path_id, key)
        if candidate is None:
            return None
        session_id = int(candidate.id)
        # One at a time: who comes while the answer is on its way must not be refused for the sake of the limit.
        refresh = self._refreshing.get(session_id)
        if (
            refresh is None
            and self._clock() - self._refreshed_at.get(session_id, float("-inf")) >= REFRESH_EVERY_S
        ):
            self._refreshed_at[session_id] = self._clock()
            refresh = asyncio.create_task(self._refresh(session_id), name=f"refresh-secrets-{session_id}")
            self._refreshing[session_id] = refresh
            refresh.add_done_callback(lambda _: self._refreshing.pop(session_id))
        if refresh is not None:
            await asyncio.wait([refresh], timeout=REFRESH_S)
            if not refresh.done():
                raise Unavailable(
                    "The secret may have changed, and cannot be looked up now.", retry_after_s=2
                )
        fresh = self._known.get(session_id)
        return fresh if fresh is not None and _equal(fresh.webhook_secret, signature) else None

    async def _refresh(self, session_id: int) -> None:
        try:
            fresh = await self._source.refresh_secrets(session_id)
            if fresh is not None:
                self._known[session_id] = fresh
        except GatewayError as error:
            logger.warning("senders.refresh_failed session=%d error=%s", session_id, error)


def _equal(secret: str | None, given: str) -> bool:
    """Constant-time; a session without a secret matches nothing."""
    return bool(secret) and hmac.compare_digest(str(secret).encode(), given.encode())

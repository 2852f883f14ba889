"""Whose webhook is this, and may it come in: the sessions' keys and secrets, kept in memory.

The session is found by the path, else by the key in the body, else by the secret. A wrong secret may be a
rotated one, so that session is fetched from upstream once (at most every 10 s) before it is refused.
"""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from gateway.domain.errors import GatewayError, StoreUnavailable, Unauthenticated, Unavailable
from gateway.domain.notifications import sessions_of
from gateway.domain.session import SessionSecrets
from gateway.services.background import Background
from gateway.services.deadlines import within

logger = logging.getLogger(__name__)


REFRESH_EVERY_S = 10.0
KNOWN_S = 0.4
"""How long a webhook whose secret is known waits for the table to be read: then what was known before counts."""

UNKNOWN_S = 2.0
"""The same for one whose secret is not known: there is nothing else to go by."""

AWAY_S = 1.0
"""For how long those who are known do not wait again when nothing answered: they must not queue up for that."""

REFRESH_S = 1.0
"""How much longer upstream may take to tell a session's secret: who sent the webhook does not wait for ever."""


class WrongSecret(Unauthenticated):
    """A webhook names a session, and shows another secret than that session's."""

    def __init__(self, session_id: int | None) -> None:
        """`session_id` is None where the webhook names no session that is known."""
        super().__init__("The webhook's secret is not the session's.")
        self.session_id = session_id


class SecretStore(Protocol):
    """Where the sessions' keys and webhook secrets are stored. Raises StoreUnavailable."""

    async def all_secrets(self, session_ids: Sequence[int] | None = None) -> list[SessionSecrets]:
        """Of these sessions, as far as there are any; or of all."""


class SecretSource(Protocol):
    """Where keys and secrets are fetched that are not stored: WasenderAPI."""

    async def refresh_secrets(self, session_id: int) -> SessionSecrets | None:
        """Key and secret, fetched from upstream and stored; None if upstream has no such session."""


class WebhookAuthenticator:
    """Finds the session that a webhook belongs to, and compares its secret."""

    def __init__(
        self,
        store: SecretStore,
        source: SecretSource,
        *,
        is_stale: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        known: Iterable[SessionSecrets] = (),
    ) -> None:
        """`is_stale` says whether notifications of changed keys may be missed now.

        `known` counts until the table is read.
        """
        self._store = store
        self._source = source
        self._is_stale = is_stale
        self._clock = clock
        self._known: dict[int, SessionSecrets] = {}
        self._by_key: dict[bytes, SessionSecrets] = {}
        """The same by the digest of the session's key: how long a look takes tells nothing of the key."""
        self._dirty: set[int] = set()
        self._all_dirty = True
        self._has_read = False
        self.news = asyncio.Event()
        """What is known has changed, or may have."""
        self._learn({int(item.id): item for item in known})
        self._reads = 0
        self._reading = asyncio.Lock()
        self._is_fresh = False
        self._away_until = float("-inf")
        self._refreshed_at: dict[int, float] = {}
        self._background = Background()
        self._refreshing: dict[int, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Learns all secrets while Postgres is there: known ones are enough when it is not."""
        await self._read(asyncio.get_running_loop().time() + UNKNOWN_S)

    @property
    def known(self) -> tuple[SessionSecrets, ...] | None:
        """Keys and secrets of all sessions, as they were read last; None before the first time."""
        return tuple(self._known.values()) if self._has_read else None

    @property
    def is_behind(self) -> bool:
        """Whether a notification has named something that is still to be read."""
        return self._all_dirty or bool(self._dirty)

    async def catch_up(self) -> None:
        """Reads what a notification has named, as the next webhook would."""
        if self.is_behind:
            await self._read(asyncio.get_running_loop().time() + UNKNOWN_S)

    async def close(self) -> None:
        """Ends what is asked of upstream."""
        await self._background.close()

    def notify(self, payload: str) -> None:
        """Takes a notification of changed keys or secrets. Never waits; a payload we cannot read counts as `*`."""
        self.forget(sessions_of(payload))
        self.news.set()

    def forget(self, session_ids: Iterable[int] | None) -> None:
        """Keys of these sessions, or of any, changed: they are read again before the next webhook."""
        if session_ids is None:
            self._all_dirty = True
        else:
            self._dirty.update(session_ids)

    async def authenticate(
        self, path_id: int | None, key: str | None, signature: str | None
    ) -> SessionSecrets:
        """The session of a webhook whose signature is its secret.

        Raises Unauthenticated; or Unavailable when the secret cannot be known now (Postgres away, not cached).
        """
        if not signature:
            raise Unauthenticated("The webhook has no X-Webhook-Signature.")
        by = asyncio.get_running_loop().time() + UNKNOWN_S
        if self._is_stale():
            self.forget(None)
        if self.is_behind:
            # Also before a match: a secret that was changed because it leaked must not open the door once more.
            await self._read(by, is_known=self._matching(path_id, key, signature) is not None)
        sender = self._matching(path_id, key, signature)
        if sender is None:
            # The session may be so new that its notification has not come here yet.
            self.forget(None if path_id is None else [path_id])
            is_fresh = await self._read(by)
            sender = self._matching(path_id, key, signature)
            if sender is None and not is_fresh and self._named(path_id, key) is None:
                raise Unavailable(
                    "The database is away, and this webhook cannot be checked.", retry_after_s=2
                )
        if sender is None:
            sender = await self._after_refresh(path_id, key, signature, by + REFRESH_S)
        if sender is None:
            named = self._named(path_id, key)
            raise WrongSecret(None if named is None else int(named.id))
        return sender

    async def knows(self, signature: str) -> bool:
        """Whether it is the secret of a session, as far as it can be known without the webhook's body."""
        if self._is_stale():
            self.forget(None)
        if self.is_behind:
            by = asyncio.get_running_loop().time() + UNKNOWN_S
            await self._read(by, is_known=self._has_secret(signature))
        return self._has_secret(signature)

    def _has_secret(self, signature: str) -> bool:
        # Every secret is compared, so that the time says nothing about which one came close.
        return sum(_equal(item.webhook_secret, signature) for item in self._known.values()) > 0

    async def by_secret(self, signature: str | None) -> SessionSecrets | None:
        """The one session that has this secret; None where none has, or several have: the body must name it."""
        if not signature:
            return None
        if self.is_behind:
            is_known = self._matching(None, None, signature) is not None
            await self._read(asyncio.get_running_loop().time() + UNKNOWN_S, is_known=is_known)
        return self._matching(None, None, signature)

    def is_anothers(self, sender: SessionSecrets, key: str | None) -> bool:
        """Whether the key in a body is that of another session than the one whose secret came with it."""
        named = self._named(None, key)
        return named is not None and named.id != sender.id

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
        return self._by_key.get(_digest(key))

    async def _read(self, by: float, *, is_known: bool = False) -> bool:
        """Reads the table, or waits for a read that began after this call; False when nothing came in time."""
        loop = asyncio.get_running_loop()
        if is_known:
            if self._clock() < self._away_until:
                return False
            by = min(by, loop.time() + KNOWN_S)
        begun = self._reads
        try:
            async with asyncio.timeout_at(by):
                await self._reading.acquire()
        except TimeoutError:
            return False
        try:
            if self._reads == begun:
                self._is_fresh = await self._read_now(by - loop.time())
            return self._is_fresh
        finally:
            self._reading.release()

    async def _read_now(self, budget_s: float) -> bool:
        self._reads += 1
        # Taken before the read: a change that comes meanwhile is read with the next webhook.
        everything, self._all_dirty = self._all_dirty, False
        dirty, self._dirty = self._dirty, set()
        begun_at = self._clock()
        is_read = False
        try:
            found = await within(budget_s, self._store.all_secrets(None if everything else sorted(dirty)))
            kept = {} if everything else {k: v for k, v in self._known.items() if k not in dirty}
            self._learn(kept | {int(item.id): item for item in found})
            is_read = self._has_read = True
        except StoreUnavailable:
            if self._clock() - begun_at >= KNOWN_S:
                self._away_until = self._clock() + AWAY_S
        finally:
            if not is_read:
                self._all_dirty = self._all_dirty or everything
                self._dirty |= dirty
        return is_read

    def _learn(self, known: dict[int, SessionSecrets]) -> None:
        self._known = known
        self.news.set()
        # Of sessions with the same key the first counts.
        self._by_key = {_digest(item.api_key): item for item in reversed(known.values()) if item.api_key}

    async def _after_refresh(
        self, path_id: int | None, key: str | None, signature: str, by: float
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
            refresh = self._background.start(self._refresh(session_id), f"refresh-secrets-{session_id}")
            self._refreshing[session_id] = refresh
            refresh.add_done_callback(lambda _: self._refreshing.pop(session_id))
        if refresh is not None:
            await asyncio.wait([refresh], timeout=by - asyncio.get_running_loop().time())
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
                self._learn(self._known | {session_id: fresh})
        except GatewayError as error:
            logger.warning("authenticator.refresh_failed session=%d error=%s", session_id, error)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _equal(secret: str | None, given: str) -> bool:
    """Constant-time; a session without a secret matches nothing."""
    return bool(secret) and hmac.compare_digest(str(secret).encode(), given.encode())

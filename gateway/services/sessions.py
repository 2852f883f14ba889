"""Create, update, delete, sync: WasenderAPI is the truth, Postgres the cache.

Every change is made upstream first and stored here afterwards; when the second step fails, the next sync makes
it good. A session that upstream no longer has becomes `gone` and keeps its messages.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.domain.errors import (
    Conflict,
    GatewayError,
    NotFound,
    SessionNotFound,
    UpstreamError,
    UpstreamUnauthorized,
)
from gateway.domain.linking import Attempt
from gateway.domain.message import StatusReported
from gateway.domain.session import (
    SYSTEM,
    Actor,
    Session,
    SessionSecrets,
    SessionStatus,
    StatusSource,
    UpstreamSession,
    normalise_status,
)
from gateway.domain.upkeep import WEBHOOK_PATH

logger = logging.getLogger(__name__)

WEBHOOK_EVENTS = [
    "messages.received",
    "messages.upsert",
    "messages.update",
    "messages.delete",
    "messages.reaction",
    "message.sent",
    "message-receipt.update",
    "session.status",
    "qrcode.updated",
]


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """What a list of sessions shows. None = no limit of that kind."""

    only: frozenset[int] | None = None
    status: str | None = None
    search: str | None = None
    sort: tuple[tuple[str, bool], ...] = (("name", False),)
    """Fields, the weightiest first, and whether each is descending."""
    limit: int = 50
    offset: int = 0
    include_gone: bool = False


@dataclass(slots=True)
class SyncReport:
    created: int = 0
    updated: int = 0
    gone: int = 0
    unchanged: int = 0
    total: int = 0
    errors: list[str] = field(default_factory=list)


class Upstream(Protocol):
    async def list_sessions(self) -> list[UpstreamSession]: ...
    async def create_session(self, fields: dict[str, Any]) -> UpstreamSession: ...
    async def get_session(self, session_id: int) -> UpstreamSession: ...
    async def update_session(
        self, session_id: int, fields: dict[str, Any]
    ) -> tuple[UpstreamSession, str | None]: ...
    async def delete_session(self, session_id: int) -> None: ...
    async def disconnect_session(self, session_id: int) -> str: ...
    async def restart_session(self, session_id: int) -> None: ...
    async def regenerate_key(self, session_id: int) -> str: ...
    async def get_status(self, api_key: str) -> str: ...
    async def get_user(self, api_key: str) -> dict[str, Any]: ...


class SessionStore(Protocol):
    async def list_sessions(self, query: SessionQuery) -> tuple[list[Session], bool]:
        """One page, and whether there are more."""

    async def get_session(self, session_id: int) -> Session | None: ...
    async def save_session(self, upstream: UpstreamSession, source: StatusSource) -> tuple[Session, str]:
        """Inserts or updates; what upstream did not say is kept. The word is created, updated or unchanged."""

    async def record_status(self, session_id: int, status: str, source: StatusSource) -> None: ...
    async def record_connected(
        self, session_id: int, api_key: str | None, user_info: dict[str, Any] | None
    ) -> None: ...
    async def record_key(self, session_id: int, api_key: str) -> None: ...
    async def delete_session(self, session_id: int, actor: Actor) -> None: ...
    async def secrets(self, session_id: int) -> SessionSecrets | None: ...
    async def known_ids(self) -> set[int]: ...
    async def is_remembered(self, session_id: int) -> bool:
        """Whether there is, or ever was, a session of this id here."""


Log = Callable[[int, str, str, dict[str, Any]], Awaitable[None]]
"""(session id, event type, sentence, metadata) → one row of the audit trail."""


_ENDED = {
    str(SessionStatus.DISCONNECTED): "The session is disconnected.",
    str(SessionStatus.LOGGED_OUT): "The session was unlinked on the phone.",
    str(SessionStatus.EXPIRED): "The link has expired.",
}


class Linker(Protocol):
    async def connect(self, session_id: int, actor: Actor) -> Attempt: ...
    async def cancel(self, session_id: int, actor: Actor, why: str) -> bool: ...


class Sessions:
    def __init__(
        self,
        upstream: Upstream,
        store: SessionStore,
        *,
        background: Upstream,
        log: Log,
        public_url: str | None,
        validate: Callable[[dict[str, Any], bool], dict[str, Any]],
    ) -> None:
        """`background` is the same upstream for what nobody waits for.

        `validate(fields, is_update)` returns the fields upstream takes, or raises Invalid.
        """
        self._upstream = upstream
        self._background = background
        self._log = log
        self._store = store
        self._public_url = public_url
        self._validate = validate
        self._tasks: set[asyncio.Task[None]] = set()
        self._refreshing: set[int] = set()
        self.linker: Linker | None = None

    # ------------------------------------------------------------------------------------------ reading

    async def page(self, query: SessionQuery) -> tuple[list[Session], bool]:
        return await self._store.list_sessions(query)

    async def get(self, session_id: int, *, refresh: bool = False) -> Session:
        """A session from Postgres; from upstream if it is not known here (another tool may have made it)."""
        session = None if refresh else await self._store.get_session(session_id)
        if session is not None:
            return session
        try:
            upstream = await self._upstream.get_session(session_id)
        except SessionNotFound:
            await self.mark_gone(session_id)
            raise
        session, _ = await self._store.save_session(upstream, "api")
        return session

    async def reveal(self, session_id: int, actor: Actor) -> tuple[Session, SessionSecrets]:
        session = await self.get(session_id)
        secrets = await self._store.secrets(session_id)
        await self._log(session_id, "secrets_revealed", f"{actor.name} looked at the secrets.", _who(actor))
        return session, secrets or SessionSecrets(session.id, None, None)

    # ------------------------------------------------------------------------------------------ changing

    async def create(self, fields: dict[str, Any], actor: Actor) -> Session:
        wanted = self._validate(fields, False)
        if self._public_url and "webhook_url" not in wanted:
            wanted |= {
                "webhook_url": self._public_url + WEBHOOK_PATH,
                "webhook_enabled": True,
                "webhook_events": wanted.get("webhook_events") or WEBHOOK_EVENTS,
            }
        upstream = await self._upstream.create_session(wanted)
        if upstream.webhook_secret is None or upstream.api_key is None:
            upstream = await self._upstream.get_session(upstream.id)
        session, _ = await self._store.save_session(upstream, "api")
        await self._log(session.id, "session_created", f"{actor.name} created the session.", _who(actor))
        return session

    async def update(
        self, session_id: int, fields: dict[str, Any], actor: Actor
    ) -> tuple[Session, str | None]:
        wanted = self._validate(fields, True)
        try:
            upstream, warning = await self._upstream.update_session(session_id, wanted)
        except SessionNotFound:
            await self.mark_gone(session_id)
            raise
        session, _ = await self._store.save_session(upstream, "api")
        changed = {**_who(actor), "fields": sorted(wanted)}
        await self._log(session_id, "session_updated", f"{actor.name} changed the settings.", changed)
        return session, warning

    async def delete(self, session_id: int, actor: Actor) -> None:
        """Upstream first. One that is gone there, or here, counts as done: the caller may not have heard our answer."""
        if self.linker:
            await self.linker.cancel(session_id, actor, "the session was deleted")
        try:
            await self._upstream.delete_session(session_id)
        except SessionNotFound:
            if not await self._store.is_remembered(session_id):
                raise
        await self._store.delete_session(session_id, actor)

    async def disconnect(self, session_id: int, actor: Actor) -> str:
        """Ends a running attempt and the link, in any state."""
        await self._require_known(session_id)
        if self.linker:
            await self.linker.cancel(session_id, actor, "the session was disconnected")
        try:
            status = normalise_status(await self._upstream.disconnect_session(session_id))
        except SessionNotFound:
            await self.mark_gone(session_id)
            raise
        await self._store.record_status(session_id, status, "api")
        await self._log(session_id, "disconnected", f"{actor.name} disconnected the session.", _who(actor))
        return status

    async def restart(self, session_id: int, actor: Actor) -> str:
        """A soft restart of a connected session; of any other: disconnect and connect."""
        session = await self._require_known(session_id)
        await self._log(session_id, "session_restarted", f"{actor.name} restarted the session.", _who(actor))
        if session.status == SessionStatus.CONNECTED:
            try:
                await self._upstream.restart_session(session_id)
                return str(SessionStatus.CONNECTED)
            except SessionNotFound:
                await self.mark_gone(session_id)
                raise
            except UpstreamError as error:
                if error.retryable or isinstance(error, UpstreamUnauthorized):
                    raise
                # "Not connected. Cannot restart.": our status was a ghost.
        await self.disconnect(session_id, actor)
        assert self.linker is not None
        await self.linker.connect(session_id, actor)
        return str(SessionStatus.CONNECTING)

    async def regenerate_key(self, session_id: int, actor: Actor) -> None:
        await self._require_known(session_id)
        try:
            key = await self._upstream.regenerate_key(session_id)
        except SessionNotFound:
            await self.mark_gone(session_id)
            raise
        await self._store.record_key(session_id, key)
        await self._log(session_id, "key_regenerated", f"{actor.name} made a new API key.", _who(actor))

    # ------------------------------------------------------------------------------------------ truth

    async def sync(
        self, actor: Actor = SYSTEM, *, progress: Callable[[int, int], None] | None = None
    ) -> SyncReport:
        """Reconciles all sessions with upstream. One session's fault is reported and stops no other."""
        # First what we have: a session made while the list is read must not look as if it were gone.
        known = await self._store.known_ids()
        listed = await self._background.list_sessions()
        report = SyncReport(total=len(listed))
        for done, summary in enumerate(listed, start=1):
            try:
                word = await self._sync_one(summary)
                setattr(report, word, getattr(report, word) + 1)
                if word != "unchanged":
                    message = f"Sync: the session was {word} from WasenderAPI."
                    await self._log(summary.id, f"sync_{word}", message, _who(actor))
            except GatewayError as error:
                report.errors.append(f"{summary.id}: {error.message}")
            if progress:
                progress(done, len(listed))
        if known and not listed and actor is SYSTEM:
            # An empty account is rarer than a wrong token or the wrong upstream; a person may ask for it.
            logger.warning("sessions.sync_stopped reason=upstream_lists_nothing known=%d", len(known))
            return report
        for session_id in sorted(known - {int(item.id) for item in listed}):
            if await self.mark_gone(session_id):
                report.gone += 1
        return report

    async def _sync_one(self, summary: UpstreamSession) -> str:
        # The list has no secrets; they are fetched once per session.
        secrets = await self._store.secrets(summary.id)
        if secrets is None or not secrets.api_key or not secrets.webhook_secret:
            summary = await self._background.get_session(summary.id)
        return (await self._store.save_session(summary, "api"))[1]

    async def mark_gone(self, session_id: int) -> bool:
        """Upstream has no such session any more. Its row and messages stay; False if that was known."""
        session = await self._store.get_session(session_id)
        if session is None or session.status == SessionStatus.GONE:
            return False
        await self._store.record_status(session_id, str(SessionStatus.GONE), "api")
        await self._log(session_id, "session_gone", "WasenderAPI has no such session any more.", {})
        return True

    async def repair_webhook(self, session_id: int, actor: Actor) -> Session:
        """Points the session's webhook here again, with all events. Raises Conflict where our address is unknown."""
        if self._public_url is None:
            raise Conflict("The gateway does not know its own address. Set GATEWAY_PUBLIC_URL.")
        webhook = {
            "webhook_url": self._public_url + WEBHOOK_PATH,
            "webhook_enabled": True,
            "webhook_events": WEBHOOK_EVENTS,
        }
        session, _ = await self.update(session_id, webhook, actor)
        await self.refresh_secrets(session_id)
        await self._log(session_id, "webhook_repaired", f"{actor.name} repaired the webhook.", _who(actor))
        return session

    async def refresh_secrets(self, session_id: int) -> SessionSecrets | None:
        """Key and webhook secret as upstream has them now."""
        upstream = await self._upstream.get_session(session_id)
        await self._store.save_session(upstream, "api")
        return await self._store.secrets(session_id)

    def reported(self, session_id: int, report: StatusReported, before: str | None) -> None:
        """A webhook said so (it is stored already); `before` is what was known. A new link brings a new key."""
        if report.status == SessionStatus.CONNECTED:
            self._start(self.refresh_connected(session_id), f"connected-{session_id}")
        elif report.status in _ENDED and before == SessionStatus.CONNECTED:
            note = self._note_lost_link(session_id, report.status, report.reason)
            self._start(note, f"lost-link-{session_id}")

    async def _note_lost_link(self, session_id: int, status: str, reason: str | None) -> None:
        try:
            metadata = {"status": status, "reason": reason, "source": "webhook"}
            await self._log(session_id, "disconnected", _ENDED[status], metadata)
        except GatewayError as error:
            logger.warning("sessions.not_logged session=%d error=%s", session_id, error)

    async def refresh_connected(self, session_id: int) -> None:
        """After a link: the session's key, and whose phone it is. Single-flight; faults are logged."""
        if session_id in self._refreshing:
            return
        self._refreshing.add(session_id)
        try:
            upstream = await self._upstream.get_session(session_id)
            user = await self._upstream.get_user(upstream.api_key) if upstream.api_key else None
            await self._store.record_connected(session_id, upstream.api_key, user)
        except GatewayError as error:
            logger.warning("sessions.refresh_failed session=%d error=%s", session_id, error)
        finally:
            self._refreshing.discard(session_id)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------------ inside

    async def _require_known(self, session_id: int) -> Session:
        session = await self._store.get_session(session_id)
        if session is None:
            raise NotFound(f"There is no session {session_id}.")
        return session

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _who(actor: Actor) -> dict[str, Any]:
    return {"actor": actor.name, "sub": actor.sub}

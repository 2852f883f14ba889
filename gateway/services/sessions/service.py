"""Create, update, delete and what else is done to one session: WasenderAPI decides, Postgres caches.

Every change is made upstream first and stored here afterwards; when the second step fails, the next sync makes
it good. A session that upstream no longer has becomes `gone` and keeps its messages.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from gateway.domain.errors import (
    Conflict,
    NotFound,
    SessionNotFound,
    UpstreamError,
)
from gateway.domain.linking import Attempt
from gateway.domain.session import (
    Actor,
    Session,
    SessionSecrets,
    SessionStatus,
    UpstreamSession,
    normalise_status,
)
from gateway.domain.webhook_health import WEBHOOK_PATH
from gateway.services.sessions.audit_log import AuditNote, Log
from gateway.services.sessions.cache import SessionCache, SessionPage, SessionQuery, SessionStore, now

T = TypeVar("T")

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


class Upstream(Protocol):
    """What WasenderAPI can do with a session. Everything raises UpstreamError."""

    async def create_session(self, fields: dict[str, Any]) -> UpstreamSession:
        """Makes a session; the reply holds its number, key and secret."""

    async def get_session(self, session_id: int) -> UpstreamSession:
        """The session as upstream has it now."""

    async def update_session(
        self, session_id: int, fields: dict[str, Any]
    ) -> tuple[UpstreamSession, str | None]:
        """Changes these fields; the session afterwards, and a warning of upstream's if it gave one."""

    async def delete_session(self, session_id: int) -> None:
        """Deletes the session upstream, for good."""

    async def disconnect_session(self, session_id: int) -> str:
        """Unlinks the phone; the status afterwards, in upstream's words."""

    async def restart_session(self, session_id: int) -> None:
        """Starts the session's connection to WhatsApp anew, without unlinking it."""

    async def regenerate_key(self, session_id: int) -> str:
        """Makes a new API key, and returns it. The old one is void."""


class Linker(Protocol):
    """Starts and ends attempts to link a phone."""

    async def connect(self, session_id: int, actor: Actor) -> Attempt:
        """The attempt that runs from now on, or ran already. Raises UpstreamError, StoreUnavailable."""

    async def cancel(self, session_id: int, actor: Actor, why: str) -> bool:
        """Ends the running attempt with this sentence; whether there was one. Raises StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class WebhookHome:
    """Where WasenderAPI's webhooks belong."""

    address: str | None
    """The gateway's public address; None where it is not known."""

    note: Callable[[str], Awaitable[None]]
    """Notes the address in Postgres, so that a gateway elsewhere finds the webhooks that name it."""

    on_repaired: Callable[[int], None] = lambda session_id: None
    """Told of a session whose webhook points here again, with the secret that upstream has."""


class Sessions:
    """Everything that a person does to a session. Raises UpstreamError and StoreUnavailable throughout."""

    def __init__(
        self,
        upstream: Upstream,
        store: SessionStore,
        linker: Linker,
        *,
        log: Log,
        home: WebhookHome,
    ) -> None:
        self._upstream = upstream
        self._log = log
        self._store = store
        self._cache = SessionCache(upstream, store)
        self._home = home
        self._is_address_noted = False
        self._linker = linker

    # ------------------------------------------------------------------------------------------ reading

    async def page(self, query: SessionQuery) -> SessionPage:
        """One page of the stored sessions that the query names."""
        return await self._store.list_sessions(query)

    async def get(self, session_id: int, *, refresh: bool = False) -> Session:
        """A session from Postgres; from upstream if it is not known here (another tool may have made it)."""
        session = None if refresh else await self._store.get_session(session_id)
        if session is None:
            session, _ = await self._cache.fetch(session_id)
        return session

    async def known(self, session_id: int) -> Session:
        """A session from Postgres alone. Raises NotFound."""
        return await self._require_known(session_id)

    async def reveal(self, session_id: int, actor: Actor) -> tuple[Session, SessionSecrets]:
        """The session with its secrets; who looked at them is written into the audit log."""
        session = await self.get(session_id)
        secrets = await self._store.secrets(session_id)
        sentence = f"{actor.name} looked at the secrets."
        await self._log(session_id, "secrets_revealed", sentence, actor.described())
        return session, secrets or SessionSecrets(session.id, None, None)

    # ------------------------------------------------------------------------------------------ changing

    async def create(self, fields: dict[str, Any], actor: Actor) -> Session:
        """Makes a session upstream and stores it. The webhook is this gateway's, unless the fields name one."""
        wanted = fields
        if self._home.address and "webhook_url" not in wanted:
            await self._note(self._home.address)
            wanted |= {
                "webhook_url": self._home.address + WEBHOOK_PATH,
                "webhook_enabled": True,
                "webhook_events": wanted.get("webhook_events") or WEBHOOK_EVENTS,
            }
        as_of = now()
        upstream = await self._upstream.create_session(wanted)
        if upstream.webhook_secret is None or upstream.api_key is None:
            session, _ = await self._cache.fetch(int(upstream.id))
        else:
            session, _ = await self._cache.keep(upstream, as_of)
        sentence = f"{actor.name} created the session."
        await self._log(int(session.id), "session_created", sentence, actor.described())
        return session

    async def update(
        self, session_id: int, fields: dict[str, Any], actor: Actor
    ) -> tuple[Session, str | None]:
        """Changes a session upstream and stores the result, with upstream's warning if it gave one."""
        as_of = now()
        upstream, warning = await self._or_gone(session_id, self._upstream.update_session(session_id, fields))
        session, _ = await self._cache.keep(upstream, as_of)
        changed = {**actor.described(), "fields": sorted(fields)}
        await self._log(session_id, "session_updated", f"{actor.name} changed the settings.", changed)
        return session, warning

    async def delete(self, session_id: int, actor: Actor) -> None:
        """Upstream first. One that is gone there, or here, counts as done: the caller may not have heard our answer."""
        await self._linker.cancel(session_id, actor, "the session was deleted")
        try:
            await self._upstream.delete_session(session_id)
        except SessionNotFound:
            if not await self._store.is_remembered(session_id):
                raise
        await self._store.delete_session(session_id, actor)

    async def disconnect(self, session_id: int, actor: Actor) -> str:
        """Ends a running attempt and the link, in any state."""
        await self._require_known(session_id)
        await self._linker.cancel(session_id, actor, "the session was disconnected")
        as_of = now()
        status = normalise_status(
            await self._or_gone(session_id, self._upstream.disconnect_session(session_id))
        )
        note = AuditNote("disconnected", f"{actor.name} disconnected the session.", actor.described())
        heard = await self._store.record_status(session_id, status, "api", as_of, note)
        if heard.is_old:
            # A webhook came during the call: from before it or from after it, only upstream can say.
            session, _ = await self._cache.fetch(session_id)
            return session.status
        return status

    async def restart(self, session_id: int, actor: Actor) -> str:
        """A soft restart of a connected session; of any other: disconnect and connect."""
        session = await self._require_known(session_id)
        sentence = f"{actor.name} restarted the session."
        await self._log(session_id, "session_restarted", sentence, actor.described())
        if session.status == SessionStatus.CONNECTED:
            try:
                await self._or_gone(session_id, self._upstream.restart_session(session_id))
                return str(SessionStatus.CONNECTED)
            except UpstreamError as error:
                if (error.details or {}).get("reason") != "not_connected":
                    raise
                # Our status was a ghost's.
        await self.disconnect(session_id, actor)
        await self._linker.connect(session_id, actor)
        return str(SessionStatus.CONNECTING)

    async def regenerate_key(self, session_id: int, actor: Actor) -> None:
        """Makes a new API key and stores it; webhooks with the old one are refused from then on."""
        await self._require_known(session_id)
        as_of = now()
        key = await self._or_gone(session_id, self._upstream.regenerate_key(session_id))
        if not await self._store.record_key(session_id, key, as_of):
            await self._cache.fetch(session_id)
        sentence = f"{actor.name} made a new API key."
        await self._log(session_id, "key_regenerated", sentence, actor.described())

    # ------------------------------------------------------------------------------------------ what upstream says

    async def mark_gone(self, session_id: int) -> bool:
        """Upstream has just said that it has no such session. Its row and messages stay; False if that was known."""
        return await self._cache.mark_gone(session_id, now())

    async def repair_webhook(self, session_id: int, actor: Actor) -> Session:
        """Points the session's webhook here again, with all events. Raises Conflict where our address is unknown."""
        if self._home.address is None:
            raise Conflict("The gateway does not know its own address. Set GATEWAY_PUBLIC_URL.")
        await self._note(self._home.address)
        webhook = {
            "webhook_url": self._home.address + WEBHOOK_PATH,
            "webhook_enabled": True,
            "webhook_events": WEBHOOK_EVENTS,
        }
        session, _ = await self.update(session_id, webhook, actor)
        await self.refresh_secrets(session_id)
        self._home.on_repaired(session_id)
        await self._log(
            session_id, "webhook_repaired", f"{actor.name} repaired the webhook.", actor.described()
        )
        return session

    async def refresh_secrets(self, session_id: int) -> SessionSecrets | None:
        """Key and webhook secret as upstream has them now."""
        await self._cache.fetch(session_id)
        return await self._store.secrets(session_id)

    # ------------------------------------------------------------------------------------------ inside

    async def _note(self, address: str) -> None:
        """Before the first webhook is registered under our address: a backup of any moment after it names it, too."""
        if not self._is_address_noted:
            await self._home.note(address)
            self._is_address_noted = True

    async def _or_gone(self, session_id: int, call: Awaitable[T]) -> T:
        """What upstream answers. A session it does not have becomes `gone` here."""
        as_of = now()
        try:
            return await call
        except SessionNotFound:
            await self._cache.mark_gone(session_id, as_of)
            raise

    async def _require_known(self, session_id: int) -> Session:
        session = await self._store.get_session(session_id)
        if session is None:
            raise NotFound(f"There is no session {session_id}.")
        return session

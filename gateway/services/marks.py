"""Marks of conversations: who has one, whether it is done, unread, blocked, and what its person is called here."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.domain.access import Principal, Role
from gateway.domain.errors import Conflict, Invalid
from gateway.domain.message import phone_of
from gateway.domain.session import SessionSecrets
from gateway.services.inbox import InboxStore
from gateway.services.sessions.audit_log import Log

MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class MarkChanges:
    """What is to change; a field that is not named stays as it is."""

    fields: dict[str, Any] = field(default_factory=dict)
    """`done`, `unread`, `blocked` (booleans), `owner` and `name` (texts, or None for none)."""

    @classmethod
    def read(cls, body: dict[str, Any]) -> "MarkChanges":
        """The changes of a request. Raises Invalid with the field that cannot be meant."""
        found: dict[str, Any] = {}
        for name in ("done", "unread", "blocked"):
            if name in body:
                if not isinstance(body[name], bool):
                    raise Invalid(f"`{name}` must be true or false.")
                found[name] = body[name]
        for name in ("owner", "name"):
            if name in body:
                found[name] = _text(name, body[name])
        if not found:
            raise Invalid("Name what is to change: `done`, `unread`, `owner`, `name` or `blocked`.")
        return cls(found)


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > MAX_NAME or not text.isprintable():
        raise Invalid(f"`{name}` must be a text of at most {MAX_NAME} characters on one line, or null.")
    return text


@dataclass(frozen=True, slots=True)
class MarkOutcome:
    """The marks as they stand; where another person has the conversation, nothing has changed."""

    owner: str | None
    owner_name: str | None
    is_refused: bool
    has_changed: bool


class MarkStore(Protocol):
    """Marks in Postgres. Everything raises StoreUnavailable."""

    async def change(
        self, session_id: int, chat: str, changes: dict[str, Any], actor: str, *, may_override: bool
    ) -> MarkOutcome:
        """Changes marks in one transaction; the owner by compare and set."""

    async def owner_of(self, session_id: int, chat: str) -> tuple[str, str | None] | None:
        """Who has the conversation, by `sub` and name."""

    async def name_of(self, sub: str) -> str | None:
        """The name of a person who logs in here."""


class SecretStore(Protocol):
    """The keys of sessions."""

    async def secrets(self, session_id: int) -> SessionSecrets | None:
        """Key and webhook secret of a session; None where it is not known. Raises StoreUnavailable."""


class BlockingUpstream(Protocol):
    """WasenderAPI's way to block a person. Raises UpstreamError."""

    async def block_contact(self, api_key: str, phone: str, *, is_blocked: bool) -> None:
        """Blocks a number for the session of that key, or takes it back."""


class Marks:
    """Changes marks for people, upstream first where upstream has a say, and writes down who did it."""

    def __init__(
        self,
        store: MarkStore,
        inbox: InboxStore,
        sessions: SecretStore,
        upstream: BlockingUpstream,
        log: Log,
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._sessions = sessions
        self._upstream = upstream
        self._log = log

    async def change(self, session_id: int, chat: str, changes: MarkChanges, principal: Principal) -> None:
        """Raises Conflict where another person has the conversation, Invalid for a person or number that is unknown."""
        fields = dict(changes.fields)
        may_override = principal.role >= Role.ADMIN
        if "owner" in fields:
            fields["owner_name"] = await self._name_of(fields["owner"], principal)
            if not may_override:
                await self._require_free(session_id, chat, fields["owner"], principal)
        if "blocked" in fields:
            await self._block(session_id, chat, is_blocked=fields["blocked"])
        if fields.get("unread") is False:
            await self._inbox.mark_read(session_id, chat)
        outcome = await self._store.change(session_id, chat, fields, principal.sub, may_override=may_override)
        if outcome.is_refused:
            raise _taken(outcome.owner, outcome.owner_name)
        if outcome.has_changed:
            told = {name: value for name, value in fields.items() if name != "owner_name"}
            metadata = {**principal.actor.described(), "chat": chat, "changes": told}
            sentence = f"{principal.actor.name} changed a conversation: {', '.join(sorted(told))}."
            await self._log(session_id, "conversation_marked", sentence, metadata)

    async def note_export(self, session_id: int, chat: str, form: str, principal: Principal) -> None:
        """Writes down that a person takes a conversation out of the house."""
        metadata = {**principal.actor.described(), "chat": chat, "format": form}
        sentence = f"{principal.actor.name} exported a conversation."
        await self._log(session_id, "conversation_exported", sentence, metadata)

    async def _name_of(self, owner: str | None, principal: Principal) -> str | None:
        if owner is None or owner == principal.sub:
            return None if owner is None else principal.name
        name = await self._store.name_of(owner)
        if name is None and owner.startswith("user:"):
            raise Invalid("There is no such person: `owner` is the `sub` of a person who logs in here.")
        return name

    async def _require_free(
        self, session_id: int, chat: str, wished: str | None, principal: Principal
    ) -> None:
        """Before upstream is asked for anything. The store decides once more, when it writes."""
        has = await self._store.owner_of(session_id, chat)
        if has is not None and has[0] not in (principal.sub, wished):
            raise _taken(*has)

    async def _block(self, session_id: int, chat: str, *, is_blocked: bool) -> None:
        phone = phone_of(chat)
        if phone is None:
            raise Invalid("Only a person whose number is known can be blocked.")
        secrets = await self._sessions.secrets(session_id)
        if secrets is None or not secrets.api_key:
            raise Conflict("The session's key is not known. Refresh the session first.")
        await self._upstream.block_contact(secrets.api_key, phone, is_blocked=is_blocked)


def _taken(owner: str | None, name: str | None) -> Conflict:
    return Conflict(f"{name or owner} has this conversation.", details={"owner": owner, "owner_name": name})

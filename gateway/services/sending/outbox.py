"""What people do with messages on their way out: queue, edit, cancel, delete, try again, settle.

A message is a row before it is a call. What is asked for twice with one `client_id` is one message.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gateway.domain import sending
from gateway.domain.access import Principal
from gateway.domain.errors import Conflict, Invalid, NewerReply, NotFound, Unavailable, UpstreamUnauthorized
from gateway.domain.message import is_lid, phone_of
from gateway.domain.send_content import Content, Seen, Wish, look_of
from gateway.domain.sending import Send, SendStatus
from gateway.services.deadlines import within
from gateway.services.sending.ports import Preparation
from gateway.services.sessions.audit_log import Log

logger = logging.getLogger(__name__)

LOG_S = 5.0
TYPING_EVERY_S = 10.0
TYPING_CHATS = 10_000
_WITH_TEXT = frozenset({"text", "media", "image", "video", "document"})


@dataclass(frozen=True, slots=True)
class Request:
    """A message to queue."""

    session_id: int
    chat: str
    phone: str | None
    client_id: str
    digest: str
    content: Content
    kind: str
    """`message_type` of the row."""
    origin: str
    author: str
    author_sub: str
    send_at: float | None = None
    seen: Seen | None = None
    extra: Mapping[str, Any] | None = None
    """Further fields of the payload, which are handed to upstream as they are."""

    @classmethod
    def of(cls, session_id: int, chat: str, wish: Wish, author: Principal, origin: str) -> "Request":
        """What a person wishes to send to a chat; `origin` says by which way."""
        return cls(
            session_id=session_id,
            chat=chat,
            phone=chat if is_lid(chat) else phone_of(chat),
            client_id=wish.client_id,
            digest=wish.digest,
            content=wish.content,
            kind=wish.content.kind,
            origin=origin,
            author=author.name,
            author_sub=author.sub,
            send_at=None if wish.send_at is None else wish.send_at.timestamp(),
            seen=wish.seen,
        )

    def as_is(self, kind: str, extra: Mapping[str, Any]) -> "Request":
        """The same as a message of that type, with what is handed to upstream as it came."""
        return replace(self, kind=kind, extra=extra)

    def with_own_file(self, media_id: str, *, without: str) -> "Request":
        """The same with a file of ours instead of the address in that field. Its digest stays: so does the request."""
        extra = {name: value for name, value in (self.extra or {}).items() if name != without}
        return replace(self, content=replace(self.content, media=media_id), extra=extra)

    @property
    def look(self) -> str:
        """What it has in common with messages that nothing tells apart."""
        return look_of(self.kind, self.content.text)


@dataclass(frozen=True, slots=True)
class Queued:
    """What became of a request."""

    verdict: str
    """queued, known (the same request again), conflict (another one with this client_id), unquotable or unseen."""
    row: dict[str, Any] | None
    number: int | None = None
    """Its place in the order of sending, which old clients know it by."""
    unseen: tuple[dict[str, Any], ...] = ()
    """Answers of others that its author had not seen."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A row of the outgoing table, as far as people may change it."""

    send: Send | None
    """None for what the gateway does not send."""
    msg_id: int | None
    key_id: str | None
    chat: str
    kind: str
    is_deleted: bool
    data: dict[str, Any]


class OutboxStore(Protocol):
    """Rows of messages on their way out. Every call raises StoreUnavailable."""

    async def fault(self) -> str | None:
        """Why nothing can be sent from the table; None if it can."""

    async def queue(self, request: Request) -> Queued:
        """Queues a message, unless something stands against it.

        Looked up in this order: it is there, it quotes what cannot be quoted, its author has not seen an answer of
        another's.
        """

    async def outgoing(self, session_id: int, chat: str, row_id: str) -> Outgoing | None:
        """A row of a chat by its id."""

    async def by_number(self, session_id: int, number: int) -> Outgoing | None:
        """A row by its place in the order of sending, which old clients know it by."""

    async def change(
        self, session_id: int, number: int, step: Callable[[Send], Send]
    ) -> dict[str, Any] | None:
        """The row after a step of the state machine, taken under its lock. None if there is no such row."""

    async def reword(self, session_id: int, number: int, text: str) -> dict[str, Any] | None:
        """The row with another text, if it is still queued."""

    async def amend(self, session_id: int, outgoing: Outgoing, change: dict[str, Any]) -> dict[str, Any]:
        """The row after an edit or deletion that upstream has carried out."""


class MessageCalls(Protocol):
    """WasenderAPI, as far as sent messages are changed. Raises UpstreamError, and NotFound."""

    async def edit(self, api_key: str, msg_id: int, text: str) -> None:
        """Gives a sent message another text, for everyone."""

    async def delete(self, api_key: str, msg_id: int) -> None:
        """Deletes a sent message for everyone."""

    async def show_typing(self, api_key: str, jid: str, is_typing: bool) -> None:
        """Shows the customer that the shop types, or has stopped."""


class Outbox:
    """Everything that a person does to a message on its way out."""

    def __init__(
        self,
        store: OutboxStore,
        calls: MessageCalls,
        preparation: Preparation,
        log: Log,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._calls = calls
        self._preparation = preparation
        self._log = log
        self._clock = clock
        self._typing: dict[tuple[int, str], tuple[float, bool]] = {}
        self._typing_now: set[int] = set()

    # ------------------------------------------------------------------------------------------ queueing

    async def queue(self, request: Request) -> Queued:
        """Queues a message. Raises Invalid, NewerReply, Conflict where the `client_id` is another's, Unavailable."""
        if (fault := await self._store.fault()) is not None:
            raise Unavailable(f"{fault}. Rename it, or give it that type.")
        done = await self._store.queue(request)
        if done.verdict == "unquotable":
            raise Invalid(
                "reply_to: This message cannot be quoted: it is not in this chat, or WhatsApp's own form of it is not "
                "stored here.",
                details={"errors": {"reply_to": ["It cannot be quoted."]}},
            )
        if done.verdict == "conflict":
            raise Conflict(
                "Another message was sent with this client_id.",
                details={"errors": {"client_id": ["It is taken."]}},
            )
        if done.verdict == "unseen":
            raise NewerReply(
                "Another person has answered meanwhile. Read that first, then send yours if it is still needed.",
                details={"messages": list(done.unseen)},
            )
        return done

    # ------------------------------------------------------------------------------------------ changing

    async def find(self, session_id: int, chat: str, row_id: str) -> Outgoing:
        """A row of a chat. Raises NotFound."""
        return _there(await self._store.outgoing(session_id, chat, row_id))

    async def find_number(self, session_id: int, number: int) -> Outgoing:
        """A row by the number that old clients know it by. Raises NotFound."""
        return _there(await self._store.by_number(session_id, number))

    async def edit(self, session_id: int, found: Outgoing, text: str, actor: Principal) -> dict[str, Any]:
        """Another text: of the row while it waits, for everyone once it is sent."""
        if found.kind not in _WITH_TEXT:
            raise Invalid("Only a text, or the text beside a file, can be edited.")
        send, row = _changeable(found), None
        if sending.way_to_edit(send) == "row":
            row = await self._store.reword(session_id, send.id, text)
            if row is None:  # it has moved on meanwhile
                found = await self.find_number(session_id, send.id)
                if sending.way_to_edit(_changeable(found)) == "row":
                    raise Conflict("The message has just changed. Try again.", details={"status": "queued"})
        if row is None:
            assert found.msg_id is not None
            await self._calls.edit(await self._key(session_id), found.msg_id, text)
            row = await self._store.amend(session_id, found, {"kind": "edit", "text": text})
        await self._note(session_id, "message_edited", f"{actor.name} edited a message.", found, actor)
        return row

    async def delete(self, session_id: int, found: Outgoing, actor: Principal) -> dict[str, Any]:
        """Cancels what waits; deletes for everyone what is sent."""
        if found.is_deleted:
            return found.data
        send = _changeable(found)
        if sending.way_to_delete(send) == "row":
            row = await self._step(session_id, found, sending.cancel)
            await self._note(
                session_id, "message_cancelled", f"{actor.name} cancelled a message.", found, actor
            )
            return row
        assert found.msg_id is not None
        await self._calls.delete(await self._key(session_id), found.msg_id)
        row = await self._store.amend(session_id, found, {"kind": "delete"})
        await self._note(session_id, "message_deleted", f"{actor.name} deleted a message.", found, actor)
        return row

    async def retry(self, session_id: int, found: Outgoing, actor: Principal) -> dict[str, Any]:
        """Queues a failed message again. Raises Conflict for any other."""
        row = await self._step(session_id, found, lambda send: sending.retry(send, self._clock()))
        await self._note(session_id, "message_retried", f"{actor.name} sent a message again.", found, actor)
        return row

    async def settle(
        self, session_id: int, found: Outgoing, was_sent: bool, actor: Principal
    ) -> dict[str, Any]:
        """A person says what became of an unknown message. Raises Conflict while evidence may still come."""
        row = await self._step(session_id, found, lambda send: sending.settle(send, was_sent, self._clock()))
        sentence = f"{actor.name} said that a message was {'sent' if was_sent else 'not sent'}."
        await self._note(session_id, "message_settled", sentence, found, actor, sent=was_sent)
        return row

    async def show_typing(self, session_id: int, chat: str, *, is_typing: bool) -> bool:
        """Shows the customer that the shop types, or has stopped; at most once per 10 s. Whether upstream was asked."""
        now, place = time.monotonic(), (session_id, chat)
        asked_at, was_typing = self._typing.get(place, (float("-inf"), False))
        if now - asked_at < TYPING_EVERY_S or not (is_typing or was_typing):
            return False  # WhatsApp ends it by itself
        if session_id in self._typing_now:
            return False  # one call beside a send, and no more
        if len(self._typing) > TYPING_CHATS:
            self._typing.clear()
        self._typing[place] = now, is_typing
        self._typing_now.add(session_id)
        try:
            await self._calls.show_typing(await self._key(session_id), chat, is_typing)
        finally:
            self._typing_now.discard(session_id)
        return True

    # ------------------------------------------------------------------------------------------ inside

    async def _step(self, session_id: int, found: Outgoing, step: Callable[[Send], Send]) -> dict[str, Any]:
        row = await self._store.change(session_id, _changeable(found).id, step) if found.send else None
        if row is None:
            raise Conflict(
                "The gateway does not send this message.", details={"status": found.data.get("status")}
            )
        return row

    async def _key(self, session_id: int) -> str:
        key = await self._preparation.key_of(session_id, fresh=False)
        if key is None:
            raise UpstreamUnauthorized("The session has no API key. Refresh it.")
        return key

    async def _note(
        self, session_id: int, event: str, sentence: str, found: Outgoing, actor: Principal, **more: Any
    ) -> None:
        metadata = {**actor.actor.described(), "message": f"out:{found.data['id']}", **more}
        try:
            await within(LOG_S, self._log(session_id, event, sentence, metadata))
        except Exception as error:
            logger.warning("sending.not_logged session=%d event=%s error=%r", session_id, event, error)


def _there(found: Outgoing | None) -> Outgoing:
    if found is None:
        raise NotFound("There is no such message.")
    return found


def _changeable(found: Outgoing) -> Send:
    """The row as the state machine takes it. Raises Conflict for what was not sent from here."""
    if found.is_deleted:
        raise Conflict("The message was deleted.", details={"status": found.data.get("status")})
    if found.send is not None:
        return found.send
    if found.msg_id is None:
        raise Conflict(
            "A message that was not sent from here cannot be changed here.",
            details={"status": str(found.data.get("status") or SendStatus.UNKNOWN)},
        )
    return Send(0, found.chat, 0.0, status=SendStatus.SENT, msg_id=found.msg_id, key_id=found.key_id)

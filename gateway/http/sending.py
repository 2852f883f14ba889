"""`/api/conversations/{chat}/messages`: answers to customers, queued, changed, tried again, settled."""

import re
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal
from gateway.domain.errors import Invalid, NotFound
from gateway.domain.message import bare_jid, chat_of, digits_of, jid_of_phone, mend_text, phone_of
from gateway.domain.phones import international
from gateway.domain.send_content import edited_text, wish_of
from gateway.domain.session import Session, iso_utc
from gateway.http.api import sending_schemas as sends
from gateway.http.auth import Gate
from gateway.http.inbox import CHAT, rest_of
from gateway.http.requests import body_as, query_of
from gateway.http.responses import success
from gateway.services.sending.numbers import Numbers
from gateway.services.sending.outbox import Outbox, Outgoing
from gateway.services.sending.outbox import Request as Wished

_JID = re.compile(r"[0-9]{5,20}(-[0-9]{5,20})?@(s\.whatsapp\.net|g\.us|lid|newsletter|c\.us)")
_ROW = re.compile(r"(?:(in|out):)?([^:/\s\x00]{1,64})")


class Chats(Protocol):
    """Which conversations there are. Everything raises StoreUnavailable."""

    async def conversation_of(self, address: str) -> str:
        """JID of the conversation that an address belongs to now."""

    async def first_with_messages(self, session_id: int, chats: list[str]) -> str | None:
        """The first of these chats that has messages in the session."""

    async def sessions_of_chat(self, chat: str, sessions: list[int] | None) -> list[int]:
        """In which of these sessions there are messages of this chat."""


class StoredSessions(Protocol):
    """The sessions of this gateway. Everything raises StoreUnavailable."""

    async def get_session(self, session_id: int) -> Session | None:
        """The session as it is stored, or None."""

    async def known_ids(self) -> set[int]:
        """Numbers of all stored sessions."""


class SendingRoutes:
    """Takes answers, and what people do with them until they are sent, and afterwards."""

    def __init__(
        self, gate: Gate, outbox: Outbox, numbers: Numbers, chats: Chats, sessions: StoredSessions
    ) -> None:
        self._gate = gate
        self._outbox = outbox
        self._numbers = numbers
        self._chats = chats
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """The routes, behind the gate."""
        guard, one = self._gate.guard, f"{CHAT}/messages/{{row}}"
        return [
            Route(f"{CHAT}/messages", guard(self._queue), methods=["POST"]),
            Route(one, guard(self._edit), methods=["PUT"]),
            Route(one, guard(self._delete), methods=["DELETE"]),
            Route(f"{one}/retry", guard(self._retry), methods=["POST"]),
            Route(f"{one}/settle", guard(self._settle), methods=["POST"]),
            Route(f"{CHAT}/typing", guard(self._type), methods=["POST"]),
            Route(f"{CHAT}/on-whatsapp", guard(self._check_number), methods=["POST"]),
        ]

    # ------------------------------------------------------------------------------------------ messages

    async def _queue(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.SEND)
        body = await body_as(request, sends.NewMessage)
        wish = wish_of(
            told(body), idempotency_key=request.headers.get("idempotency-key"), now=datetime.now(UTC)
        )
        session, chat = await self._locate(request, principal, 1)
        origin = "page" if principal.by_cookie else "api"
        done = await self._outbox.queue(Wished.of(int(session.id), chat, wish, principal, origin))
        return success(done.row, 202 if done.verdict == "queued" else 200)

    async def _edit(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.SEND)
        text = edited_text(told(await body_as(request, sends.EditFields)))
        session_id, found = await self._find(request, principal, 2)
        return success(await self._outbox.edit(session_id, found, text, principal))

    async def _delete(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.SEND)
        session_id, found = await self._find(request, principal, 2)
        return success(await self._outbox.delete(session_id, found, principal))

    async def _retry(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.SEND)
        session_id, found = await self._find(request, principal, 3)
        return success(await self._outbox.retry(session_id, found, principal))

    async def _settle(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.SEND)
        was_sent = (await body_as(request, sends.SettleFields)).sent
        session_id, found = await self._find(request, principal, 3)
        return success(await self._outbox.settle(session_id, found, was_sent, principal))

    # ------------------------------------------------------------------------------------------ the customer

    async def _type(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.SEND)
        is_typing = (await body_as(request, sends.TypingFields)).typing
        session, chat = await self._locate(request, principal, 1)
        shown = await self._outbox.show_typing(int(session.id), chat, is_typing=is_typing)
        return success({"shown": shown})

    async def _check_number(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.SEND)
        session, chat = await self._locate(request, principal, 1)
        exists, asked_at = await self._numbers.check(int(session.id), chat)
        return success(
            {"chat": chat, "phone": phone_of(chat), "exists": exists, "checked_at": iso_utc(asked_at)}
        )

    # ------------------------------------------------------------------------------------------ which one

    async def _find(self, request: Request, principal: Principal, behind: int) -> tuple[int, Outgoing]:
        """The row that the path names. Raises Invalid for one that came in."""
        rest = rest_of(request)
        named = _ROW.fullmatch(rest[-behind + 1])
        if named is None:
            raise NotFound("There is no such message.")
        if named[1] == "in":
            raise Invalid(
                "A message of the customer's cannot be changed.", details={"errors": {"id": ["It came in."]}}
            )
        session, chat = await self._locate(request, principal, behind)
        return int(session.id), await self._outbox.find(int(session.id), chat, named[2])

    async def _locate(self, request: Request, principal: Principal, behind: int) -> tuple[Session, str]:
        """The session and the JID that the path means; `behind` parts of it stand behind the chat.

        A number need not have written ever. Raises Invalid for one that no country has, and where it is not clear
        which session is meant.
        """
        text = "/".join(rest_of(request)[:-behind])
        if not text or text != mend_text(text):
            raise _bad_chat("The chat must be the digits of a phone number, or a JID.")
        known = await self._known(text)
        session = await self._session_of(query_of(request, sends.SendQuery).session, principal, known)
        principal.require(Act.SEND, int(session.id))
        if known is not None and await self._chats.first_with_messages(int(session.id), [known]):
            return session, known
        return session, await self._chats.conversation_of(new_chat(text, session))

    async def _known(self, text: str) -> str | None:
        """The conversation that the words of the path would be, if it exists."""
        named = chat_of(None, bare_jid(text) if "@" in text else digits_of(text))
        return await self._chats.conversation_of(named) if named else None

    async def _session_of(self, named: int | None, principal: Principal, chat: str | None) -> Session:
        if named is not None:
            session_id = named
            principal.require(Act.SEND, session_id)
        else:
            session_id = await self._only_session(principal, chat)
        session = await self._sessions.get_session(session_id)
        if session is None:
            raise NotFound(f"There is no session {session_id}.")
        return session

    async def _only_session(self, principal: Principal, chat: str | None) -> int:
        allowed = None if principal.sessions is None else sorted(principal.sessions)
        found = await self._chats.sessions_of_chat(chat, allowed) if chat else []
        found = [number for number in found if number > 0]
        if not found:
            found = sorted(await self._sessions.known_ids()) if allowed is None else allowed
        if len(found) == 1:
            return found[0]
        names = ", ".join(str(item) for item in found[:20])
        raise Invalid(
            f"It is not clear which session sends this: add `session=` ({names})."
            if found
            else "There is no session to send from.",
            details={"sessions": found[:200]},
        )


def told(body: BaseModel) -> dict[str, Any]:
    """What the caller has sent of it."""
    return body.model_dump(exclude_unset=True)


def new_chat(text: str, session: Session) -> str:
    """The JID of a chat that is not here yet. Raises Invalid."""
    if "@" not in text:
        return jid_of_phone(international(text, session.phone_number))
    jid = bare_jid(text)
    if not _JID.fullmatch(jid):
        raise _bad_chat("This is no JID that a message can be sent to.")
    phone = phone_of(jid)
    return jid_of_phone(international(f"+{phone}", None)) if phone else jid


def _bad_chat(sentence: str) -> Invalid:
    return Invalid(sentence, details={"errors": {"chat": [sentence]}})

"""`/api/conversations`: the inbox, with positions to subscribe from."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, cast, get_args
from urllib.parse import unquote

from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal
from gateway.domain.errors import Invalid, NotFound
from gateway.domain.message import chat_of, digits_of, mend_text
from gateway.http.auth import Gate
from gateway.http.cursors import make_cursor, parse_cursor
from gateway.http.responses import choice_of, fields_of, flag_of, limit_of, parse_session_id, success, text_of
from gateway.services.inbox import ConversationFilter, ConversationQuery, InboxStore, Page

_CHAT = "/api/conversations/{chat:path}"
"""Another writer's chat may be called anything, with slashes too."""


class _OneChat(PathConvertor):
    """The address of a conversation itself: what ends like those of its messages is theirs."""

    regex = r"(?:messages|read|.*(?<!/messages)(?<!/read))"


register_url_convertor("one_chat", _OneChat())


class InboxRoutes:
    """Serves conversations and threads, and marks chats as read."""

    def __init__(self, gate: Gate, inbox: InboxStore) -> None:
        self._gate = gate
        self._inbox = inbox

    def routes(self) -> list[Route]:
        """The routes, behind the gate."""
        guard = self._gate.guard
        return [
            Route("/api/conversations", guard(self._list), methods=["GET"]),
            Route(f"{_CHAT}/messages", guard(self._messages), methods=["GET"]),
            Route(f"{_CHAT}/read", guard(self._mark_read), methods=["POST"]),
            Route("/api/conversations/{chat:one_chat}", guard(self._show), methods=["GET"]),
        ]

    async def _list(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.READ)
        after = parse_cursor(request.query_params.get("cursor"), datetime, int, str)
        query = ConversationQuery(
            sessions=_sessions_of(request, principal),
            filter=cast(ConversationFilter, choice_of(request, "filter", get_args(ConversationFilter))),
            search=text_of(request, "search"),
            limit=limit_of(request),
            after=after,
            is_everything=flag_of(request, "groups"),
        )
        page = await self._inbox.conversations(query)
        cursor = make_cursor(*page.next) if page.next else None
        data = {
            "conversations": page.items,
            "next_cursor": cursor,
            "position": _positions(page),
        }
        return success(data)

    async def _show(self, request: Request, principal: Principal) -> Response:
        session_id, chat = await self._locate(request, principal, request.query_params.get("session"))
        principal.require(Act.READ, session_id)
        page = await self._inbox.conversation(session_id, chat)
        if not page.items:
            raise NotFound("There are no messages of this chat.")
        return success({**asdict(page.items[0]), "position": _positions(page)})

    async def _messages(self, request: Request, principal: Principal) -> Response:
        if _rest_of(request)[-1] != "messages":
            return await self._show(request, principal)  # a chat whose name ends like this address
        session_id, chat = await self._locate(request, principal, request.query_params.get("session"))
        principal.require(Act.READ, session_id)
        before = parse_cursor(request.query_params.get("before"), datetime, datetime, str, str)
        page = await self._inbox.messages(session_id, chat, limit_of(request), before)
        cursor = make_cursor(*page.next) if page.next else None
        data = {
            "messages": page.items,
            "has_more": page.next is not None,
            "before": cursor,
            "position": _positions(page),
        }
        return success(data)

    async def _mark_read(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MARK_READ)
        fields = await fields_of(request)
        named = request.query_params.get("session") or fields.get("session") or fields.get("session_id")
        session_id, chat = await self._locate(request, principal, None if named is None else str(named))
        principal.require(Act.MARK_READ, session_id)
        return success({"marked": await self._inbox.mark_read(session_id, chat)})

    async def _locate(self, request: Request, principal: Principal, named: str | None) -> tuple[int, str]:
        """The session and the JID that a chat path means. Raises Invalid where several sessions have that chat."""
        rest = _rest_of(request)
        text = "/".join(rest[:-1] if rest[-1] in ("messages", "read") and len(rest) > 1 else rest)
        named_so = chat_of(None, text if "@" in text else digits_of(text))
        candidates = list(
            dict.fromkeys([await self._inbox.conversation_of(named_so), text] if named_so else [text])
        )
        if not text or text != mend_text(text):
            raise Invalid("The chat must be the digits of a phone number, or a JID.")
        if named is not None:
            session_id = _any_session_id(named)
            if len(candidates) == 1:
                return session_id, candidates[0]
            found_chat = await self._inbox.first_with_messages(session_id, candidates)
            return session_id, found_chat or candidates[0]
        allowed = None if principal.sessions is None else sorted(principal.sessions)
        for chat in candidates:
            found = await self._inbox.sessions_of_chat(chat, allowed)
            if len(found) > 1:
                names = ", ".join(str(item) for item in found)
                raise Invalid(
                    f"Several sessions have this chat: add `session=` ({names}).", details={"sessions": found}
                )
            if found:
                return found[0], chat
        if not named_so:
            raise Invalid("The chat must be the digits of a phone number, or a JID.")
        raise NotFound("There are no messages of this chat.")


def _rest_of(request: Request) -> list[str]:
    """What stands behind `/api/conversations/`, split before its parts are decoded: a name may hold a slash."""
    raw = request.scope.get("raw_path") or request.url.path.encode()
    _, _, rest = raw.partition(b"?")[0].partition(b"/api/conversations/")
    try:
        return [unquote(part.decode("latin-1"), errors="strict") for part in rest.split(b"/")]
    except UnicodeDecodeError:
        raise Invalid(
            "The chat in the path is not UTF-8. Encode it as UTF-8, then percent-encode it."
        ) from None


def _any_session_id(text: str) -> int:
    """Also the placeholder below zero that another writer put into a row: it is listed, so it can be opened."""
    if text.startswith("-"):
        return -parse_session_id(text[1:])
    return parse_session_id(text)


def _sessions_of(request: Request, principal: Principal) -> list[int] | None:
    named = request.query_params.get("session")
    if named:
        session_id = _any_session_id(named)
        principal.require(Act.READ, session_id)
        return [session_id]
    return None if principal.sessions is None else sorted(principal.sessions)


def _positions(page: Page) -> dict[str, dict[str, Any]]:
    return {str(inbox): {"off": at.off, "epoch": at.epoch} for inbox, at in sorted(page.positions.items())}

"""`/api/conversations`: the inbox, with positions to subscribe from."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal
from gateway.domain.errors import Invalid, NotFound
from gateway.domain.message import chat_of, digits_of
from gateway.http.auth import Gate
from gateway.http.cursors import make_cursor, parse_cursor
from gateway.http.responses import choice_of, fields_of, flag_of, limit_of, parse_session_id, success, text_of
from gateway.services.inbox import ConversationFilter, ConversationQuery, InboxStore, Page


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
            Route("/api/conversations/{chat}/messages", guard(self._messages), methods=["GET"]),
            Route("/api/conversations/{chat}/read", guard(self._mark_read), methods=["POST"]),
        ]

    async def _list(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.READ)
        after = parse_cursor(request.query_params.get("cursor"), datetime, int, str)
        query = ConversationQuery(
            sessions=_sessions_of(request, principal),
            filter=cast(ConversationFilter, choice_of(request, "filter", ("all", "unread", "unreplied"))),
            search=text_of(request, "search"),
            limit=limit_of(request),
            after=after,
            is_everything=flag_of(request, "groups"),
        )
        page = await self._inbox.conversations(query)
        cursor = make_cursor(*page.next) if page.next else None
        data = {
            "conversations": [asdict(item) for item in page.items],
            "next_cursor": cursor,
            "position": _positions(page),
        }
        return success(data)

    async def _messages(self, request: Request, principal: Principal) -> Response:
        session_id, chat = await self._locate(request, principal, request.query_params.get("session"))
        principal.require(Act.READ, session_id)
        before = parse_cursor(request.query_params.get("before"), datetime, str, str)
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
        text = request.path_params["chat"]
        chat = chat_of(None, text if "@" in text else digits_of(text))
        if not chat:
            raise Invalid("The chat must be the digits of a phone number, or a JID.")
        if named is not None:
            return parse_session_id(named), chat
        allowed = None if principal.sessions is None else sorted(principal.sessions)
        found = await self._inbox.sessions_of_chat(chat, allowed)
        if not found:
            raise NotFound("There are no messages of this chat.")
        if len(found) > 1:
            names = ", ".join(str(item) for item in found)
            raise Invalid(
                f"Several sessions have this chat: add `session=` ({names}).", details={"sessions": found}
            )
        return found[0], chat


def _sessions_of(request: Request, principal: Principal) -> list[int] | None:
    named = request.query_params.get("session")
    if named:
        session_id = parse_session_id(named)
        principal.require(Act.READ, session_id)
        return [session_id]
    return None if principal.sessions is None else sorted(principal.sessions)


def _positions(page: Page) -> dict[str, dict[str, Any]]:
    return {str(inbox): {"off": at.off, "epoch": at.epoch} for inbox, at in sorted(page.positions.items())}

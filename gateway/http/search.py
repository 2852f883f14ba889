"""`/api/search`: conversations by name and number, messages by their text."""

from datetime import datetime
from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal
from gateway.domain.message import chat_of, digits_of
from gateway.http.api import inbox_schemas as schemas
from gateway.http.auth import Gate
from gateway.http.cursors import make_cursor, parse_cursor
from gateway.http.inbox import positions_of, sessions_of
from gateway.http.requests import query_of
from gateway.http.responses import success
from gateway.services.inbox import ConversationQuery, InboxStore, Place, SearchQuery


class SearchRoutes:
    """Serves the search over everything the caller may read."""

    def __init__(self, gate: Gate, inbox: InboxStore) -> None:
        self._gate = gate
        self._inbox = inbox

    def routes(self) -> list[Route]:
        """The route, behind the gate."""
        return [Route("/api/search", self._gate.guard(self._search), methods=["GET"])]

    async def _search(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.READ)
        asked = query_of(request, schemas.SearchQuery)
        text, limit = asked.q, asked.limit
        sessions = sessions_of(asked.session, principal)
        chat = await self._chat_of(asked.chat)
        after = cast(Place | None, parse_cursor(asked.cursor, datetime, datetime, str, str))
        query = SearchQuery(text, sessions, chat, limit, after, bool(asked.groups))
        found = await self._inbox.search(query)
        people = []
        if chat is None and after is None:
            wanted = ConversationQuery(sessions, search=text, limit=limit, is_of_people=True)
            people = (await self._inbox.conversations(wanted)).items
        data = {
            "conversations": people,
            "messages": found.items,
            "next_cursor": make_cursor(*found.next) if found.next else None,
            "position": positions_of(found.positions),
        }
        return success(data)

    async def _chat_of(self, text: str) -> str | None:
        """The conversation to search in, by any address that is known of it."""
        if not text:
            return None
        address = chat_of(None, text if "@" in text else digits_of(text))
        return await self._inbox.conversation_of(address) if address else text

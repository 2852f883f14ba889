"""`/api/conversations`: the inbox, with positions to subscribe from."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, cast
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Match, Route
from starlette.types import Scope

from gateway.domain.access import Act, Principal
from gateway.domain.errors import Invalid, NotFound
from gateway.domain.message import chat_of, digits_of, mend_text
from gateway.domain.refs import MessageRef, parse_ref
from gateway.domain.streams import Position, Snapshot
from gateway.http.api import inbox_schemas as schemas
from gateway.http.auth import Gate
from gateway.http.cursors import make_cursor, parse_cursor
from gateway.http.requests import body_as, query_of
from gateway.http.responses import compressed, success
from gateway.services.erasure.service import Erasure
from gateway.services.export.export import MEDIA_TYPES, Export
from gateway.services.inbox import ConversationQuery, InboxStore, Place, ThreadQuery
from gateway.services.marks import MarkChanges, Marks

CHAT = "/api/conversations/{chat:path}"
"""Another writer's chat may be called anything, with slashes too."""


_OF_A_CHAT = ("messages", "read", "export", "typing", "on-whatsapp")
_OF_A_MESSAGE = ("retry", "settle")


class _OneChat(Route):
    """The address of a conversation itself: what ends like that of something within it is not, as it came.

    A name may hold a slash: it comes percent-encoded, and so its parts are told apart before they are decoded.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette's, but for those."""
        match, child = super().matches(scope)
        if match is not Match.NONE and _is_within_a_chat(rest_of(Request(scope))):
            return Match.NONE, {}
        return match, child


def _is_within_a_chat(rest: list[str]) -> bool:
    return len(rest) > 1 and (
        rest[-1] in _OF_A_CHAT
        or (len(rest) > 2 and rest[-2] == "messages")
        or (len(rest) > 3 and rest[-3] == "messages" and rest[-1] in _OF_A_MESSAGE)
    )


class InboxRoutes:
    """Serves conversations and threads, and marks chats as read."""

    def __init__(self, gate: Gate, inbox: InboxStore, marks: Marks, erasure: Erasure, export: Export) -> None:
        self._gate = gate
        self._inbox = inbox
        self._marks = marks
        self._erasure = erasure
        self._export = export

    def routes(self) -> list[Route]:
        """The routes, behind the gate."""
        guard = self._gate.guard
        return [
            Route("/api/conversations", guard(self._list), methods=["GET"]),
            Route(f"{CHAT}/messages", guard(self._messages), methods=["GET"]),
            Route(f"{CHAT}/export", guard(self._export_chat), methods=["GET"]),
            Route(f"{CHAT}/read", guard(self._mark_read), methods=["POST"]),
            _OneChat(CHAT, guard(self._show), methods=["GET"]),
            _OneChat(CHAT, guard(self._change), methods=["PUT"]),
            _OneChat(CHAT, guard(self._erase), methods=["DELETE"]),
        ]

    async def _list(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.READ)
        asked = query_of(request, schemas.ConversationQuery)
        query = ConversationQuery(
            sessions=sessions_of(asked.session, principal),
            filter=asked.filter,
            search=asked.search or None,
            limit=asked.limit,
            after=parse_cursor(asked.cursor, datetime, int, str),
            is_everything=bool(asked.groups),
            sub=principal.sub,
            is_short=asked.position == "page",
            is_oldest_first=asked.order == "oldest",
        )
        page = await self._inbox.conversations(query)
        cursor = make_cursor(*page.next) if page.next else None
        data = {
            "conversations": page.items,
            "next_cursor": cursor,
            "totals": page.totals,
            "position": {**positions_of(page.positions), **_others(page.snapshot)},
        }
        return compressed(request, success(data))

    async def _show(self, request: Request, principal: Principal) -> Response:
        asked = query_of(request, schemas.ChatQuery)
        session_id, chat = await self._locate(request, principal, asked.session)
        principal.require(Act.READ, session_id)
        return await self._shown(session_id, chat)

    async def _change(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MARK)
        asked, wish = query_of(request, schemas.ChatQuery), await body_as(request, schemas.MarkFields)
        named = wish.session if asked.session is None else asked.session
        session_id, chat = await self._locate(request, principal, named)
        principal.require(Act.MARK, session_id)
        changes = MarkChanges.read(wish.model_dump(exclude_unset=True, exclude={"session"}))
        if not (await self._inbox.conversation(session_id, chat)).items:
            raise NotFound("There are no messages of this chat.")
        await self._marks.change(session_id, chat, changes, principal)
        return await self._shown(session_id, chat)

    async def _erase(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.ERASE)
        asked = query_of(request, schemas.EraseQuery)
        session_id, chat = await self._locate(request, principal, asked.session)
        principal.require(Act.ERASE, session_id)
        if not asked.erase:
            raise Invalid("A conversation is only erased, for good: add `erase=1`.")
        if "@" not in chat and not (await self._inbox.conversation(session_id, chat)).items:
            # Nor is it an address that a person can have.
            raise NotFound("There are no messages of this chat.")
        return success({"erased": await self._erasure.erase(session_id, chat, principal.actor)})

    async def _export_chat(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.EXPORT)
        asked = query_of(request, schemas.ExportQuery)
        session_id, chat = await self._locate(request, principal, asked.session)
        principal.require(Act.EXPORT, session_id)
        if not (await self._inbox.conversation(session_id, chat)).items:
            raise NotFound("There are no messages of this chat.")
        await self._marks.note_export(session_id, chat, asked.format, principal)
        name = "".join(sign for sign in chat.partition("@")[0] if sign.isascii() and sign.isalnum())
        headers = {
            "Content-Disposition": f'attachment; filename="conversation-{session_id}-{name}.{asked.format}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        pieces = self._export.stream(session_id, chat, asked.format)
        return StreamingResponse(pieces, headers=headers, media_type=MEDIA_TYPES[asked.format])

    async def _shown(self, session_id: int, chat: str) -> Response:
        page = await self._inbox.conversation(session_id, chat)
        if not page.items:
            raise NotFound("There are no messages of this chat.")
        return success({**asdict(page.items[0]), "position": positions_of(page.positions)})

    async def _messages(self, request: Request, principal: Principal) -> Response:
        if rest_of(request)[-1] != "messages":
            return await self._show(request, principal)  # a chat whose name ends like this address
        asked = query_of(request, schemas.ThreadQuery)
        session_id, chat = await self._locate(request, principal, asked.session)
        principal.require(Act.READ, session_id)
        page = await self._inbox.messages(_thread_query(asked, session_id, chat))
        before, after = (make_cursor(*place) if place else None for place in (page.before, page.after))
        data = {
            "messages": page.items,
            "has_more": before is not None,
            "has_before": before is not None,
            "has_after": after is not None,
            "before": before,
            "after": after,
            "position": positions_of(page.positions),
        }
        return compressed(request, success(data))

    async def _mark_read(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MARK_READ)
        asked, wish = query_of(request, schemas.ChatQuery), await body_as(request, schemas.ReadFields)
        named = [item for item in (asked.session, wish.session, wish.session_id) if item is not None]
        session_id, chat = await self._locate(request, principal, named[0] if named else None)
        principal.require(Act.MARK_READ, session_id)
        up_to = None if wish.up_to is None else Position(wish.up_to.off, wish.up_to.epoch)
        marked = await self._inbox.mark_read(session_id, chat, up_to)
        return success({"marked": marked})

    async def _locate(
        self, request: Request, principal: Principal, session_id: int | None
    ) -> tuple[int, str]:
        """The session and the JID that a chat path means. Raises Invalid where several sessions have that chat."""
        rest = rest_of(request)
        text = "/".join(rest[:-1] if rest[-1] in ("messages", "read", "export") and len(rest) > 1 else rest)
        named_so = chat_of(None, text if "@" in text else digits_of(text))
        candidates = list(
            dict.fromkeys([await self._inbox.conversation_of(named_so), text] if named_so else [text])
        )
        if not text or text != mend_text(text):
            raise Invalid("The chat must be the digits of a phone number, or a JID.")
        if session_id is not None:
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


def rest_of(request: Request) -> list[str]:
    """What stands behind `/api/conversations/`, split before its parts are decoded: a name may hold a slash."""
    raw = request.scope.get("raw_path") or request.url.path.encode()
    _, _, rest = raw.partition(b"?")[0].partition(b"/api/conversations/")
    try:
        return [unquote(part.decode("latin-1"), errors="strict") for part in rest.split(b"/")]
    except UnicodeDecodeError:
        raise Invalid(
            "The chat in the path is not UTF-8. Encode it as UTF-8, then percent-encode it."
        ) from None


def sessions_of(session_id: int | None, principal: Principal) -> list[int] | None:
    """The sessions that a list is about: the one that is named, else all of the caller's; None = every one."""
    if session_id is not None:
        principal.require(Act.READ, session_id)
        return [session_id]
    return None if principal.sessions is None else sorted(principal.sessions)


def _thread_query(asked: schemas.ThreadQuery, session_id: int, chat: str) -> ThreadQuery:
    """Raises Invalid for two places at once, and for what is neither a cursor nor a reference."""
    if sum(map(bool, (asked.before, asked.after, asked.around))) > 1:
        raise Invalid("Only one of `before`, `after` and `around` can be asked for.")
    return ThreadQuery(
        session_id,
        chat,
        asked.limit,
        before=_place_of(asked.before),
        after=_place_of(asked.after),
        around=_refs_of(asked.around) if asked.around else (),
    )


def _refs_of(text: str) -> tuple[MessageRef, ...]:
    """A bare id may be one of either table."""
    ref = parse_ref(text)
    return (MessageRef("in", text), MessageRef("out", text)) if ref is None else (ref,)


def _place_of(text: str) -> Place | MessageRef | None:
    ref = parse_ref(text)
    return ref or cast(Place | None, parse_cursor(text, datetime, datetime, str, str))


def _others(snapshot: Snapshot | None) -> dict[str, str]:
    """The word for all inboxes that a page does not name."""
    return {"*": str(snapshot)} if snapshot else {}


def positions_of(positions: dict[int, Position]) -> dict[str, dict[str, Any]]:
    """Positions by inbox, as clients subscribe with them."""
    return {str(inbox): {"off": at.off, "epoch": at.epoch} for inbox, at in sorted(positions.items())}

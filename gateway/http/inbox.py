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
from gateway.domain.refs import MessageRef, parse_ref
from gateway.domain.streams import Position, Snapshot
from gateway.http.auth import Gate
from gateway.http.cursors import make_cursor, parse_cursor
from gateway.http.responses import choice_of, fields_of, flag_of, limit_of, parse_session_id, success, text_of
from gateway.services.inbox import ConversationFilter, ConversationQuery, InboxStore, Place, ThreadQuery
from gateway.services.marks import MarkChanges, Marks

_CHAT = "/api/conversations/{chat:path}"
"""Another writer's chat may be called anything, with slashes too."""


class _OneChat(PathConvertor):
    """The address of a conversation itself: what ends like those of its messages is theirs."""

    regex = r"(?:messages|read|.*(?<!/messages)(?<!/read))"


register_url_convertor("one_chat", _OneChat())


class InboxRoutes:
    """Serves conversations and threads, and marks chats as read."""

    def __init__(self, gate: Gate, inbox: InboxStore, marks: Marks) -> None:
        self._gate = gate
        self._inbox = inbox
        self._marks = marks

    def routes(self) -> list[Route]:
        """The routes, behind the gate."""
        guard = self._gate.guard
        return [
            Route("/api/conversations", guard(self._list), methods=["GET"]),
            Route(f"{_CHAT}/messages", guard(self._messages), methods=["GET"]),
            Route(f"{_CHAT}/read", guard(self._mark_read), methods=["POST"]),
            Route("/api/conversations/{chat:one_chat}", guard(self._show), methods=["GET"]),
            Route("/api/conversations/{chat:one_chat}", guard(self._change), methods=["PUT"]),
        ]

    async def _list(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.READ)
        after = parse_cursor(request.query_params.get("cursor"), datetime, int, str)
        query = ConversationQuery(
            sessions=sessions_of(request, principal),
            filter=cast(ConversationFilter, choice_of(request, "filter", get_args(ConversationFilter))),
            search=text_of(request, "search"),
            limit=limit_of(request),
            after=after,
            is_everything=flag_of(request, "groups"),
            sub=principal.sub,
            is_short=choice_of(request, "position", ("all", "page")) == "page",
        )
        page = await self._inbox.conversations(query)
        cursor = make_cursor(*page.next) if page.next else None
        data = {
            "conversations": page.items,
            "next_cursor": cursor,
            "totals": page.totals,
            "position": {**positions_of(page.positions), **_others(page.snapshot)},
        }
        return success(data)

    async def _show(self, request: Request, principal: Principal) -> Response:
        session_id, chat = await self._locate(request, principal, request.query_params.get("session"))
        principal.require(Act.READ, session_id)
        return await self._shown(session_id, chat)

    async def _change(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MARK)
        fields = await fields_of(request)
        named = request.query_params.get("session") or fields.get("session")
        session_id, chat = await self._locate(request, principal, None if named is None else str(named))
        principal.require(Act.MARK, session_id)
        changes = MarkChanges.read(fields)
        if not (await self._inbox.conversation(session_id, chat)).items:
            raise NotFound("There are no messages of this chat.")
        await self._marks.change(session_id, chat, changes, principal)
        return await self._shown(session_id, chat)

    async def _shown(self, session_id: int, chat: str) -> Response:
        page = await self._inbox.conversation(session_id, chat)
        if not page.items:
            raise NotFound("There are no messages of this chat.")
        return success({**asdict(page.items[0]), "position": positions_of(page.positions)})

    async def _messages(self, request: Request, principal: Principal) -> Response:
        if _rest_of(request)[-1] != "messages":
            return await self._show(request, principal)  # a chat whose name ends like this address
        session_id, chat = await self._locate(request, principal, request.query_params.get("session"))
        principal.require(Act.READ, session_id)
        page = await self._inbox.messages(_thread_query(request, session_id, chat))
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
        return success(data)

    async def _mark_read(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MARK_READ)
        fields = await fields_of(request)
        named = request.query_params.get("session") or fields.get("session") or fields.get("session_id")
        session_id, chat = await self._locate(request, principal, None if named is None else str(named))
        principal.require(Act.MARK_READ, session_id)
        marked = await self._inbox.mark_read(session_id, chat, _up_to(fields.get("up_to")))
        return success({"marked": marked})

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


def sessions_of(request: Request, principal: Principal) -> list[int] | None:
    """The sessions that a list is about: the one that is named, else all of the caller's; None = every one."""
    named = request.query_params.get("session")
    if named:
        session_id = _any_session_id(named)
        principal.require(Act.READ, session_id)
        return [session_id]
    return None if principal.sessions is None else sorted(principal.sessions)


def _thread_query(request: Request, session_id: int, chat: str) -> ThreadQuery:
    """Raises Invalid for two places at once, and for what is neither a cursor nor a reference."""
    named = [name for name in ("before", "after", "around") if request.query_params.get(name)]
    if len(named) > 1:
        raise Invalid("Only one of `before`, `after` and `around` can be asked for.")
    before, after = (_place_of(request.query_params.get(name)) for name in ("before", "after"))
    around = text_of(request, "around")
    return ThreadQuery(
        session_id,
        chat,
        limit_of(request),
        before=before,
        after=after,
        around=_refs_of(around) if around else (),
    )


def _refs_of(text: str) -> tuple[MessageRef, ...]:
    """A bare id may be one of either table."""
    ref = parse_ref(text)
    return (MessageRef("in", text), MessageRef("out", text)) if ref is None else (ref,)


def _place_of(text: str | None) -> Place | MessageRef | None:
    ref = parse_ref(text or "")
    if ref is None:
        return cast(Place | None, parse_cursor(text, datetime, datetime, str, str))
    if ref.id != mend_text(ref.id):
        raise Invalid("A reference holds a character that no text may have.")
    return ref


def _up_to(value: object) -> Position | None:
    """Raises Invalid for anything but a position."""
    if value is None:
        return None
    off, epoch = (value.get("off"), value.get("epoch")) if isinstance(value, dict) else (None, None)
    if type(off) is not int or not 0 <= off < 2**63 or not isinstance(epoch, str) or "\0" in epoch:
        raise Invalid("`up_to` must be a position: `{off, epoch}`, as an event or a page gave it.")
    return Position(off, epoch)


def _others(snapshot: Snapshot | None) -> dict[str, str]:
    """The word for all inboxes that a page does not name."""
    return {"*": str(snapshot)} if snapshot else {}


def positions_of(positions: dict[int, Position]) -> dict[str, dict[str, Any]]:
    """Positions by inbox, as clients subscribe with them."""
    return {str(inbox): {"off": at.off, "epoch": at.epoch} for inbox, at in sorted(positions.items())}

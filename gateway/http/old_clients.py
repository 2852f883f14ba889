"""`/api/send-message` and its neighbours: WasenderAPI's own addresses and shapes, for clients that know no others.

The token is a gateway JWT that names exactly one session. The message goes into the queue like any other; `msgId` is
the gateway's number of it, and the answer comes at once, as upstream's does.
"""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal
from gateway.domain.errors import Forbidden, Invalid, NotFound
from gateway.domain.media import MediaKind
from gateway.domain.send_content import Wish, edited_text
from gateway.domain.session import Session
from gateway.http.api import sending_schemas as sends
from gateway.http.auth import Gate
from gateway.http.requests import body_as
from gateway.http.responses import fields_of, json_reply, success
from gateway.http.sending import Chats, StoredSessions, new_chat, told
from gateway.services.media.own_files import OwnFiles
from gateway.services.sending.outbox import Outbox, Outgoing
from gateway.services.sending.outbox import Request as Wished


class OldRequest(Protocol):
    """What a client of WasenderAPI asks to send."""

    @property
    def wish(self) -> Wish:
        """As the gateway has it."""

    @property
    def kind(self) -> str:
        """The type of its row."""

    @property
    def extra(self) -> dict[str, Any]:
        """What is handed to upstream as it came."""

    @property
    def file(self) -> tuple[str, MediaKind, str] | None:
        """Field, kind and address of its file."""

    @property
    def name(self) -> str | None:
        """What the file is called."""


ReadRequest = Callable[[Mapping[str, Any], str, datetime], OldRequest]
"""Body, client_id and the time; raises Invalid."""

_STATES = {"sent": 2, "delivered": 3, "read": 4, "played": 5, "failed": 0, "cancelled": 0}
"""Upstream's numbers; everything else is pending (1)."""


class OldClientRoutes:
    """Answers clients of WasenderAPI as it would."""

    def __init__(
        self,
        gate: Gate,
        outbox: Outbox,
        chats: Chats,
        sessions: StoredSessions,
        read_request: ReadRequest,
        own_files: OwnFiles,
    ) -> None:
        """`read_request` knows WasenderAPI's names for what is to be sent."""
        self._gate = gate
        self._outbox = outbox
        self._chats = chats
        self._sessions = sessions
        self._read_request = read_request
        self._own_files = own_files

    def routes(self) -> list[Route]:
        """The routes, behind the gate."""
        guard = self._gate.guard
        return [
            Route("/api/send-message", guard(self._send), methods=["POST"]),
            Route("/api/messages/{number:int}", guard(self._edit), methods=["PUT"]),
            Route("/api/messages/{number:int}", guard(self._delete), methods=["DELETE"]),
            Route("/api/messages/{number:int}/info", guard(self._info), methods=["GET"]),
        ]

    async def _send(self, request: Request, principal: Principal) -> Response:
        session = await self._session(principal, Act.SEND)
        body = await fields_of(request)
        wanted = self._read_request(
            body, request.headers.get("idempotency-key") or f"call:{uuid.uuid4()}", datetime.now(UTC)
        )
        wish = wanted.wish
        chat = await self._chats.conversation_of(new_chat(str(body["to"]), session))
        wish = await self._with_quote(wish, body.get("replyTo"), int(session.id))
        wished = Wished.of(int(session.id), chat, wish, principal, "api").as_is(wanted.kind, wanted.extra)
        done = await self._outbox.queue(await self._with_own_file(wished, wanted, principal))
        data = {"msgId": done.number, "jid": str(body["to"]), "status": "in_progress"}
        return success(data)

    async def _with_own_file(self, wished: Wished, wanted: OldRequest, principal: Principal) -> Wished:
        """A file that lies here is sent from here: upstream could not fetch it, and it stands in the thread."""
        if wanted.file is None:
            return wished
        field, kind, url = wanted.file
        try:
            media_id = await self._own_files.upload_of(url, kind, wanted.name, principal)
        except Invalid as wrong:
            sentence = wrong.message
            raise Invalid(f"{field}: {sentence}", details={"errors": {field: [sentence]}}) from None
        return wished if media_id is None else wished.with_own_file(media_id, without=field)

    async def _with_quote(self, wish: Wish, number: Any, session_id: int) -> Wish:
        if number is None:
            return wish
        if isinstance(number, bool) or not isinstance(number, int):
            raise Invalid(
                "replyTo: It must be a msgId.", details={"errors": {"replyTo": ["It must be a msgId."]}}
            )
        quoted = await self._outbox.find_number(session_id, number)
        return wish.answering(f"out:{quoted.data['id']}")

    async def _edit(self, request: Request, principal: Principal) -> Response:
        session_id, found = await self._found(request, principal, Act.SEND)
        row = await self._outbox.edit(
            session_id, found, edited_text(told(await body_as(request, sends.EditFields))), principal
        )
        return success(_info_of(request, row) | {"status": 1})

    async def _delete(self, request: Request, principal: Principal) -> Response:
        session_id, found = await self._found(request, principal, Act.SEND)
        await self._outbox.delete(session_id, found, principal)
        return json_reply({"success": True, "message": "Message deleted successfully."})

    async def _info(self, request: Request, principal: Principal) -> Response:
        _, found = await self._found(request, principal, Act.READ)
        return success(_info_of(request, found.data))

    async def _found(self, request: Request, principal: Principal, act: Act) -> tuple[int, Outgoing]:
        session = await self._session(principal, act)
        number = request.path_params["number"]
        if not 0 < number < 2**63:
            raise NotFound("Message not found.")
        return int(session.id), await self._outbox.find_number(int(session.id), number)

    async def _session(self, principal: Principal, act: Act) -> Session:
        """The one session that the token names. Raises Forbidden for any other token."""
        if principal.sessions is None or len(principal.sessions) != 1:
            raise Forbidden("This address needs a token that names exactly one session.")
        (session_id,) = principal.sessions
        principal.require(act, session_id)
        session = await self._sessions.get_session(session_id)
        if session is None:
            raise NotFound(f"There is no session {session_id}.")
        return session


def _info_of(request: Request, row: dict[str, Any]) -> dict[str, Any]:
    """A message as upstream's `info` tells it."""
    key = {"id": row.get("wa_key_id"), "fromMe": True, "remoteJid": row["chat"]}
    told = row.get("sent_at") or row.get("created_at")
    at = datetime.fromisoformat(told) if isinstance(told, str) else datetime.now(UTC)
    return {
        "remoteJid": row["chat"],
        "id": row.get("wa_key_id"),
        "msgId": request.path_params.get("number"),
        "key": key,
        "message": {"conversation": row.get("message_text")},
        "messageTimestamp": str(int(at.timestamp())),
        "status": _STATES.get(str(row.get("status")), 1),
    }

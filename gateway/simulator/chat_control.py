"""The customers' side: write, call, and look at a chat as a phone shows it."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.simulator import chat_view, identity, replies
from gateway.simulator.attachments import ATTACHMENT_LIMIT_BYTES, Attachments
from gateway.simulator.chats import Chats
from gateway.simulator.control import session_of
from gateway.simulator.engine import Engine
from gateway.simulator.files import Files
from gateway.simulator.media_crypto import NotThisKey
from gateway.simulator.replies import Refusal, success
from gateway.simulator.sends import Sends
from gateway.simulator.session_api import media_host_url

_BODY_LIMIT_BYTES = ATTACHMENT_LIMIT_BYTES * 4 // 3 + 64 * 1024
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "private, max-age=3600",
}
_SHOWN_BY_BROWSERS = ("image/jpeg", "image/png", "image/webp", "image/gif", "video/", "audio/")


class ChatControl:
    """Answers what the phone page and tests do on the customers' side."""

    def __init__(self, engine: Engine, sends: Sends, chats: Chats, files: Files) -> None:
        self._engine = engine
        self._sends = sends
        self._chats = chats
        self._files = files
        self._attachments = Attachments(files)

    def routes(self) -> list[BaseRoute]:
        """The routes, below `/_simulator`."""
        one = "/sessions/{id:int}"
        return [
            Route(one + "/inbound", self.inbound, methods=["POST"]),
            Route(one + "/call", self.call, methods=["POST"]),
            Route(one + "/event", self.event, methods=["POST"]),
            Route(one + "/chats", self.chats, methods=["GET"]),
            Route(one + "/chats/{phone}", self.chat, methods=["GET"]),
            Route(one + "/chats/{phone}/read", self.read, methods=["POST"]),
            Route("/media/{name}", self.media, methods=["GET"]),
        ]

    async def inbound(self, request: Request) -> Response:
        """A customer writes to the session, or its owner on the phone."""
        session = session_of(self._engine, request)
        body = await replies.read_json(request, _BODY_LIMIT_BYTES)
        if session.status == "connected":  # else no file is made for a message that cannot arrive
            body = await self._attachments.prepare(body, media_host_url(request, self._engine.settings))
        return success(self._chats.receive(session, body))

    async def call(self, request: Request) -> Response:
        """A customer calls the session."""
        session = session_of(self._engine, request)
        sent = self._chats.call(session, await replies.read_json(request))
        return success({"deliveries": [delivery.id for delivery in sent]})

    async def event(self, request: Request) -> Response:
        """Something else happens; answers with the webhooks that tell of it."""
        session = session_of(self._engine, request)
        sent = self._chats.event(session, await replies.read_json(request))
        return success({"deliveries": [delivery.id for delivery in sent]})

    # ------------------------------------------------------------------ the chat of one customer

    async def chats(self, request: Request) -> Response:
        """The private chats of a session."""
        session = session_of(self._engine, request)
        return success(chat_view.chats_of(self._engine.world, session))

    async def chat(self, request: Request) -> Response:
        """The newest messages of one customer's chat, oldest of them first, and whether the shop types there."""
        session = session_of(self._engine, request)
        phone = identity.digits(request.path_params["phone"])
        jids = (identity.phone_jid(phone), identity.lid_of(phone))
        messages = chat_view.messages_of(self._engine.world, session, phone)
        return success({"messages": messages, "shop": self._chats.doing(session, *jids)})

    async def read(self, request: Request) -> Response:
        """The customer has seen (`played`: and listened to) what the shop wrote."""
        session = session_of(self._engine, request)
        wish: dict[str, Any] = await replies.read_json(request)
        phone, played = identity.digits(request.path_params["phone"]), wish.get("msgId")
        if played is not None:
            sent = self._engine.world.sent.get(played) if isinstance(played, int) else None
            if sent is None or sent.session_id != session.id:
                raise _not_found()
            self._sends.report(session, sent, 5)
            return success({"read": 0})
        unread = [
            sent
            for sent in chat_view.sent_to(self._engine.world, session, phone)
            if sent.announced and 0 < sent.state < 4
        ]
        for sent in unread:
            sent.script.clear()
            self._sends.report(session, sent, 4)
        return success({"read": len(unread)})

    async def media(self, request: Request) -> Response:
        """The plain file, for the phone page."""
        hosted = self._engine.world.hosted.get(request.path_params["name"])
        if hosted is None:
            raise _not_found()
        try:
            content = await self._files.read(hosted)
        except (NotThisKey, OSError):
            raise _not_found() from None
        mime = request.query_params.get("type", "").partition(";")[0].strip().lower()
        shown = (
            mime if mime.startswith(_SHOWN_BY_BROWSERS) and "svg" not in mime else "application/octet-stream"
        )
        return Response(content, media_type=shown, headers=_SAFE)


def _not_found() -> Refusal:
    return Refusal(404, {"success": False, "error": "The simulator has nothing under this name any more."})

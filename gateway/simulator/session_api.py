"""The calls made with a session's key: its status and user, sending, what became of it, and media."""

import base64
import binascii
import secrets
from collections import OrderedDict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.simulator import checks, identity, replies
from gateway.simulator.contents import MEDIA_TYPES, BadContent
from gateway.simulator.engine import Engine
from gateway.simulator.limits import Allowance
from gateway.simulator.replies import Refusal, session_refusal, success
from gateway.simulator.sends import Sends
from gateway.simulator.state import SentMessage, SimulatedSession

ALLOWANCE = "simulator.allowance"
"""Where a route leaves its limit in the scope, for the X-RateLimit headers."""

MEDIA_LIMIT_BYTES = 16 * 1024 * 1024
_MAX_UPLOADS = 20
_EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "video/mp4": "mp4",
    "audio/ogg": "ogg",
}
# A grey PNG of one pixel: what every simulated picture looks like.
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)


class SessionGate:
    """Who calls with a session's key, whether the session can do it now, and how often it may."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def session(self, request: Request) -> SimulatedSession:
        """Raises Refusal 401."""
        key = replies.bearer(request)
        if not key:
            raise session_refusal(401, "API key is required")
        session = self.engine.session_of_key(key)
        if session is None:
            raise session_refusal(401, "Invalid API key")
        return session

    def connected(self, request: Request) -> SimulatedSession:
        """Raises Refusal 401, or 400 when the session is not connected."""
        session = self.session(request)
        if session.status != "connected":
            raise session_refusal(
                self.engine.settings.codes.not_connected,
                "Your Whatsapp Session is not connected please connect your session first.",
            )
        return session

    def take(self, request: Request, name: str, session: SimulatedSession, per_minute: int) -> None:
        """Counts a call against the session's limit for it. Raises Refusal 429."""
        self.allow(request, self.engine.limits.take((session.id, name), per_minute, 60), "Too Many Attempts.")

    def allow(self, request: Request, allowance: Allowance, text: str) -> None:
        """Lets a call through that its limit allows, and refuses others with 429 and these words."""
        request.scope[ALLOWANCE] = allowance
        if allowance.wait_s:
            after = (
                {"Retry-After": str(allowance.wait_s)} if self.engine.settings.retry_after_header else None
            )
            raise Refusal(429, {"message": text, "retry_after": allowance.wait_s}, after)


class SessionApi:
    """Answers what a session's key may ask of itself, of messages and of media."""

    def __init__(self, engine: Engine, sends: Sends) -> None:
        self._engine = engine
        self._gate = SessionGate(engine)
        self._sends = sends
        self._uploads: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

    def routes(self) -> list[BaseRoute]:
        """The routes, below the API's root."""
        return [
            Route("/status", self.status, methods=["GET"]),
            Route("/user", self.user, methods=["GET"]),
            Route("/send-message", self.send, methods=["POST"]),
            Route("/messages/read", self.mark_read, methods=["POST"]),
            Route("/messages/{id:int}", self.edit, methods=["PUT"]),
            Route("/messages/{id:int}", self.delete, methods=["DELETE"]),
            Route("/messages/{id:int}/info", self.info, methods=["GET"]),
            Route("/messages/{id:int}/resend", self.resend, methods=["POST"]),
            Route("/send-presence-update", self.presence, methods=["POST"]),
            Route("/upload", self.upload, methods=["POST"]),
            Route("/media/{name}", self.uploaded, methods=["GET"]),
            Route("/decrypt-media", self.decrypt, methods=["POST"]),
            Route("/decrypted-media/{id}", self.decrypted, methods=["GET"]),
        ]

    async def status(self, request: Request) -> Response:
        """`GET /status`: the session's status."""
        return JSONResponse({"status": self._gate.session(request).status})

    async def user(self, request: Request) -> Response:
        """`GET /user`: the WhatsApp user that the session is linked to."""
        session = self._gate.connected(request)
        number = identity.digits(session.phone_number)
        me = {"id": f"{number}:{10 + session.id % 80}@s.whatsapp.net", "name": session.name}
        return success(me | {"lid": identity.lid_of(number)})

    # ------------------------------------------------------------------ messages

    async def send(self, request: Request) -> Response:
        """`POST /send-message`: takes the message over; what becomes of it comes by webhook."""
        session = self._gate.session(request)
        body = checks.send_request(await replies.read_json(request))
        session = self._gate.connected(request)
        if identity.digits(str(body["to"])) in self._engine.world.not_on_whatsapp:
            raise checks.unknown_recipient()
        self._take_send(request, session)
        try:
            sent = self._sends.accept(session, body)
        except BadContent as wrong:
            raise replies.validation_refusal({"message": [str(wrong)]}) from None
        return success({"msgId": sent.msg_id, "jid": sent.to, "status": "in_progress"})

    def _take_send(self, request: Request, session: SimulatedSession) -> None:
        settings, limits = self._engine.settings, self._engine.limits
        if session.account_protection and settings.account_protection:
            every_s = settings.protection_interval_s
            text = (
                "You have account protection enabled. You can only send 1 message every "
                f"{every_s:g} seconds. Check our API docs."
            )
            self._gate.allow(request, limits.take((session.id, "send"), 1, every_s), text)
            return
        text = f"You can only send {settings.sends_per_minute} messages every 1 minute."
        self._gate.allow(request, limits.take((session.id, "sends"), settings.sends_per_minute, 60), text)

    def _sent(self, request: Request, session: SimulatedSession) -> SentMessage:
        sent = self._engine.world.sent.get(request.path_params["id"])
        if sent is None or sent.session_id != session.id:
            raise session_refusal(self._engine.settings.codes.not_found, "Message not found.")
        return sent

    async def info(self, request: Request) -> Response:
        """What became of a message so far."""
        return success(message_info(self._sent(request, self._gate.session(request))))

    async def edit(self, request: Request) -> Response:
        """Gives a message another text."""
        sent = self._sent(request, self._gate.connected(request))
        words = (await replies.read_json(request)).get("text")
        if not isinstance(words, str) or not words:
            raise replies.validation_refusal({"text": ["The text field is required."]})
        protocol = self._sends.edit(sent, words)
        return success(message_info(sent) | {"message": protocol, "status": 1})

    async def delete(self, request: Request) -> Response:
        """Deletes a message for everyone."""
        session = self._gate.connected(request)
        self._sends.delete(session, self._sent(request, session))
        return JSONResponse({"success": True, "message": "Message deleted successfully."})

    async def resend(self, request: Request) -> Response:
        """Sends a failed message again; refused for any other, or without message logs."""
        session = self._gate.connected(request)
        sent = self._sent(request, session)
        if sent.log_status != "failed" or not session.log_messages:
            raise session_refusal(400, "Only failed messages that were logged can be resent.")
        self._sends.retry(sent)
        return JSONResponse({"success": True, "message": "Message resend initiated successfully."})

    async def mark_read(self, request: Request) -> Response:
        """Tells the customer that a message was read."""
        self._gate.connected(request)
        key = (await replies.read_json(request)).get("key")
        if not isinstance(key, dict) or not key.get("id") or not key.get("remoteJid"):
            raise replies.validation_refusal({"key": ["The key field needs id and remoteJid."]})
        return success({"status": "read"})

    async def presence(self, request: Request) -> Response:
        """Shows the customer that the session types, records, or neither."""
        self._gate.connected(request)
        body = await replies.read_json(request)
        kinds = ("composing", "recording", "available", "unavailable", "paused")
        if not identity.is_jid(str(body.get("jid", ""))) or body.get("type") not in kinds:
            raise replies.validation_refusal({"jid": ["The jid and type fields are required."]})
        return success({"jid": body["jid"], "type": body["type"]})

    # ------------------------------------------------------------------ media

    async def upload(self, request: Request) -> Response:
        """Takes a file for a message to come, and answers with its address."""
        self._gate.session(request)
        mimetype = request.headers.get("content-type", "").partition(";")[0].strip()
        if mimetype == "application/json":
            body = await replies.read_json(request, MEDIA_LIMIT_BYTES * 4 // 3 + 1024)
            content, mimetype = _decode(body)
        else:
            content = await replies.read_body(request, MEDIA_LIMIT_BYTES)
        if not content:
            raise replies.validation_refusal({"file": ["The file field is required."]})
        name = f"{secrets.token_hex(16)}.{_EXTENSIONS.get(mimetype, 'bin')}"
        self._uploads[name] = (mimetype or "application/octet-stream", content)
        while len(self._uploads) > _MAX_UPLOADS:
            self._uploads.popitem(last=False)
        return JSONResponse({"success": True, "publicUrl": _public(request, f"/media/{name}")})

    async def uploaded(self, request: Request) -> Response:
        """A file that was uploaded, for as long as it is kept."""
        found = self._uploads.get(request.path_params["name"])
        if found is None:
            raise session_refusal(404, "This file is not there any more.")
        return _file(found[1], found[0])

    async def decrypt(self, request: Request) -> Response:
        """Takes a media message, and answers with the address of its file, decrypted."""
        self._gate.session(request)
        body = await replies.read_json(request)
        try:
            message = body["data"]["messages"]
            key_id, content = str(message["key"]["id"]), message["message"]
            media = [name for name in content if name.removesuffix("Message") in MEDIA_TYPES]
            complete = len(media) == 1 and content[media[0]]["url"] and content[media[0]]["mediaKey"]
        except (KeyError, TypeError):
            complete = False
        if not complete:
            raise session_refusal(422, "Exactly one media message with url and mediaKey is needed.")
        return JSONResponse({"success": True, "publicUrl": _public(request, f"/decrypted-media/{key_id}")})

    async def decrypted(self, request: Request) -> Response:
        """The decrypted file of a message that came in."""
        message = self._engine.world.received.get(request.path_params["id"])
        if message is None:
            raise session_refusal(404, "Media not found or expired.")
        if "imageMessage" in message["message"] or "stickerMessage" in message["message"]:
            return _file(_PIXEL, "image/png")
        return _file(b"Simulated media.\n", "text/plain")


def message_info(sent: SentMessage) -> dict[str, Any]:
    """Upstream's bridge between its own number of a message and WhatsApp's id."""
    return {
        "remoteJid": sent.jid,
        "id": sent.key_id,
        "msgId": sent.msg_id,
        "key": sent.key,
        "message": sent.message,
        "messageTimestamp": str(int(sent.created_at)),
        "status": sent.state,
    }


def _decode(body: dict[str, Any]) -> tuple[bytes, str]:
    text, mimetype = str(body.get("base64", "")), str(body.get("mimetype", ""))
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        mimetype = mimetype or head[5:].partition(";")[0]
    try:
        return base64.b64decode(text, validate=True), mimetype
    except (binascii.Error, ValueError):
        raise replies.validation_refusal({"base64": ["The base64 field is not valid."]}) from None


def _public(request: Request, path: str) -> str:
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}{path}"


def _file(content: bytes, media_type: str) -> Response:
    # Whatever was uploaded is never a page of this origin: the browser must not run it.
    safe = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
    return Response(content, media_type=media_type, headers=safe)

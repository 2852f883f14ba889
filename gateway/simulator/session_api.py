"""The calls made with a session's key: its status and user, sending, and what became of it."""

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.simulator import checks, contents, identity, quotes, replies
from gateway.simulator.attachments import Attachments
from gateway.simulator.chats import Chats
from gateway.simulator.contents import BadContent
from gateway.simulator.engine import Engine
from gateway.simulator.limits import Allowance
from gateway.simulator.replies import Refusal, session_refusal, success
from gateway.simulator.sends import RESTRICTED, Sends, jid_of
from gateway.simulator.settings import SimulatorSettings
from gateway.simulator.state import SentMessage, SimulatedSession

FILE_HOST_PATH = "/simulator/files"
"""Where the stand-in for WhatsApp's file host is mounted, alone and beside a gateway."""
ALLOWANCE = "simulator.allowance"
"""Where a route leaves its limit in the scope, for the X-RateLimit headers."""

_DAY_S = 86_400.0
_TRIAL_DAILY = 50


UNLIMITED = Allowance(0, 0, 0.0)
"""Left in the scope by a call that nothing limits: its reply carries no such headers."""


def public_url(request: Request, path: str) -> str:
    """The address of a path of this API, as this caller reaches it."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}{path}"


def media_host_url(request: Request, settings: SimulatorSettings) -> str:
    """Where the files of messages lie, for this caller."""
    return settings.media_host_url or f"{request.url.scheme}://{request.url.netloc}{FILE_HOST_PATH}"


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
            body: dict[str, Any] = {"message": text}
            if self.engine.settings.retry_after_in_body:
                body["retry_after"] = allowance.wait_s
            raise Refusal(429, body, after)


class SessionApi:
    """Answers what a session's key may ask of itself and of messages."""

    def __init__(self, engine: Engine, sends: Sends, chats: Chats, attachments: Attachments) -> None:
        self._engine = engine
        self._gate = SessionGate(engine)
        self._sends = sends
        self._chats = chats
        self._attachments = attachments

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
        ]

    async def status(self, request: Request) -> Response:
        """The session's status, bare."""
        return JSONResponse({"status": self._gate.session(request).status})

    async def user(self, request: Request) -> Response:
        """The WhatsApp user that the session is linked to."""
        session = self._gate.connected(request)
        number = identity.digits(session.phone_number)
        me = {"id": f"{number}:{10 + session.id % 80}@s.whatsapp.net", "name": session.name}
        return success(me | {"lid": identity.lid_of(number)})

    # ------------------------------------------------------------------ messages

    async def send(self, request: Request) -> Response:
        """Takes a message over; what becomes of it comes by webhook."""
        session = self._gate.session(request)
        if not self._engine.settings.has_subscription:
            text = "Active subscription or trial is required to use the API"
            raise session_refusal(self._engine.settings.codes.subscription, text)
        body = checks.send_request(await replies.read_json(request))
        session = self._gate.connected(request)
        self._require_reachable(session, body)
        quote = quotes.quote_of(self._engine.world, session, body)
        self._take_send(request, session)
        attached, will_fail = await self._attached(request, body)
        try:
            message = contents.outbound(body, attached.get("message"), quote)
        except BadContent as wrong:
            raise replies.validation_refusal({"message": [str(wrong)]}) from None
        sent = self._sends.accept(session, body, message, media=attached.get("media"), will_fail=will_fail)
        await self._sends.announce_early(sent)
        return success({"msgId": sent.msg_id, "jid": sent.to, "status": "in_progress"})

    def _require_reachable(self, session: SimulatedSession, body: dict[str, Any]) -> None:
        """Raises Refusal where the recipient has no WhatsApp, or is new while new chats are restricted."""
        jid = jid_of(str(body["to"]))
        person = self._chats.contact_of_jid(session, jid)
        number = person.phone if person else identity.digits(str(body["to"]).partition("@")[0])
        if number in self._engine.world.not_on_whatsapp:
            raise checks.unknown_recipient()
        if self._chats.is_first_contact(session, jid):
            restricted = self._engine.faults.use_mode("restricted", session.id)
            if restricted is not None:
                status = restricted.status or self._engine.settings.codes.restricted
                raise session_refusal(status, RESTRICTED)

    async def _attached(self, request: Request, body: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        """The file of a send, where upstream has it itself; and why the send fails if it should and has not."""
        kind = contents.kind_of_request(body)
        url = body.get(f"{kind}Url")
        if not url or not str(url).startswith(public_url(request, "/media/")):
            return {}, None
        upload = self._attachments.upload_at(url)
        if upload is None:
            return {}, "Failed to send message: the media could not be downloaded (404)."
        host = media_host_url(request, self._engine.settings)
        return await self._attachments.of_upload(kind, upload, body, host), None

    def _take_send(self, request: Request, session: SimulatedSession) -> None:
        settings, limits = self._engine.settings, self._engine.limits
        if session.account_protection and settings.account_protection:
            every_s = settings.protection_interval_s
            text = (
                "You have account protection enabled. You can only send 1 message every "
                f"{every_s:g} seconds. Check our API docs."
            )
            self._gate.allow(request, limits.take((session.id, "send"), 1, every_s), text)
        elif settings.plan == "trial":
            text = "You are on a free trial. You can only send 1 message every 1 minute."
            minute = limits.take((session.id, "trial"), 1, 60)
            self._gate.allow(request, minute, text)
            day = limits.take((session.id, "trial-day"), _TRIAL_DAILY, _DAY_S)
            self._gate.allow(
                request, day, f"You are on a free trial. You can only send {_TRIAL_DAILY} a day."
            )
            request.scope[ALLOWANCE] = replace(minute, daily=(day.limit, day.remaining))
        elif settings.sends_per_minute is not None:
            text = f"You can only send {settings.sends_per_minute} messages every 1 minute."
            self._gate.allow(request, limits.take((session.id, "sends"), settings.sends_per_minute, 60), text)
        else:
            request.scope[ALLOWANCE] = UNLIMITED

    def _sent(self, request: Request, session: SimulatedSession) -> SentMessage:
        sent = self._engine.world.sent.get(request.path_params["id"])
        if sent is None or sent.session_id != session.id or sent.deleted:
            raise session_refusal(self._engine.settings.codes.not_found, "Message not found.")
        return sent

    async def info(self, request: Request) -> Response:
        """What became of a message so far."""
        return success(message_info(self._sent(request, self._gate.session(request))))

    async def edit(self, request: Request) -> Response:
        """Gives a message another text."""
        session = self._gate.connected(request)
        sent = self._sent(request, session)
        words = (await replies.read_json(request)).get("text")
        if not isinstance(words, str) or not words:
            raise replies.validation_refusal({"text": ["The text field is required."]})
        protocol = self._sends.edit(session, sent, words)
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
        session = self._gate.connected(request)
        key = (await replies.read_json(request)).get("key")
        if not isinstance(key, dict) or not key.get("id") or not key.get("remoteJid"):
            raise replies.validation_refusal({"key": ["The key field needs id and remoteJid."]})
        item = self._engine.world.received.get(str(key["id"]))
        if item is not None and item["session_id"] == session.id:
            item["read"] = True
            self._engine.changed(urgent=False)
        return success({"status": "read"})

    async def presence(self, request: Request) -> Response:
        """Shows the customer that the session types, records, or neither."""
        session = self._gate.connected(request)
        body = await replies.read_json(request)
        kinds = ("composing", "recording", "available", "unavailable", "paused")
        if not identity.is_jid(str(body.get("jid", ""))) or body.get("type") not in kinds:
            raise replies.validation_refusal({"jid": ["The jid and type fields are required."]})
        self._chats.show_presence(session, str(body["jid"]), str(body["type"]))
        return success({"jid": body["jid"], "type": body["type"]})


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

"""The management calls, made with the account's token: sessions, their links, keys and logs."""

import hmac
import json
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.simulator import checks, identity, replies
from gateway.simulator.engine import Engine
from gateway.simulator.links import Links, Passkey, WrongState
from gateway.simulator.pages import paginated
from gateway.simulator.replies import Refusal, account_refusal, success
from gateway.simulator.sends import Sends
from gateway.simulator.state import SentMessage, SimulatedSession

NOT_FOUND = "The specified session was not found."
_SESSION = "/whatsapp-sessions/{id}"


def iso(moment: float) -> str:
    """Unix seconds as upstream writes times: `2026-01-31T10:00:00Z`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def session_object(session: SimulatedSession, *, secrets: bool) -> dict[str, Any]:
    """A session as upstream shows it; the list leaves out the secrets."""
    shown: dict[str, Any] = {
        "id": session.id,
        "name": session.name,
        "phone_number": session.phone_number,
        "status": session.status,
        "account_protection": session.account_protection,
        "log_messages": session.log_messages,
        "webhook_url": session.webhook_url,
        "webhook_enabled": session.webhook_enabled,
        "webhook_events": session.webhook_events,
        "created_at": iso(session.created_at),
        "updated_at": iso(session.updated_at),
    }
    if secrets:
        shown |= {
            "read_incoming_messages": session.read_incoming_messages,
            "api_key": session.api_key,
            "webhook_secret": session.webhook_secret,
        }
    return shown


class AccountApi:
    """Answers the calls that show the account's token."""

    def __init__(self, engine: Engine, links: Links, sends: Sends) -> None:
        self._engine = engine
        self._links = links
        self._sends = sends

    def routes(self) -> list[BaseRoute]:
        """The routes, below the API's root."""
        return [
            Route("/whatsapp-sessions", self.list_sessions, methods=["GET"]),
            Route("/whatsapp-sessions", self.create, methods=["POST"]),
            Route(_SESSION, self.show, methods=["GET"]),
            Route(_SESSION, self.update, methods=["PUT"]),
            Route(_SESSION, self.delete, methods=["DELETE"]),
            Route(_SESSION + "/connect", self.connect, methods=["POST"]),
            Route(_SESSION + "/qrcode", self.qrcode, methods=["GET"]),
            Route(_SESSION + "/disconnect", self.disconnect, methods=["POST"]),
            Route(_SESSION + "/restart", self.restart, methods=["POST"]),
            Route(_SESSION + "/regenerate-key", self.regenerate_key, methods=["POST"]),
            Route(_SESSION + "/message-logs", self.message_logs, methods=["GET"]),
            Route(_SESSION + "/session-logs", self.session_logs, methods=["GET"]),
            Route(_SESSION + "/passkey-token", self.passkey_token, methods=["GET"]),
            Route("/auth-check", self.auth_check, methods=["GET"]),
        ]

    # ------------------------------------------------------------------ who asks, and about what

    def _require_account(self, request: Request) -> None:
        token = replies.bearer(request)
        if not token or not hmac.compare_digest(token.encode(), self._engine.world.account_token.encode()):
            raise Refusal(401, {"success": False, "message": "Unauthenticated."})

    def _session(self, request: Request) -> SimulatedSession:
        """The session of the path. Raises Refusal 401 or 404."""
        self._require_account(request)
        number = str(request.path_params["id"])
        known = number.isascii() and number.isdecimal() and len(number) < 19
        session = self._engine.world.sessions.get(int(number)) if known else None
        if session is None:
            raise account_refusal(self._engine.settings.codes.not_found, NOT_FOUND)
        return session

    # ------------------------------------------------------------------ sessions

    async def list_sessions(self, request: Request) -> Response:
        """`GET /whatsapp-sessions`: all sessions, without secrets."""
        self._require_account(request)
        sessions = self._engine.world.sessions.values()
        return success([session_object(session, secrets=False) for session in sessions])

    async def create(self, request: Request) -> Response:
        """`POST /whatsapp-sessions`: a new session with its secrets; refused beyond the plan's number."""
        self._require_account(request)
        fields, options = checks.session_fields(await replies.read_json(request), partial=False)
        if len(self._engine.world.sessions) >= self._engine.settings.session_limit:
            raise account_refusal(
                self._engine.settings.codes.session_limit,
                "You have reached your WhatsApp session limit. "
                "Please upgrade your plan to add more sessions.",
            )
        session = self._engine.add_session({**fields, "options": options})
        return success(session_object(session, secrets=True), self._engine.settings.codes.created)

    async def show(self, request: Request) -> Response:
        """`GET /whatsapp-sessions/{id}`: the session with its secrets."""
        return success(session_object(self._session(request), secrets=True))

    async def update(self, request: Request) -> Response:
        """`PUT /whatsapp-sessions/{id}`: the session with the changed fields."""
        session = self._session(request)
        fields, options = checks.session_fields(await replies.read_json(request), partial=True)
        for name, value in fields.items():
            setattr(session, name, value)
        session.options |= options
        session.updated_at = self._engine.clock.now()
        self._engine.changed()
        more: dict[str, Any] = {}
        if session.status == "connected" and self._engine.faults.take_mode("webhook_sync_fails", session.id):
            more["warning"] = "WhatsApp session updated but failed to sync webhook settings: Connection error"
        return success(session_object(session, secrets=True), **more)

    async def delete(self, request: Request) -> Response:
        """`DELETE /whatsapp-sessions/{id}`: the session goes, with all that was sent."""
        session = self._session(request)
        self._links.forget(session)
        self._sends.forget(session.id)
        self._engine.webhooks.forget(session.id)
        world = self._engine.world
        for shelf in (world.sessions, world.contacts, world.groups):
            shelf.pop(session.id, None)
        self._engine.changed()
        return Response(status_code=204)

    # ------------------------------------------------------------------ the link

    async def connect(self, request: Request) -> Response:
        """`POST …/connect`: begins to link a phone, and shows the code if there is one already."""
        session = self._session(request)
        body = await replies.read_json(request)
        if self._engine.faults.take_mode("connect_fails", session.id):
            raise account_refusal(500, "Connection Failure")
        before = session.status
        self._links.connect(session, str(body.get("linkMethod") or "qr"))
        if session.status == "need_passkey":
            return success({"status": "NEED_PASSKEY", "passkey": _passkey(self._links.passkey_of(session))})
        if self._engine.faults.take_mode("slow_qr", session.id):
            return success({"status": "NEED_SCAN"})
        settles = before not in ("connected", "connecting") and not session.linked
        if not settles:
            text = "Session already initialized or connecting. No QR code needed."
            return success({"status": "CONNECTED", "message": text})
        code = await self._links.wait_for_code(session, self._engine.settings.connect_wait_s)
        return success({"status": "NEED_SCAN", "qrCode": code} if code else {"status": "NEED_SCAN"})

    async def qrcode(self, request: Request) -> Response:
        """`GET …/qrcode`: the code of now; refused while the session has none."""
        session = self._session(request)
        code = self._links.code_of(session)
        if code is None:
            text = {
                "connecting": "QR code is not available yet. Please try again in a few seconds.",
                "connected": "WhatsApp session is already connected.",
            }.get(session.status, "WhatsApp session is not initialized. Please connect the session first.")
            raise account_refusal(self._engine.settings.codes.no_code, text)
        return success({"qrCode": code})

    async def disconnect(self, request: Request) -> Response:
        """`POST …/disconnect`: unlinks the phone."""
        self._links.disconnect(self._session(request))
        text = "WhatsApp session disconnected successfully"
        return success({"status": "disconnected", "message": text})

    async def restart(self, request: Request) -> Response:
        """`POST …/restart`: connects anew; refused in a state that cannot be."""
        session = self._session(request)
        try:
            self._links.restart(session)
        except WrongState as wrong:
            raise account_refusal(self._engine.settings.codes.not_restartable, str(wrong)) from None
        return JSONResponse({"success": True, "message": "WhatsApp session restarted successfully."})

    async def regenerate_key(self, request: Request) -> Response:
        """`POST …/regenerate-key`: a new API key; the old one is void at once."""
        session = self._session(request)
        session.api_key = identity.new_api_key()
        session.updated_at = self._engine.clock.now()
        self._engine.changed()
        return JSONResponse({"success": True, "api_key": session.api_key})

    async def passkey_token(self, request: Request) -> Response:
        """The token of a link by passkey; refused while none is under way."""
        passkey = self._links.passkey_of(self._session(request))
        if passkey is None:
            raise account_refusal(400, "WhatsApp session is not waiting for a passkey.")
        return success(_passkey(passkey))

    # ------------------------------------------------------------------ logs and the token

    async def message_logs(self, request: Request) -> Response:
        """`GET …/message-logs`: what was sent, newest first, in pages."""
        session = self._session(request)
        status = request.query_params.get("status")
        newest_first = reversed(self._engine.world.of_session(session.id))
        rows = [log_row(session, sent) for sent in newest_first if status in (None, "", sent.log_status)]
        return success(paginated(request, rows))

    async def session_logs(self, request: Request) -> Response:
        """`GET …/session-logs`: what became of the session, newest first, in pages."""
        return success(paginated(request, self._session(request).logs[::-1]))

    async def auth_check(self, request: Request) -> Response:
        """Success, if the account's token is right."""
        self._require_account(request)
        return JSONResponse({"success": True})


def _passkey(passkey: Passkey | None) -> dict[str, Any] | None:
    return {"token": passkey.token, "expires_at": iso(passkey.expires_at)} if passkey else None


def log_row(session: SimulatedSession, sent: SentMessage) -> dict[str, Any]:
    """A row of message-logs: ids as text, times without zone, contents only if the session keeps them."""

    def naive(moment: float) -> str:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")

    asked = {name: value for name, value in sent.request.items() if name != "to"}
    return {
        "id": str(sent.msg_id),
        "whatsapp_session_id": str(session.id),
        "to": sent.to if session.log_messages else None,
        "content": json.dumps(asked, ensure_ascii=False) if session.log_messages else None,
        "status": sent.log_status,
        "failed_reason": sent.failed_reason,
        "created_at": naive(sent.created_at),
        "updated_at": naive(sent.updated_at),
    }

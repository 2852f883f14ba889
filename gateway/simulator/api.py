"""The API as one ASGI app: fault switches in front, rate-limit headers on every reply, upstream's words for
errors.

It answers every path below the prefix it is mounted under, so that a path upstream does not have is a 404 of
its own kind, whatever the app around it would say.
"""

import hashlib
import logging
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.simulator import limits, replies
from gateway.simulator.account_api import AccountApi
from gateway.simulator.attachments import Attachments
from gateway.simulator.call_log import CallLog, CountedCalls
from gateway.simulator.chats import Chats
from gateway.simulator.engine import Engine
from gateway.simulator.faults import FaultSwitches
from gateway.simulator.files import Files
from gateway.simulator.links import Links, Passkey, WrongState
from gateway.simulator.media_api import MediaApi
from gateway.simulator.people_api import PeopleApi
from gateway.simulator.replies import Refusal, account_refusal
from gateway.simulator.sends import Sends
from gateway.simulator.session_api import ALLOWANCE, UNLIMITED, SessionApi
from gateway.simulator.state import SimulatedSession

logger = logging.getLogger(__name__)


class PasskeyApi:
    """Linking by passkey, just enough for a client to walk through it.

    The token in the query is the authority.
    """

    def __init__(self, engine: Engine, links: Links) -> None:
        self._engine = engine
        self._links = links

    def routes(self) -> list[BaseRoute]:
        """The routes, below the API's root."""
        return [
            Route("/passkey/pending", self.pending, methods=["GET"]),
            Route("/passkey/response", self.respond, methods=["POST"]),
            Route("/passkey/confirm", self.confirm, methods=["POST"]),
        ]

    def _by_token(self, token: Any) -> tuple[SimulatedSession, Passkey]:
        for session in self._engine.world.sessions.values():
            passkey = self._links.passkey_of(session)
            if passkey is not None and passkey.token == token:
                return session, passkey
        raise account_refusal(404, "The passkey token is not valid any more.")

    async def pending(self, request: Request) -> Response:
        """The challenge that the passkey has to answer."""
        _, passkey = self._by_token(request.query_params.get("token"))
        key = {"challenge": passkey.request_id, "rpId": "web.whatsapp.com", "userVerification": "preferred"}
        body = {"success": True, "requestId": passkey.request_id, "publicKey": key, "status": passkey.stage}
        return JSONResponse(body)

    async def respond(self, request: Request) -> Response:
        """Takes the passkey's answer, whatever it is; it is to be confirmed next."""
        _, passkey = self._by_token((await replies.read_json(request)).get("token"))
        passkey.stage = "confirmation"
        return JSONResponse({"success": True, "status": passkey.stage})

    async def confirm(self, request: Request) -> Response:
        """Confirms the link, as a phone that scans does."""
        session, _ = self._by_token((await replies.read_json(request)).get("token"))
        self._links.scan(session)
        return JSONResponse({"success": True, "status": "confirmed"})


class RateLimitHeaders:
    """ASGI: adds the X-RateLimit headers: of the limit a route has counted, else of the whole API."""

    def __init__(self, app: ASGIApp, engine: Engine) -> None:
        self.app = app
        self.engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = self._headers(scope)
                headers = MutableHeaders(scope=message)
                for name, value in added.items():
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _headers(self, scope: Scope) -> dict[str, str]:
        engine = self.engine
        allowance = scope.get(ALLOWANCE)
        if allowance is UNLIMITED or not engine.settings.limit_headers:
            return {}
        if allowance is None:
            token = dict(scope["headers"]).get(b"authorization", b"")
            caller = hashlib.sha256(token).hexdigest()[:16]
            # Counted, never refused: upstream documents no limit for these calls.
            allowance = engine.limits.take(("api", caller), 256, 60)
        return limits.headers(allowance, engine.clock.now(), relative=engine.settings.reset_is_relative)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.response()


async def _wrong_state(request: Request, error: Exception) -> Response:
    return account_refusal(400, str(error)).response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path.lstrip("/")
    text = {
        404: f"The route {path} could not be found.",
        405: f"The {request.method} method is not supported for route {path}.",
    }.get(error.status_code, error.detail)
    return JSONResponse({"message": text}, error.status_code, headers=error.headers)


def api_routes(
    engine: Engine, links: Links, sends: Sends, chats: Chats, files: Files, calls: CallLog
) -> list[BaseRoute]:
    """Upstream's API without the prefix, for mounting under one."""
    inner = Starlette(
        routes=[
            *AccountApi(engine, links, sends).routes(),
            *PasskeyApi(engine, links).routes(),
            *SessionApi(engine, sends, chats, Attachments(files)).routes(),
            *MediaApi(engine, files).routes(),
            *PeopleApi(engine, chats).routes(),
        ],
        exception_handlers={Refusal: _refused, WrongState: _wrong_state, HTTPException: _http_error},
    )
    # A redirect from `/x/` to `/x` would leave the prefix; upstream has none.
    inner.router.redirect_slashes = False
    with_faults = FaultSwitches(RateLimitHeaders(inner, engine), engine.faults)
    return [Mount("", app=CountedCalls(with_faults, engine, calls))]

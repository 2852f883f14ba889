"""The hands on the simulator: play the phone, write as a customer, switch faults on, look at deliveries.

It has no login. So it answers only a caller on this machine that came straight here: loopback address,
loopback Host (against DNS rebinding), no trace of a proxy, and from browsers no request of another site.
"""

import ipaddress
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.simulator import faults, identity, replies, settings
from gateway.simulator.contents import BadContent
from gateway.simulator.engine import Engine
from gateway.simulator.links import Links, WrongState
from gateway.simulator.replies import Refusal, success
from gateway.simulator.state import SimulatedSession

WATCH_S = 5.0
"""How long a request for changes waits for one. Short: a server that stops waits for it, unless released."""

_PROXY_HEADERS = ("forwarded", "via", "x-real-ip")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _hostname(netloc: str) -> str:
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""


def refusal_of(request: Request) -> str | None:
    """Why this caller may not use the control; None if it may."""
    if request.client is None or not _is_loopback(request.client.host):
        return "The simulator is controlled only from the machine it runs on."
    host = request.headers.get("host", "")
    if not _is_loopback(_hostname(host)):
        return "The simulator is controlled only under a loopback address, such as http://127.0.0.1."
    if any(name.startswith("x-forwarded") or name in _PROXY_HEADERS for name in request.headers):
        return "The simulator is not controlled through a proxy."
    if request.method in ("GET", "HEAD"):
        return None
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        return "The simulator is not controlled from other websites."
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return "The simulator is not controlled from other websites."
    return None


class ControlGuard:
    """ASGI: refuses everybody that `refusal_of` has something against."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        reason = refusal_of(Request(scope))
        app = self.app if reason is None else _refuse(403, reason).response()
        await app(scope, receive, send)


def _refuse(status: int, text: str) -> Refusal:
    return Refusal(status, {"success": False, "error": text})


def session_of(engine: Engine, request: Request) -> SimulatedSession:
    """The session of the path. Raises Refusal 404."""
    session = engine.world.sessions.get(request.path_params["id"])
    if session is None:
        raise _refuse(404, f"The simulator has no session {request.path_params['id']}.")
    return session


class Controls(Protocol):
    """One topic of the control."""

    def routes(self) -> list[BaseRoute]:
        """The routes, below `/_simulator`."""


class Control:
    """Answers the calls of tests and of the phone page, which no client of upstream knows."""

    def __init__(
        self,
        engine: Engine,
        links: Links,
        forget: Callable[[], None],
    ) -> None:
        """`forget` lets everything go that was simulated, but the account token."""
        self._engine = engine
        self._links = links
        self._forget = forget

    def routes(self) -> list[BaseRoute]:
        """The routes, below `/_simulator`."""
        one = "/sessions/{id:int}"
        return [
            Route("/sessions", self.sessions, methods=["GET"]),
            Route(one + "/scan", self.scan, methods=["POST"]),
            Route(one + "/unlink", self.unlink, methods=["POST"]),
            Route(one + "/expire", self.expire, methods=["POST"]),
            Route(one + "/rotate-qr", self.rotate, methods=["POST"]),
            Route(one + "/status", self.set_status, methods=["POST"]),
            Route("/faults", self.list_faults, methods=["GET"]),
            Route("/faults", self.add_fault, methods=["POST"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
            Route("/numbers", self.numbers, methods=["POST"]),
            Route("/deliveries", self.deliveries, methods=["GET"]),
            Route("/changes", self.changes, methods=["GET"]),
            Route("/settings", self.change_settings, methods=["POST"]),
            Route("/reset", self.reset, methods=["POST"]),
        ]

    def _session(self, request: Request) -> SimulatedSession:
        return session_of(self._engine, request)

    # ------------------------------------------------------------------ looking

    def shown(self, session: SimulatedSession) -> dict[str, Any]:
        """A session for the phone page: no key, no secret, and of the code only its end."""
        code = self._links.code_of(session)
        codes_shown, ends_at = self._links.progress_of(session)
        return {
            "id": session.id,
            "name": session.name,
            "phone_number": session.phone_number,
            "status": session.status,
            "code_tail": code[-12:] if code else None,
            "code_number": codes_shown if code else None,
            "max_codes": self._engine.settings.max_codes,
            "code_ends_at": ends_at if code else None,
            "webhook_enabled": session.webhook_enabled and bool(session.webhook_url),
            "webhook_events": session.webhook_events or [],
        }

    async def sessions(self, request: Request) -> Response:
        """All sessions with what the phone page shows of them, and the world's version."""
        shown = [self.shown(session) for session in self._engine.world.sessions.values()]
        return success(shown, version=self._engine.version)

    async def deliveries(self, request: Request) -> Response:
        """Webhooks that were sent or are waiting, newest first."""
        query = request.query_params
        session_id = query.get("session", "")
        rows = self._engine.webhooks.recent(
            session_id=int(session_id) if session_id.isdecimal() else None,
            event=query.get("event") or None,
            limit=min(int(query["limit"]), 500) if query.get("limit", "").isdecimal() else 100,
        )
        return success(rows)

    async def changes(self, request: Request) -> Response:
        """Waits until something is newer than `?after=`, at most 5 s."""
        after = request.query_params.get("after", "")
        version = await self._engine.wait_for_change(int(after) if after.isdecimal() else -1, WATCH_S)
        return success({"version": version})

    # ------------------------------------------------------------------ the phone

    async def scan(self, request: Request) -> Response:
        """The phone scans the code, or the one that the body names."""
        session = self._session(request)
        self._links.scan(session, (await replies.read_json(request)).get("code"))
        return success(self.shown(session))

    async def unlink(self, request: Request) -> Response:
        """The phone unlinks the session."""
        session = self._session(request)
        self._links.end(session, "logged_out")
        return success(self.shown(session))

    async def expire(self, request: Request) -> Response:
        """The link runs out."""
        session = self._session(request)
        self._links.end(session, "expired")
        return success(self.shown(session))

    async def rotate(self, request: Request) -> Response:
        """The code is replaced by the next one at once."""
        session = self._session(request)
        self._links.rotate(session)
        return success(self.shown(session))

    async def set_status(self, request: Request) -> Response:
        """The service says this status, a new one too, until something moves it."""
        session = self._session(request)
        status = (await replies.read_json(request)).get("status")
        if not isinstance(status, str) or not status:
            raise _refuse(422, "status must be a word.")
        self._engine.set_status(session, status)
        return success(self.shown(session))

    # ------------------------------------------------------------------ faults and the whole

    async def list_faults(self, request: Request) -> Response:
        """The faults that are switched on."""
        return success(self._engine.faults.listed())

    async def add_fault(self, request: Request) -> Response:
        """Switches a fault on."""
        switch = faults.parse_fault(await replies.read_json(request))
        if isinstance(switch, faults.Mode):
            self._engine.faults.modes.append(switch)
        else:
            self._engine.faults.requests.append(switch)
        return success(self._engine.faults.listed())

    async def clear_faults(self, request: Request) -> Response:
        """Switches all faults off, and lets the requests go that they hold."""
        self._engine.faults.clear()
        return success([])

    async def numbers(self, request: Request) -> Response:
        """Which numbers are not on WhatsApp."""
        wished = (await replies.read_json(request)).get("not_on_whatsapp")
        if not isinstance(wished, list):
            raise _refuse(422, "not_on_whatsapp must be a list of phone numbers.")
        self._engine.world.not_on_whatsapp = [identity.digits(str(number)) for number in wished]
        self._engine.changed()
        return success({"not_on_whatsapp": self._engine.world.not_on_whatsapp})

    async def change_settings(self, request: Request) -> Response:
        """How the simulated service behaves from now on; an empty object asks how it does."""
        wish = await replies.read_json(request)
        self._engine.settings = settings.changed(self._engine.settings, wish)
        return success({name: getattr(self._engine.settings, name) for name in sorted(settings.ADJUSTABLE)})

    async def reset(self, request: Request) -> Response:
        """Forgets everything but the account token. Ids go on, so that no number means two sessions."""
        self._forget()
        return success(None)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, Refusal):
        # The routes of the API read bodies with the same function, in the other envelope.
        text = error.body.get("error") or error.body.get("message")
        return _refuse(error.status, str(text)).response()
    status = 409 if isinstance(error, WrongState) else 422
    return _refuse(status, str(error)).response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = "The simulator has no such control." if error.status_code == 404 else error.detail
    return JSONResponse({"success": False, "error": text}, error.status_code, headers=error.headers)


def control_routes(*controls: Controls) -> list[BaseRoute]:
    """The routes of the control, which refuse callers from other machines."""
    handlers: dict[Any, Any] = dict.fromkeys((Refusal, WrongState, BadContent, ValueError), _refused)
    inner = Starlette(
        routes=[route for topic in controls for route in topic.routes()],
        exception_handlers=handlers | {HTTPException: _http_error},
    )
    inner.router.redirect_slashes = False
    return [Mount("", app=ControlGuard(inner))]

"""Who is calling, for every route but webhook, health and static files; and the ways to log in."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.domain.access import Principal, Role
from gateway.domain.errors import Forbidden, Invalid, Unauthenticated
from gateway.domain.session import iso_utc
from gateway.http.limits import RequestLimits, address_of
from gateway.http.responses import body_of, fields_of, success
from gateway.services.auth.login import EMBED_LIFE_S, LOGIN_LIFE_S, TICKET_LIFE_S, Login, TicketKind
from gateway.services.auth.origins import Origins

COOKIE = "gateway_login"

Endpoint = Callable[[Request], Awaitable[Response]]
GuardedEndpoint = Callable[[Request, Principal], Awaitable[Response]]


class Gate:
    """Turns a request into a principal."""

    def __init__(self, login: Login, origins: Origins, limits: RequestLimits) -> None:
        self._login = login
        self._origins = origins
        self.limits = limits

    def principal(self, request: Request) -> Principal:
        """Raises Unauthenticated; Forbidden when a foreign page tries to use the browser's cookie; RateLimited."""
        try:
            principal = self._verified(request)
        except Unauthenticated:
            self.limits.come_unknown(request)
            raise
        self.limits.come(request, principal)
        return principal

    def _verified(self, request: Request) -> Principal:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthenticated("Send the token as `Authorization: Bearer …`.")
            return self._login.verify(token.strip())
        cookie = request.cookies.get(COOKIE)
        if not cookie:
            raise Unauthenticated("Log in first: with a login link, or with `Authorization: Bearer …`.")
        if not self._origins.allows(request.headers.get("origin"), request.headers.get("host")):
            raise Forbidden("This page may not use the login of the browser. See GATEWAY_ALLOWED_ORIGINS.")
        return self._login.verify(cookie)

    def guard(self, endpoint: GuardedEndpoint) -> Endpoint:
        """The endpoint behind the gate: it is called with the principal, or not at all."""

        async def guarded(request: Request) -> Response:
            principal = self.principal(request)
            async with self.limits.work(request, principal):
                return await endpoint(request, principal)

        setattr(guarded, "is_guarded", True)  # noqa: B010  functions have no such attribute
        return guarded


class AuthRoutes:
    """Logs people in and out, makes and takes tickets, and says who is logged in."""

    def __init__(self, gate: Gate, login: Login, ui: Path, about: dict[str, Any], *, is_https: bool) -> None:
        """`about` is what the page should know of this gateway; it goes into /api/me.

        `is_https`: browsers reach us by HTTPS, though it ends in a proxy before us.
        """
        self._is_https = is_https
        self._gate = gate
        self._login = login
        self._ui = ui
        self._about = about

    def routes(self) -> list[Route]:
        """The routes; all but the ways to log in are behind the gate."""
        return [
            Route("/login", self._login_page, methods=["GET"]),
            Route("/login", self._redeem_login, methods=["POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/api/me", self._gate.guard(self._me), methods=["GET"]),
            Route("/api/tickets", self._gate.guard(self._make_ticket), methods=["POST"]),
            Route("/api/tickets/redeem", self._redeem_ticket, methods=["POST"]),
        ]

    async def _login_page(self, request: Request) -> Response:
        # Only shows a button: link previews and virus scanners open links, and must not use the ticket up.
        return HTMLResponse(
            (self._ui / "login.html").read_text(encoding="utf-8"), headers={"Cache-Control": "no-store"}
        )

    async def _redeem_login(self, request: Request) -> Response:
        ticket = request.query_params.get("ticket") or await _ticket_in_body(request)
        try:
            principal = await self._login.use_ticket(ticket, ("login",))
        except Unauthenticated:
            if "text/html" in request.headers.get("accept", ""):
                return RedirectResponse("/login?used=1", 303)
            raise
        token, expires_at = self._login.issue(principal, LOGIN_LIFE_S)
        if "text/html" in request.headers.get("accept", ""):
            reply: Response = RedirectResponse("/", 303)
        else:
            reply = success({"expires_at": expires_at})
        self._set_cookie(reply, request, token, LOGIN_LIFE_S)
        return reply

    async def _logout(self, request: Request) -> Response:
        self._gate.principal(request)
        reply = success(None)
        reply.delete_cookie(COOKIE, path="/")
        return reply

    async def _me(self, request: Request, principal: Principal) -> Response:
        sessions = "*" if principal.sessions is None else sorted(principal.sessions)
        data = {
            **self._about,
            "sub": principal.sub,
            "name": principal.name,
            "role": principal.role.word,
            "sessions": sessions,
            "expires_at": principal.expires_at,
        }
        return success(data, headers={"Cache-Control": "no-store"})

    async def _make_ticket(self, request: Request, principal: Principal) -> Response:
        fields = await fields_of(request)
        self._gate.limits.rates.ticket(
            principal, address_of(request.scope), for_other=fields.get("sub", principal.sub) != principal.sub
        )
        kind = fields.get("for", "ws")
        if kind not in ("ws", "embed"):
            raise Invalid('`for` must be "ws" or "embed".')
        role = None if fields.get("role") is None else Role.parse(fields["role"])
        wished = fields.get("sessions")
        narrowed = principal.narrowed(role, None if wished in (None, "*") else _ids(wished))
        ticket = await self._login.make_ticket(kind, narrowed, TICKET_LIFE_S)
        return success(
            {"ticket": ticket, "expires_in_s": TICKET_LIFE_S}, headers={"Cache-Control": "no-store"}
        )

    async def _redeem_ticket(self, request: Request) -> Response:
        fields = await fields_of(request)
        kinds: tuple[TicketKind, ...] = ("ws", "embed")
        principal = await self._login.use_ticket(str(fields.get("ticket") or ""), kinds)
        # A ticket must not outlive the login that asked for it: a minute's rights would be for ever.
        left_s = EMBED_LIFE_S if principal.expires_at is None else principal.expires_at - time.time()
        if left_s <= 0:
            raise Unauthenticated("The login that asked for this ticket has expired.")
        token, expires_at = self._login.issue(principal, min(EMBED_LIFE_S, left_s))
        data = {"token": token, "expires_at": iso_utc(datetime.fromtimestamp(expires_at, UTC))}
        return success(data, headers={"Cache-Control": "no-store"})

    def _set_cookie(self, reply: Response, request: Request, token: str, life_s: int) -> None:
        reply.set_cookie(
            COOKIE,
            token,
            max_age=life_s,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self._is_https or request.url.scheme == "https",
        )


async def _ticket_in_body(request: Request) -> str:
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        return str((await fields_of(request)).get("ticket") or "")
    return parse_qs((await body_of(request)).decode("utf-8", "replace")).get("ticket", [""])[0]


def _ids(value: object) -> list[int]:
    if isinstance(value, list) and all(
        isinstance(item, int) and not isinstance(item, bool) for item in value
    ):
        return value
    raise Invalid('`sessions` must be a list of session ids, or "*".')

"""Who is calling, for every route behind the gate; and the ways to log in.

Without the gate are webhooks, logins, health, the API's description, static files, and 404s for Supabase."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal, Role
from gateway.domain.errors import Forbidden, GatewayError, Invalid, Unauthenticated
from gateway.domain.session import iso_utc
from gateway.http.api.account_schemas import LoginFields
from gateway.http.api.schemas import TicketToRedeem, TicketWish
from gateway.http.limits import RequestLimits, address_of
from gateway.http.page_files import PageFiles
from gateway.http.requests import body_as, checked
from gateway.http.responses import body_of, fields_of, success
from gateway.services.auth.access_log import AccessLog
from gateway.services.auth.claims import (
    MAX_GROUNDS,
    PERSON,
    sessions_word,
    text_claim,
)
from gateway.services.auth.login import EMBED_LIFE_S, LOGIN_LIFE_S, TICKET_LIFE_S, Login, TicketKind
from gateway.services.auth.login_cookie import BASE, LoginCookie
from gateway.services.auth.logins import Logins, Visitor
from gateway.services.auth.origins import Origins

COOKIE = BASE
"""How the name of the page's cookie begins; the rest is the installation's."""

SAFE = ("GET", "HEAD", "OPTIONS")

Endpoint = Callable[[Request], Awaitable[Response]]
GuardedEndpoint = Callable[[Request, Principal], Awaitable[Response]]


class Gate:
    """Turns a request into a principal. `logins` hears of each use, `log` of each refusal."""

    def __init__(
        self,
        login: Login,
        origins: Origins,
        limits: RequestLimits,
        cookie: LoginCookie | None = None,
        logins: Logins | None = None,
        log: AccessLog | None = None,
    ) -> None:
        self._login = login
        self._origins = origins
        self.limits = limits
        self.cookie = cookie or LoginCookie("")
        self._logins = logins
        self._log = log

    async def principal(self, request: Request) -> Principal:
        """Raises Unauthenticated; Forbidden when a foreign page tries to use the browser's cookie; RateLimited."""
        try:
            principal = await self._verified(request)
        except Unauthenticated:
            self.limits.come_unknown(request)
            raise
        self.limits.come(request, principal)
        return principal

    async def _verified(self, request: Request) -> Principal:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthenticated("Send the token as `Authorization: Bearer …`.")
            return await self._check(token.strip(), request)
        cookie = self.cookie.read(request.cookies, request.url.scheme)
        if not cookie:
            raise Unauthenticated("Log in first: with a login link, or with `Authorization: Bearer …`.")
        self._require_page(request)
        principal = await self._check(cookie, request)
        if self._logins is not None:
            self._logins.saw(principal)
        return replace(principal, by_cookie=True)

    async def _check(self, token: str, request: Request) -> Principal:
        try:
            return await self._login.check(token)
        except Unauthenticated as error:
            if self._log is not None:
                self._log.refused("token_refused", address_of(request.scope), error.message)
            raise

    def _require_page(self, request: Request) -> None:
        """Raises Forbidden if a foreign page makes the browser send its cookie along."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        host = request.headers.get("host")
        is_own_null = origin == "null" and site == "same-origin"  # by a page that does not tell where it is
        if not self._origins.allows(None if is_own_null else origin, host) or (
            request.method not in SAFE and not origin and site not in (None, "same-origin", "none")
        ):
            raise Forbidden("This page may not use the login of the browser. See GATEWAY_ALLOWED_ORIGINS.")

    def require_own_page(self, request: Request) -> None:
        """Raises Forbidden if a foreign page makes the browser log in as a person of its choice."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        is_own_null = origin == "null" and site == "same-origin"
        is_own = not origin or is_own_null or self._origins.is_own(origin, request.headers.get("host"))
        if not is_own or site not in (None, "same-origin", "none"):
            raise Forbidden("Only the gateway's own page may log in.")

    def guard(self, endpoint: GuardedEndpoint) -> Endpoint:
        """The endpoint behind the gate: it is called with the principal, or not at all."""

        async def guarded(request: Request) -> Response:
            principal = await self.principal(request)
            async with self.limits.work(request, principal):
                return await endpoint(request, principal)

        setattr(guarded, "is_guarded", True)  # noqa: B010  functions have no such attribute
        return guarded


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What the page stands on."""

    files: PageFiles
    about: Mapping[str, Any]
    """What the page should know of this gateway; it goes into /api/me."""

    prefix: str = ""
    """The path under which a proxy serves us."""


class AuthRoutes:
    """Logs people in and out, makes and takes tickets, and says who is logged in."""

    def __init__(
        self,
        gate: Gate,
        login: Login,
        logins: Logins,
        log: AccessLog,
        page: PageSettings,
    ) -> None:
        self._gate = gate
        self._login = login
        self._logins = logins
        self._log = log
        self._page = page

    def routes(self) -> list[Route]:
        """The routes; all but the ways to log in are behind the gate."""
        return [
            Route("/login", self._login_page, methods=["GET"]),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._gate.guard(self._logout), methods=["POST"]),
            Route("/api/me", self._gate.guard(self._me), methods=["GET"]),
            Route("/api/tickets", self._gate.guard(self._make_ticket), methods=["POST"]),
            Route("/api/tickets/redeem", self._redeem_ticket, methods=["POST"]),
        ]

    async def _login_page(self, request: Request) -> Response:
        # Only shows a button: link previews and virus scanners open links, and must not use the ticket up.
        # A form must say which page it is of, and a link must not tell others its ticket.
        return self._page.files.page("login.html", {"Referrer-Policy": "same-origin"})

    async def _log_in(self, request: Request) -> Response:
        """By name and password, or by the ticket of a link."""
        self._gate.require_own_page(request)
        wish = checked(LoginFields, await _login_fields(request))
        is_by_name = "name" in wish.model_fields_set
        wants_page = "text/html" in request.headers.get("accept", "")
        visitor = visitor_of(request)
        try:
            if wish.ticket or not is_by_name:
                token, expires_at = await self._logins.by_link(wish.ticket, visitor)
            else:
                token, expires_at = await self._logins.by_password(wish.name, wish.password, visitor)
        except GatewayError as error:
            if wants_page and not isinstance(error, Invalid):
                why = "used" if isinstance(error, Unauthenticated) and not is_by_name else error.code
                return RedirectResponse(f"{self._page.prefix}/login?{why}=1", 303)
            raise
        if wants_page:
            reply: Response = RedirectResponse(f"{self._page.prefix}/", 303)
        else:
            reply = success({"expires_at": expires_at}, headers={"Cache-Control": "no-store"})
        self._set_cookie(reply, request, token, LOGIN_LIFE_S)
        return reply

    async def _logout(self, request: Request, principal: Principal) -> Response:
        await self._logins.leave(principal)
        reply = success(None)
        self._set_cookie(reply, request, "", 0)
        return reply

    async def _me(self, request: Request, principal: Principal) -> Response:
        data = {
            **self._page.about,
            "sub": principal.sub,
            "name": principal.name,
            "role": principal.role.word,
            "sessions": sessions_word(principal.sessions),
            "expires_at": principal.expires_at,
        }
        return success(data, headers={"Cache-Control": "no-store"})

    async def _make_ticket(self, request: Request, principal: Principal) -> Response:
        wish = await body_as(request, TicketWish)
        is_for_other = (
            wish.sub not in (None, principal.sub) and not principal.by_cookie and principal.can(Act.SEND)
        )
        self._gate.limits.rates.ticket(principal, address_of(request.scope), for_other=is_for_other)
        role = None if wish.role is None else Role.parse(wish.role)
        meant = principal.narrowed(role, wish.sessions if isinstance(wish.sessions, list) else None)
        meant = _named(meant, wish, principal)
        if len(meant.grounds) >= MAX_GROUNDS:
            raise Forbidden("This login was made from too many others. Log in anew.")
        ticket = await self._login.make_ticket(wish.purpose, meant, TICKET_LIFE_S)
        await self._log.note(
            "ticket_made",
            meant.sub,
            meant.name,
            principal,
            address_of(request.scope),
            purpose=wish.purpose,
            role=meant.role.word,
        )
        return success(
            {"ticket": ticket, "expires_in_s": TICKET_LIFE_S}, headers={"Cache-Control": "no-store"}
        )

    async def _redeem_ticket(self, request: Request) -> Response:
        kinds: tuple[TicketKind, ...] = ("ws", "embed")
        ticket = (await body_as(request, TicketToRedeem)).ticket
        principal = await self._login.use_ticket(ticket, kinds)
        # The token ends with the login that asked for the ticket: otherwise tickets would renew it for ever.
        left_s = EMBED_LIFE_S if principal.expires_at is None else principal.expires_at - time.time()
        if left_s <= 0:
            raise Unauthenticated("The login that asked for this ticket has expired.")
        token, expires_at = self._login.issue(principal, min(EMBED_LIFE_S, left_s))
        data = {"token": token, "expires_at": iso_utc(datetime.fromtimestamp(expires_at, UTC))}
        return success(data, headers={"Cache-Control": "no-store"})

    def _set_cookie(self, reply: Response, request: Request, token: str, life_s: int) -> None:
        cookie, scheme = self._gate.cookie, request.url.scheme
        reply.set_cookie(
            cookie.name(scheme),
            token,
            max_age=life_s,
            path=cookie.path,
            httponly=True,
            samesite="lax",
            secure=cookie.is_secure(scheme),
        )


def visitor_of(request: Request) -> Visitor:
    """Who stands at the login."""
    return Visitor(address_of(request.scope), request.headers.get("user-agent"))


def _named(principal: Principal, wish: TicketWish, maker: Principal) -> Principal:
    """The principal as the person whom the ticket is for, if it names one. Raises Forbidden or Invalid."""
    if wish.sub is None and wish.name is None:
        return principal
    fields = wish.model_dump()
    maker.require(Act.SEND)
    if maker.by_cookie:
        raise Forbidden("Only a Bearer token may make tickets for others.")
    try:
        sub = text_claim(fields, "sub") or principal.sub
        name = text_claim(fields, "name") or (principal.name if sub == principal.sub else sub)
    except ValueError as error:
        raise Invalid(f"{error}.") from None
    if sub.startswith(PERSON) and sub != maker.sub:
        raise Forbidden(f"A ticket cannot be for {sub}: that is a person who logs in here.")
    return replace(principal, sub=sub, name=name)


async def _login_fields(request: Request) -> dict[str, Any]:
    """What a login form or a program sends: `ticket`, or `name` and `password`."""
    ticket = request.query_params.get("ticket")
    if ticket:
        return {"ticket": ticket}
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        return await fields_of(request)
    found = parse_qs((await body_of(request)).decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in found.items()}

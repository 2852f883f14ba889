"""Who may open a socket: the page's origin, then a token, a ticket, the page's cookie, or a first frame."""

import asyncio

from starlette.requests import cookie_parser
from starlette.websockets import WebSocket

from gateway.domain.access import Principal
from gateway.domain.errors import GatewayError, RateLimited, StoreUnavailable, Unauthenticated
from gateway.realtime import close_codes
from gateway.realtime.native import protocol
from gateway.realtime.transport.socket_transport import SocketTransport
from gateway.services.auth.login import Login
from gateway.services.auth.login_cookie import LoginCookie
from gateway.services.auth.origins import Origins
from gateway.services.rates import Rates


class SocketRefused(Exception):
    """The socket must be closed, with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class SocketAuthentication:
    """Finds out who opens a socket, in whichever way the client says it."""

    def __init__(
        self, login: Login, origins: Origins, cookie: LoginCookie, rates: Rates, first_frame_s: float
    ) -> None:
        """`first_frame_s` is how long the first frame may take, where nothing else says who is calling."""
        self._login = login
        self._origins = origins
        self._cookie = cookie
        self._rates = rates
        self._first_frame_s = first_frame_s

    async def principal(self, socket: WebSocket) -> Principal:
        """Who is calling. Raises SocketRefused."""
        # First of all: a foreign page must neither use the browser's cookie nor use a ticket up.
        if not self._origins.allows(socket.headers.get("origin"), socket.headers.get("host")):
            raise SocketRefused(close_codes.FORBIDDEN, "this page may not connect")
        try:
            return await self._authenticate(socket)
        except RateLimited:
            raise SocketRefused(close_codes.OVERLOAD, "too many tickets at once, come back soon") from None
        except StoreUnavailable:
            raise SocketRefused(close_codes.OVERLOAD, "the database is away, come back soon") from None
        except GatewayError as error:
            raise SocketRefused(close_codes.UNAUTHORISED, error.message) from None

    async def _authenticate(self, socket: WebSocket) -> Principal:
        scheme, _, token = socket.headers.get("authorization", "").partition(" ")
        if scheme:
            return await self._login.check(token.strip())
        ticket = socket.query_params.get("ticket")
        if ticket:
            # A guessed one costs as much of Postgres as a good one.
            self._rates.request(None, socket.client.host if socket.client else "")
            return await self._login.use_ticket(ticket, ("ws", "embed"))
        cookie = self._cookie.read(cookie_parser(socket.headers.get("cookie", "")), socket.url.scheme)
        if cookie:
            return await self._login.check(cookie)
        return await self._login.check(await _token_of_first_frame(socket, self._first_frame_s))


async def _token_of_first_frame(socket: WebSocket, within_s: float) -> str:
    try:
        async with asyncio.timeout(within_s):
            text = await socket.receive_text()
    except TimeoutError:
        raise Unauthenticated(f"say who you are within {within_s:g} seconds") from None
    except KeyError:
        raise SocketRefused(close_codes.BAD_FRAME, "text frames only") from None
    try:
        first = protocol.parse(text)
    except protocol.BadFrame as error:
        if error.is_fatal:
            raise SocketRefused(close_codes.BAD_FRAME, error.message) from None
        raise Unauthenticated("the first frame must say who you are") from None
    if not isinstance(first, protocol.Auth):
        raise Unauthenticated("the first frame must say who you are")
    return first.token


async def refuse(socket: WebSocket, transport: SocketTransport, code: int, reason: str) -> None:
    """Closes an accepted socket with the reason, and returns when it is gone."""
    # RFC 6455 §5.5: a control frame's payload ends at 125 bytes, two of which are the code.
    transport.close(code, reason.encode()[:120].decode("utf-8", "ignore"))
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass

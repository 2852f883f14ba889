"""The page itself, with the headers that keep foreign scripts out of it."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Message, Scope, Send

from gateway.domain.errors import GatewayError, NotFound, Unavailable, UpgradeRequired
from gateway.http.auth import Gate
from gateway.http.observed import NAME, STATUS
from gateway.http.page_files import PageFiles
from gateway.services.log_context import REQUEST_ID

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self' ws: wss:; "
    "font-src 'self'; media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors {frames}"
)

_HSTS = (b"strict-transport-security", b"max-age=31536000")

_ANY = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]


# What takes the headers of a handshake away, and how it lets them through.
_NGINX = (
    'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
)
_CADDY = (
    "`reverse_proxy` lets WebSockets through by itself: remove `header_up -Connection`, `header_up -Upgrade` and "
    "`transport http { versions 2 }` from it"
)


_ASKED_BY_THE_INBOX = (
    "/api/me",
    "/api/conversations?filter=all&limit=50&position=page",
    "/api/whatsapp-sessions?limit=200",
)
"""What the script of the inbox asks for first, to the letter: else the browser would ask twice."""


class PageRoutes:
    """Serves the page and its files."""

    def __init__(self, gate: Gate, files: PageFiles, prefix: str = "") -> None:
        """`prefix` is the path under which a proxy serves us."""
        self._gate = gate
        self._files = files
        self._prefix = prefix

    def routes(self) -> list[BaseRoute]:
        """The routes, and a sentence for what only Supabase itself serves."""
        return [
            # One page: its script shows what the address names.
            *(
                Route(path, self._page, methods=["GET"])
                for path in ("/", "/people", "/account", "/targets", "/admin")
            ),
            Route("/favicon.ico", self._favicon, methods=["GET"]),
            # Supabase's client sends `.from()` and broadcasts here, too: they get a sentence, only channels are served.
            Route("/rest/v1", self._no_rest, methods=_ANY),
            Route("/rest/v1/{rest:path}", self._no_rest, methods=_ANY),
            Route("/realtime/v1/api/{rest:path}", self._no_broadcast, methods=_ANY),
            # With `Upgrade` these are sockets, and served elsewhere.
            Route("/ws", self._no_socket, methods=_ANY),
            Route("/realtime/v1/websocket", self._no_socket, methods=_ANY),
            Mount("/ui", self._files),
        ]

    async def _page(self, request: Request) -> Response:
        try:
            await self._gate.principal(request)
        except Unavailable:
            raise
        except GatewayError:
            return RedirectResponse(f"{self._prefix}/login", 303)
        early = _ASKED_BY_THE_INBOX if request.scope["path"] == "/" else ()
        return self._files.page("index.html", early=early)

    async def _favicon(self, request: Request) -> Response:
        return RedirectResponse(f"{self._prefix}/ui/favicon.svg", 308)

    async def _no_rest(self, request: Request) -> Response:
        raise NotFound(
            "This is the realtime gateway; tables are not served here. Keep your Supabase or database client for "
            "`.from()`, and use this URL for `.channel()` only."
        )

    async def _no_socket(self, request: Request) -> Response:
        missing = _missing_of_handshake(request)
        raise UpgradeRequired(
            f"This address speaks WebSocket only, and the request came without {' and '.join(missing)}. If the client "
            f"sent it, a proxy in front has taken it away. nginx needs in its `location`: {_NGINX} Caddy: {_CADDY}.",
            details={"missing": missing, "nginx": _NGINX, "caddy": _CADDY},
        )

    async def _no_broadcast(self, request: Request) -> Response:
        raise NotFound("Broadcast is not served here; keep your Supabase client for it.")


def _missing_of_handshake(request: Request) -> list[str]:
    """What the request lacks to be a handshake, as it should have been."""
    tokens = {token.strip().lower() for token in request.headers.get("connection", "").split(",")}
    missing = [] if request.scope.get("http_version") != "1.0" else ["HTTP/1.1"]
    if request.headers.get("upgrade", "").strip().lower() != "websocket":
        missing.append("`Upgrade: websocket`")
    if "upgrade" not in tokens:
        missing.append("`Connection: Upgrade`")
    return missing or ["a handshake"]


_REQUEST_ID = REQUEST_ID.encode()


class SecurityHeaders:
    """Adds security headers and the request's id to every answer; a route's own header of the same name wins."""

    def __init__(self, frame_ancestors: tuple[str, ...] = (), *, is_https: bool = False) -> None:
        csp = _CSP.format(frames=" ".join(("'self'", *frame_ancestors)))
        self._is_https = is_https
        self._headers = [
            (b"content-security-policy", csp.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
        ]

    def added_to(self, send: Send, scope: Scope) -> Send:
        """What sends an answer with them."""
        headers = self._headers
        if self._is_https or scope.get("scheme") == "https":
            headers = [*headers, _HSTS]
        if NAME in scope:
            headers = [*headers, (_REQUEST_ID, scope[NAME].encode())]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope[STATUS] = message["status"]
                given = message.get("headers", ())
                present = {name.lower() for name, _ in given}
                message = {
                    **message,
                    "headers": [*given, *(item for item in headers if item[0] not in present)],
                }
            await send(message)

        return send_with_headers

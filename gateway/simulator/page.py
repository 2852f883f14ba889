"""The phone page: static files under a policy that lets no foreign script, style or frame in."""

from importlib import resources
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import Scope

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_ASSETS = frozenset({"phone.js", "chat.js", "control.js", "files.js", "phone.css", "chat.css"})


def _file(name: str) -> Response:
    content = (resources.files(__package__) / "static" / name).read_bytes()
    return Response(content, media_type=f"{_TYPES[Path(name).suffix]}; charset=utf-8", headers=_HEADERS)


async def _page(request: Request) -> Response:
    return _file("phone.html")


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    return _file(name) if name in _ASSETS else Response("Not found.", 404, media_type="text/plain")


class PageMount(Mount):
    """Mounts the page so that its address answers with and without a slash at the end.

    Starlette would redirect from the one to the other. Its redirect names the host as the client wrote it, and the
    gateway's application has such redirects turned off.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette's, with the bare address taken as the one with a slash."""
        if scope["type"] != "http" or scope["path"].removeprefix(scope.get("root_path", "")) != self.path:
            return super().matches(scope)
        with_slash = scope["path"] + "/"
        match, child = super().matches({**scope, "path": with_slash})
        return match, {**child, "path": with_slash}


def page_routes() -> list[BaseRoute]:
    """The page and its files, below the address of the page."""
    return [
        Route("/", _page, methods=["GET"]),
        Route("/static/{name}", _asset, methods=["GET"]),
    ]

"""What the API is: for programs at /openapi.json and /asyncapi.json, for people at /docs. Open to every caller."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http.page_files import PageFiles

# Tighter than the inbox page: nothing but its own files, and never in a frame.
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class DocsRoutes:
    """Serves both descriptions and their page."""

    def __init__(self, files: PageFiles, openapi: bytes, asyncapi: bytes) -> None:
        """`openapi` describes REST and `asyncapi` the WebSockets, both as JSON."""
        self._files = files
        self._rest = openapi
        self._websockets = asyncapi

    def routes(self) -> list[Route]:
        """The routes, open to every caller."""
        return [
            Route("/openapi.json", self._openapi, methods=["GET"]),
            Route("/asyncapi.json", self._asyncapi, methods=["GET"]),
            Route("/docs", self._docs, methods=["GET"]),
        ]

    async def _openapi(self, request: Request) -> Response:
        return _json(self._rest)

    async def _asyncapi(self, request: Request) -> Response:
        return _json(self._websockets)

    async def _docs(self, request: Request) -> Response:
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _CSP}
        return self._files.page("docs/docs.html", headers)


def _json(text: bytes) -> Response:
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-cache"})

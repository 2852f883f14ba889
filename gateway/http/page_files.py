"""The page's files in memory: joined, compressed, and under a prefix that changes with their content."""

import gzip
import hashlib
import html
import mimetypes
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import brotli
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.domain.errors import NotFound
from gateway.http.errors import error_reply
from gateway.http.page_modules import join_modules, join_styles

_ENTRIES = frozenset({"app.js", "login.js", "embed.js", "client.js", "docs/docs.js", "gallery/gallery.js"})
"""Scripts that a page or another site names: each is served with all that it imports."""

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    # Guessed by its name, `.ts` would be served as a video.
    ".ts": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_VERSIONED = re.compile(r"^(?P<version>[0-9a-f]{12})/(?P<name>.+)$")
_WORTH_COMPRESSING = 400
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    media_type: str
    etag: str
    bodies: dict[str, bytes]
    """By content encoding; `identity` is always there."""


class PageFiles:
    """All files of the page, as one ASGI application, and the pages that name them."""

    def __init__(self, ui: Path, prefix: str = "") -> None:
        """`prefix` is the path under which a proxy serves us. Raises CannotJoin."""
        self.version, self._files, self._pages = _load(ui)
        self._prefix = prefix

    @property
    def base(self) -> str:
        """The address below which the files of this version are."""
        return f"{self._prefix}/ui/{self.version}"

    def page(self, name: str, headers: dict[str, str] | None = None, early: Iterable[str] = ()) -> Response:
        """An HTML page whose `{ui}` is the address of the files.

        `early` are the addresses that its script asks for first: the browser asks for them while the script comes.
        """
        text = self._pages[name].replace("{early}", "".join(map(self._asked_early, early)))
        text = text.replace("{ui}", self.base).replace("{prefix}", self._prefix)
        return HTMLResponse(text, headers={"Cache-Control": "no-store", **(headers or {})})

    def _asked_early(self, address: str) -> str:
        href = html.escape(f"{self._prefix}{address}")
        return f'    <link rel="preload" as="fetch" crossorigin href="{href}">\n'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers for one file, below the path where it is mounted."""
        request = Request(scope, receive)
        path = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        await self._answer(request, path)(scope, receive, send)

    def _answer(self, request: Request, path: str) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(status_code=405, headers={"Allow": "GET, HEAD"})
        if path == "gallery":
            return self.page("gallery/gallery.html")
        versioned = _VERSIONED.match(path)
        file = self._files.get(versioned["name"] if versioned else path)
        if file is None:
            return error_reply(NotFound("The page has no such file."))
        caching = "no-cache"
        if versioned:
            # Another version is a neighbour's, in a rolling upgrade: its page gets what we have, and keeps none.
            caching = _FOR_EVER if versioned["version"] == self.version else "no-store"
        headers = {"Cache-Control": caching, "ETag": file.etag, "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        encoding = _encoding_for(request.headers.get("accept-encoding", ""), file)
        if encoding != "identity":
            headers["Content-Encoding"] = encoding
        return Response(file.bodies[encoding], media_type=file.media_type, headers=headers)


def _encoding_for(accepted: str, file: _File) -> str:
    wanted = dict(_accepted(accepted))
    return next((name for name in ("br", "gzip") if name in file.bodies and wanted.get(name)), "identity")


def _accepted(text: str) -> Iterator[tuple[str, bool]]:
    for part in text.lower().split(","):
        name, _, quality = part.partition(";")
        yield name.strip(), quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")


@lru_cache(maxsize=2)
def _load(ui: Path) -> tuple[str, dict[str, _File], dict[str, str]]:
    found = sorted(path for path in ui.rglob("*") if path.is_file() and path.name != "package.json")
    raw = {path.relative_to(ui).as_posix(): path.read_bytes() for path in found}
    version = hashlib.sha256(b"\0".join(part for item in raw.items() for part in (item[0].encode(), item[1])))
    texts = {name: body.decode() for name, body in raw.items() if name.endswith((".js", ".css", ".html"))}
    pages = {name: texts[name] for name in raw if name.endswith(".html")}
    files = {name: _file(name, _joined(name, raw[name], texts)) for name in raw if name not in pages}
    return version.hexdigest()[:12], files, pages


def _joined(name: str, body: bytes, texts: dict[str, str]) -> bytes:
    if name in _ENTRIES:
        return join_modules(name, texts).encode()
    return join_styles(name, texts).encode() if name.endswith(".css") else body


def _file(name: str, body: bytes) -> _File:
    suffix = Path(name).suffix
    media_type = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    bodies = {"identity": body}
    if len(body) > _WORTH_COMPRESSING and suffix not in (".png", ".woff2"):
        bodies["gzip"] = gzip.compress(body, 9, mtime=0)
        # 11 takes ten times as long, and every start of a gateway would wait for it.
        quality = 9 if name in _ENTRIES else 5
        bodies["br"] = brotli.compress(body, mode=brotli.MODE_TEXT, quality=quality)
    return _File(media_type, f'"{hashlib.sha256(body).hexdigest()[:16]}"', bodies)

"""`/api/media`: files of messages, streamed to those who may read the message."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.domain.access import Principal
from gateway.domain.errors import Invalid, TooLarge, Unauthenticated
from gateway.domain.media import MIB
from gateway.domain.session import iso_utc
from gateway.http.api.media_schemas import MediaIds, MediaQuery, UploadQuery
from gateway.http.auth import Endpoint, Gate
from gateway.http.requests import body_as, query_of
from gateway.http.responses import success
from gateway.services.auth.login import Login
from gateway.services.body_budget import BODY
from gateway.services.media.links import LINK_LIFE_S, MediaLinks
from gateway.services.media.service import File, MediaService
from gateway.services.media.uploads import MOST_BYTES, Uploads

_MEDIA = "/api/media/{media}"
_RANGE = re.compile(r"(?i:bytes)=[ \t]*(\d*)-(\d*)[ \t]*", re.ASCII)
_SAFE = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    # A page that embeds us is of another origin; who may read a file is decided by login or link, not by this.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Vary": "Cookie, Authorization",
}
_EXTENSIONS = {
    "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/gif": "gif", "video/mp4": "mp4",
    "video/3gpp": "3gp", "audio/ogg": "ogg", "audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/aac": "aac",
    "audio/amr": "amr", "application/pdf": "pdf", "text/plain": "txt", "application/zip": "zip", "text/vcard": "vcf",
}  # fmt: skip


class MediaRoutes:
    """Gives files out."""

    def __init__(
        self,
        gate: Gate,
        login: Login,
        media: MediaService,
        uploads: Uploads,
        links: MediaLinks,
        *,
        prefix: str = "",
    ) -> None:
        """`links` makes and reads addresses for pages without a cookie; `prefix` is the path of a proxy."""
        self._uploads = uploads
        self._gate = gate
        self._login = login
        self._media = media
        self._links = links
        self._prefix = prefix

    def routes(self) -> list[Route]:
        """The routes; a file may also be had by a link, which is looked at here."""
        guard = self._gate.guard
        return [
            Route("/api/media", guard(self._upload), methods=["POST"]),
            Route("/api/media/links", guard(self._make_links), methods=["POST"]),
            Route(_MEDIA, self._guarded(), methods=["GET"]),
        ]

    async def _upload(self, request: Request, principal: Principal) -> Response:
        row = await self._uploads.take(
            streamed(request),
            request.headers.get("content-type"),
            query_of(request, UploadQuery).name or None,
            principal,
        )
        said = {"id": row.id, "kind": row.kind, "mime": row.mime, "bytes": row.bytes, "name": row.name}
        return success(said, 201)

    async def _make_links(self, request: Request, principal: Principal) -> Response:
        ids = (await body_as(request, MediaIds)).ids
        made: dict[str, str] = {}
        ends_at = 0.0
        for media_id in dict.fromkeys(ids):
            row = await self._media.allowed(media_id, principal)
            token, ends_at = self._links.make(row.id, principal)
            made[media_id] = f"{self._prefix}/api/media/{row.id}?link={token}"
        return success(
            {
                "links": made,
                "expires_at": iso_utc(datetime.fromtimestamp(ends_at, UTC)),
                "life_s": LINK_LIFE_S,
            },
            headers={"Cache-Control": "no-store"},
        )

    def _guarded(self) -> Endpoint:
        """The file behind the gate, or behind a link."""
        by_login = self._gate.guard(self._show)

        async def guarded(request: Request) -> Response:
            token = request.query_params.get("link")
            if not token or "authorization" in request.headers:
                return await by_login(request)
            return await self._by_link(request, token)

        setattr(guarded, "is_guarded", True)  # noqa: B010  functions have no such attribute
        return guarded

    async def _by_link(self, request: Request, token: str) -> Response:
        try:
            principal = self._links.read(request.path_params["media"], token)
            await self._login.look()
            principal = self._login.current(principal)
        except Unauthenticated:
            self._gate.limits.come_unknown(request)
            raise
        self._gate.limits.come(request, principal)
        return await self._show(request, principal)

    async def _show(self, request: Request, principal: Principal) -> Response:
        file = await self._media.file(request.path_params["media"], principal)
        asked = query_of(request, MediaQuery)
        if asked.size == "thumb":
            return await self._thumb(request, file)
        etag = f'"{file.sha256}"'
        headers = {
            **_SAFE,
            "ETag": etag,
            "Accept-Ranges": "bytes",
            **_shown_as(file, bool(asked.download)),
        }
        if _is_known(request, etag):
            return Response(
                None, 304, headers={name: headers[name] for name in ("ETag", "Cache-Control", "Vary")}
            )
        wish = _range_of(request, etag, file.bytes)
        if wish is None:
            headers |= {"Content-Range": f"bytes */{file.bytes}", "Content-Type": "text/plain"}
            return Response(None, 416, headers=headers)
        start, end, is_part = wish
        headers["Content-Length"] = str(end - start)
        if is_part:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.bytes}"
        pieces = _nothing() if request.method == "HEAD" else await self._media.read(file, start, end)
        return StreamingResponse(pieces, 206 if is_part else 200, headers)

    async def _thumb(self, request: Request, file: File) -> Response:
        etag = f'"{file.sha256}-thumb"'
        headers = {**_SAFE, "ETag": etag, "Content-Type": "image/jpeg", "Content-Disposition": "inline"}
        if _is_known(request, etag):
            return Response(
                None, 304, headers={name: headers[name] for name in ("ETag", "Cache-Control", "Vary")}
            )
        return Response(await self._media.small_picture(file), headers=headers)


async def streamed(request: Request, limit: int = MOST_BYTES) -> AsyncIterator[bytes]:
    """The body as it comes: only what is on its way is in memory. Raises Invalid where it breaks off."""
    lease = request.scope.get(BODY)
    if lease is not None:
        lease.is_streamed = True
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced[:18]) > limit:
        raise TooLarge(f"A file may have at most {limit // MIB} MiB.")
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise Invalid("The request ended before its body did.") from None


def _is_known(request: Request, etag: str) -> bool:
    """Whether the client has this very file (RFC 9110 §13.1.2)."""
    named = request.headers.get("if-none-match", "")
    return named.strip() == "*" or etag in (item.strip().removeprefix("W/") for item in named.split(","))


def _range_of(request: Request, etag: str, size: int) -> tuple[int, int, bool] | None:
    """First byte, the one behind the last, and whether it is a part (RFC 9110, 14.2): a range of all of the file
    is one, too. The whole file where no single range is asked for; None beyond it."""
    wish = _RANGE.fullmatch(request.headers.get("range", "").strip())
    only_if = request.headers.get("if-range")
    if (
        request.method != "GET"
        or wish is None
        or not (wish[1] or wish[2])
        or (only_if is not None and only_if.strip() != etag)
    ):
        return 0, size, False
    # Twenty digits are beyond every file.
    first, last = (digits.lstrip("0")[:20] or digits[:1] for digits in wish.groups())
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return 0, size, False  # no range at all, so it is passed over
    return (start, end, True) if start < size and start < end else None


def _shown_as(file: File, is_download: bool) -> dict[str, str]:
    """Type and disposition: what a browser may show is inline, everything else is saved under its name."""
    is_inline = file.is_shown and not is_download
    kind = "inline" if is_inline else "attachment"
    return {
        "Content-Type": file.type if file.is_shown else "application/octet-stream",
        "Content-Disposition": f"{kind}; {_name_parameters(name_of(file))}",
    }


def name_of(file: File) -> str:
    """The name to save a file under."""
    if file.row.name:
        return file.row.name
    extension = _EXTENSIONS.get(file.type, "bin")
    return f"{file.row.kind}-{file.row.id[:8]}.{extension}"


def _name_parameters(name: str) -> str:
    """`filename` for old clients, and `filename*` with every character (RFC 6266, RFC 5987)."""
    plain = re.sub(r"[^ !#$&+\-.0-9A-Z^_a-z~()]", "_", name)
    if plain == name:
        return f'filename="{plain}"'
    return f"filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""

"""The stand-in for WhatsApp's file host: encrypted files, for any caller who knows their address, as there.

What is odd about a file (`files.FILE_TROUBLES`, a status) or about the next requests (`POST /_simulator/faults` with
a path under `/files`) happens here.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from gateway.simulator import replies
from gateway.simulator.engine import Engine
from gateway.simulator.faults import FaultSwitches, cut
from gateway.simulator.files import Files
from gateway.simulator.state import HostedFile

SLOW_PIECE_BYTES = 1_024
SLOW_PAUSE_S = 0.5
_PIECE = bytes(64 * 1024)
_TYPE = "application/octet-stream"


class FileHost:
    """Serves the encrypted files of messages."""

    def __init__(self, engine: Engine, files: Files) -> None:
        self._engine = engine
        self._files = files

    def routes(self) -> list[BaseRoute]:
        """The routes, below the phone page's."""
        inner = Starlette(routes=[Route("/files/{name}", self.file, methods=["GET"])])
        inner.router.redirect_slashes = False
        return [Mount("/files", app=_Under("/files", FaultSwitches(inner, self._engine.faults)))]

    async def file(self, request: Request) -> Response:
        """One encrypted file, as odd as its message was made."""
        hosted = self._engine.world.hosted.get(request.path_params["name"])
        path = self._files.hosted_path(hosted.name) if hosted else None
        if hosted is None or path is None or not path.exists() or "lost" in hosted.troubles:
            return PlainTextResponse("Not found.", 404)
        if hosted.status is not None:
            return PlainTextResponse("Media is not available.", hosted.status)
        return self._odd(hosted, path, request) or replies.file_reply(path, _TYPE)

    def _odd(self, hosted: HostedFile, path: Path, request: Request) -> Response | None:
        if "redirect" in hosted.troubles:
            return Response(status_code=302, headers={"Location": "http://127.0.0.1:9/elsewhere"})
        if "cut" in hosted.troubles:
            return _Cut(path)
        if "endless" in hosted.troubles:
            return StreamingResponse(self._endless(path), media_type=_TYPE)
        if "slow" in hosted.troubles:
            size = {"Content-Length": str(path.stat().st_size)}
            return StreamingResponse(self._slowly(path), headers=size, media_type=_TYPE)
        return None

    async def _slowly(self, path: Path) -> AsyncIterator[bytes]:
        content = await asyncio.to_thread(path.read_bytes)
        for start in range(0, len(content), SLOW_PIECE_BYTES):
            yield content[start : start + SLOW_PIECE_BYTES]
            await self._engine.clock.sleep(SLOW_PAUSE_S)

    async def _endless(self, path: Path) -> AsyncIterator[bytes]:
        yield await asyncio.to_thread(path.read_bytes)
        while True:
            yield _PIECE
            await asyncio.sleep(0)


class _Cut(Response):
    """Half of a file, then a reset connection."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = await asyncio.to_thread(self._path.read_bytes)
        headers = [
            (b"content-type", _TYPE.encode()),
            (b"content-length", str(len(content)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
        await cut(receive, send)


class _Under:
    """ASGI: shows the app below a path that begins with `prefix`, as the fault switches name it."""

    def __init__(self, prefix: str, app: FaultSwitches) -> None:
        self._prefix = prefix
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root = scope.get("root_path", "").removesuffix(self._prefix)
        await self._app({**scope, "root_path": root}, receive, send)

"""The two envelopes of WasenderAPI, its refusals in their own words, and reading what a request says."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, StreamingResponse

JSON_LIMIT_BYTES = 2 * 1024 * 1024
_PIECE_BYTES = 256 * 1024


class Refusal(Exception):
    """An answer that is not a success; the routes raise it, the app sends it."""

    def __init__(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers

    def response(self) -> JSONResponse:
        """The refusal as an answer."""
        return JSONResponse(self.body, self.status, headers=self.headers)


def account_refusal(status: int, error: str) -> Refusal:
    """A refusal of a management call: its text is called `error`."""
    return Refusal(status, {"success": False, "error": error})


def session_refusal(status: int, message: str) -> Refusal:
    """A refusal of a call with a session key: its text is called `message`."""
    return Refusal(status, {"success": False, "message": message})


def validation_refusal(errors: Mapping[str, list[str]]) -> Refusal:
    """422 with what is wrong with each field."""
    return Refusal(422, {"success": False, "message": "Validation failed", "errors": errors})


def success(data: Any, status: int = 200, **more: Any) -> JSONResponse:
    """The envelope of an answer that went well; `more` stands beside `data`."""
    return JSONResponse({"success": True, "data": data, **more}, status)


def file_reply(path: Path, media_type: str, headers: Mapping[str, str] | None = None) -> StreamingResponse:
    """A whole file, read piece by piece in a thread.

    It is closed at once when its request ends early, which Starlette's own only does if the loop still runs.
    """
    size = {"Content-Length": str(path.stat().st_size)}
    return StreamingResponse(_pieces(path), media_type=media_type, headers={**(headers or {}), **size})


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
            yield piece


def bearer(request: Request) -> str:
    """The token after `Bearer`, or ''."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def read_body(request: Request, limit_bytes: int = JSON_LIMIT_BYTES) -> bytes:
    """The whole body. Raises Refusal 413 beyond the limit."""
    body = bytearray()
    with contextlib.suppress(ClientDisconnect):
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit_bytes:
                raise session_refusal(413, "The request is too large.")
    return bytes(body)


async def read_json(request: Request, limit_bytes: int = JSON_LIMIT_BYTES) -> dict[str, Any]:
    """The body as an object; an empty body is an empty object, as upstream takes it.

    Raises Refusal 400 or 413.
    """
    raw = await read_body(request, limit_bytes)
    if not raw.strip():
        return {}
    try:
        body = json.loads(raw)
    except ValueError:
        raise session_refusal(400, "The request body is not valid JSON.") from None
    if isinstance(body, list) and not body:  # PHP writes an empty object as []
        return {}
    if not isinstance(body, dict):
        raise session_refusal(400, "The request body is not a JSON object.")
    return body

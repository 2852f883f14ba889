"""Upstream's own files: what a client uploads for a send, and what upstream decrypts for a client."""

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.simulator import kinds, replies
from gateway.simulator.contents import MEDIA_TYPES, unwrapped
from gateway.simulator.engine import Engine
from gateway.simulator.files import Files, FileTooLarge
from gateway.simulator.media_crypto import NotThisKey
from gateway.simulator.replies import session_refusal
from gateway.simulator.session_api import SessionGate, public_url
from gateway.simulator.state import PlainFile

_MULTIPART_LIMIT_BYTES = 17 * 1024 * 1024
# Whatever was uploaded is never a page of this origin: the browser must not run it.
_SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}


class MediaApi:
    """Answers what a session's key may ask of files."""

    def __init__(self, engine: Engine, files: Files) -> None:
        self._gate = SessionGate(engine)
        self._engine = engine
        self._files = files

    def routes(self) -> list[BaseRoute]:
        """The routes, below the API's root."""
        return [
            Route("/upload", self.upload, methods=["POST"]),
            Route("/media/{name}", self.uploaded, methods=["GET"]),
            Route("/decrypt-media", self.decrypt, methods=["POST"]),
            Route("/decrypted-media/{id}", self.decrypted, methods=["GET"]),
        ]

    async def upload(self, request: Request) -> Response:
        """Takes raw bytes with their own Content-Type, JSON with base64, or a form with one file."""
        self._gate.session(request)
        mime, chunks = await _uploaded_bytes(request)
        kind = kinds.kind_of_mime(mime)
        try:
            upload = await self._files.take_upload(
                chunks, kinds.extension_of(mime), mime, kinds.UPLOAD_LIMITS[kind]
            )
        except FileTooLarge as beyond:
            limit = int(beyond.args[0]) // 1024 // 1024
            raise replies.validation_refusal(
                {"file": [f"The {kind} file must not be greater than {limit} MB."]}
            ) from None
        problem = self._problem_of(upload)
        if problem is not None:
            self._files.drop_upload(upload)
            raise replies.validation_refusal({"file": [problem]})
        self._engine.changed(urgent=False)
        return JSONResponse({"success": True, "publicUrl": public_url(request, f"/media/{upload.name}")})

    def _problem_of(self, upload: PlainFile) -> str | None:
        if upload.bytes == 0:
            return "The file field is required."
        found = kinds.mime_of_bytes(self._files.head_of(upload))
        if kinds.contradicts(upload.mime, found):
            return f"The file content ({found}) does not match the declared type {upload.mime}."
        return None

    async def uploaded(self, request: Request) -> Response:
        """A file that was uploaded, for 24 hours."""
        found = self._files.upload(request.path_params["name"])
        if found is None:
            raise session_refusal(404, "This file is not there any more.")
        return replies.file_reply(self._files.plain_path(found), found.mime, _SAFE)

    async def decrypt(self, request: Request) -> Response:
        """Decrypts the file of a message, and answers with the address of the plain one."""
        self._gate.session(request)
        key_id, kind, content = _media_of(await replies.read_json(request))
        mime = str(content.get("mimetype") or "application/octet-stream").partition(";")[0]
        try:
            plain = await self._files.decrypt(
                key_id, str(content["url"]), str(content["mediaKey"]), kind, mime
            )
        except NotThisKey as wrong:
            raise session_refusal(422, f"Failed to decrypt media: {wrong}.") from None
        if plain is None:
            raise session_refusal(404, "Media not found or expired.")
        self._engine.changed(urgent=False)
        return JSONResponse({"success": True, "publicUrl": public_url(request, f"/decrypted-media/{key_id}")})

    async def decrypted(self, request: Request) -> Response:
        """A decrypted file, for an hour."""
        found = self._files.decrypted(request.path_params["id"])
        if found is None:
            raise session_refusal(404, "Media not found or expired.")
        return replies.file_reply(self._files.plain_path(found), found.mime, _SAFE)


def _media_of(body: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Message id, kind and file of a request to decrypt. Raises Refusal 422 unless it is exactly one file."""
    try:
        item = body["data"]["messages"]
        key_id, message = str(item["key"]["id"]), unwrapped(item["message"])
        found = [kind for kind in MEDIA_TYPES if isinstance(message.get(f"{kind}Message"), dict)]
        content = message[f"{found[0]}Message"] if len(found) == 1 else {}
    except (KeyError, TypeError, AttributeError):
        content = {}
    if not content.get("url") or not content.get("mediaKey"):
        raise session_refusal(422, "Exactly one media message with url and mediaKey is needed.")
    return key_id, found[0], content


async def _uploaded_bytes(request: Request) -> tuple[str, AsyncIterator[bytes]]:
    declared = request.headers.get("content-type", "")
    mime = declared.partition(";")[0].strip().lower()
    if mime == "application/json":
        body = await replies.read_json(request, kinds.UPLOAD_LIMITS["document"] * 4 // 3 + 1024)
        content, mime = _decoded(body)
        return mime or kinds.mime_of_bytes(content[:64]) or kinds.UNKNOWN, _once(content)
    if mime == "multipart/form-data":
        raw = await replies.read_body(request, _MULTIPART_LIMIT_BYTES)
        content, mime = _file_of_form(raw, declared)
        return mime or kinds.mime_of_bytes(content[:64]) or kinds.UNKNOWN, _once(content)
    return mime or kinds.UNKNOWN, request.stream()


def _decoded(body: dict[str, Any]) -> tuple[bytes, str]:
    text, mime = str(body.get("base64", "")), str(body.get("mimetype", ""))
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        mime = mime or head[5:].partition(";")[0]
    try:
        return base64.b64decode(text, validate=True), mime
    except (binascii.Error, ValueError):
        raise replies.validation_refusal({"base64": ["The base64 field is not valid."]}) from None


def _file_of_form(raw: bytes, declared: str) -> tuple[bytes, str]:
    """The one file of a multipart form (RFC 7578), and the type that its part declares."""
    boundary = declared.partition("boundary=")[2].partition(";")[0].strip().strip('"')
    parts = raw.split(b"--" + boundary.encode()) if boundary else []
    for part in parts[1:]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if b"filename" not in head.lower():
            continue
        lines = head.decode("latin-1").split("\r\n")
        types = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("content-type")]
        return content.removesuffix(b"\r\n"), types[0] if types else ""
    raise replies.validation_refusal({"file": ["The file field is required."]})


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content

"""`/api/upload` and `/api/decrypt-media` as WasenderAPI has them, for clients that know only its API.

Its answers, its envelope; the files are ours. The address in an answer needs no login, as there: it opens one file, and
ends with the token that asked, after a day or an hour at the latest.
"""

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal
from gateway.domain.errors import Forbidden, Invalid
from gateway.http.auth import Gate
from gateway.http.limits import address_of
from gateway.http.media import streamed
from gateway.http.responses import body_of, fields_of, json_reply
from gateway.services.body_budget import MOST_BYTES
from gateway.services.media.decryption import Decryption
from gateway.services.media.links import MediaLinks
from gateway.services.media.service import MediaService
from gateway.services.media.uploads import Uploads

UPLOAD_LIFE_S = 24 * 3600.0
DECRYPTED_LIFE_S = 3600.0


class OldClientRoutes:
    """Serves uploads and decrypted files in WasenderAPI's shapes."""

    def __init__(
        self,
        gate: Gate,
        media: MediaService,
        uploads: Uploads,
        decryption: Decryption,
        links: MediaLinks,
        address: str,
    ) -> None:
        """`address` is where clients reach this gateway."""
        self._gate = gate
        self._media = media
        self._uploads = uploads
        self._decryption = decryption
        self._links = links
        self._address = address.rstrip("/")

    def routes(self) -> list[Route]:
        """The routes, for logins that name exactly one session."""
        guard = self._gate.guard
        return [
            Route("/api/upload", guard(self._upload), methods=["POST"]),
            Route("/api/decrypt-media", guard(self._decrypt), methods=["POST"]),
        ]

    async def _upload(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.SEND)
        one_session_of(principal)
        declared = request.headers.get("content-type", "")
        chunks = streamed(request)
        if declared.partition(";")[0].strip().lower() == "application/json":
            content, declared = _decoded(await body_of(request, MOST_BYTES))
            chunks = _once(content)
        row = await self._uploads.take(chunks, declared, request.query_params.get("name"), principal)
        return self._reply(row.id, principal, UPLOAD_LIFE_S)

    async def _decrypt(self, request: Request, principal: Principal) -> Response:
        session_id = one_session_of(principal)
        principal.require(Act.READ, session_id)
        asking = self._gate.limits.rates.upstream(principal, address_of(request.scope))
        found = await self._decryption.find(session_id, await fields_of(request), asking)
        if found.media_id is None:
            return json_reply({"success": True, "publicUrl": found.url})
        await self._media.allowed(found.media_id, principal)
        return self._reply(found.media_id, principal, DECRYPTED_LIFE_S)

    def _reply(self, media_id: str, principal: Principal, life_s: float) -> Response:
        token, _ = self._links.make(media_id, principal, life_s)
        url = f"{self._address}/api/media/{media_id}?link={token}"
        return json_reply({"success": True, "publicUrl": url})


def one_session_of(principal: Principal) -> int:
    """The one session of a login that stands in for a session's key. Raises Forbidden."""
    if principal.sessions is None or len(principal.sessions) != 1:
        raise Forbidden("WasenderAPI's own calls need a token that names exactly one session.")
    return next(iter(principal.sessions))


def _decoded(raw: bytes) -> tuple[bytes, str]:
    """The file of `{"base64", "mimetype"?}`, and what it is called. Raises Invalid."""
    try:
        fields: Any = orjson.loads(raw)
        text, mime = fields["base64"], fields.get("mimetype") or ""
        if text.startswith("data:"):
            head, _, text = text.partition(",")
            mime = mime or head[5:].partition(";")[0]
        return base64.b64decode(text, validate=True), str(mime)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, binascii.Error, ValueError):
        raise Invalid(
            "The base64 field is not valid.",
            details={"errors": {"base64": ["The base64 field is not valid."]}},
        ) from None


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content

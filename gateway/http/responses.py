"""The envelope of every answer, and the bytes of a body."""

import gzip
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.domain.errors import Invalid, TooLarge
from gateway.domain.session import session_number
from gateway.services.body_budget import BODY

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_BODY_BYTES = 1024 * 1024
WORTH_BYTES = 4096
"""Shorter answers fit into a few packets as they are."""

MOST_PARTS = 10_000
"""Lists and objects in one body: in memory each takes thirty times what it takes on the wire."""


def json_reply(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer with this content as JSON."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def success(
    data: Any, status: int = 200, *, headers: dict[str, str] | None = None, **beside: Any
) -> Response:
    """`{"success": true, "data": …}`; `beside` are further fields beside `data`."""
    return json_reply({"success": True, "data": data, **beside}, status, headers)


def compressed(request: Request, response: Response) -> Response:
    """The same answer, gzipped where it is long and the client takes that: a page of a list is a tenth of it.

    For what pages read by the thousand rows; at this level it costs less time than the line takes for what it saves.
    """
    body = bytes(response.body)
    accepted = {
        part.partition(";")[0].strip()
        for part in request.headers.get("accept-encoding", "").split(",")
        if part.partition(";")[2].replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    }
    response.headers["Vary"] = "Accept-Encoding"
    if len(body) < WORTH_BYTES or "gzip" not in accepted:
        return response
    response.body = gzip.compress(body, 1, mtime=0)
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Content-Length"] = str(len(response.body))
    return response


def session_id_of(request: Request) -> int:
    """The `{id}` of the path. Raises Invalid unless it is digits."""
    return parse_session_id(request.path_params["id"])


def parse_session_id(text: str) -> int:
    """The session's number as a path or query gives it. Raises Invalid for anything else than digits."""
    number = session_number(text)
    if number is not None:
        return number
    raise Invalid(f"A session id is digits only, as WasenderAPI gives it, not {text[:40]!r}.")


async def body_of(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """The whole body, of at most `limit` bytes, or of what a stranger may send.

    Raises TooLarge before it has been read to its end; Invalid if the client is gone before that.
    """
    lease = request.scope.get(BODY)
    if lease is not None:
        limit = min(limit, lease.most)
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced[:18]) > limit:
        raise TooLarge(_over(limit))
    chunks = bytearray()
    is_complete = False
    while not is_complete:  # not `request.stream()`: a generator for what nearly always comes in one piece
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Invalid("The request ended before its body did.")  # the client has gone
        chunks += message.get("body", b"")
        if len(chunks) > limit:
            raise TooLarge(_over(limit))
        is_complete = not message.get("more_body", False)
    return bytes(chunks)


def _over(limit: int) -> str:
    return (
        f"The body is over {limit // MAX_BODY_BYTES} MiB."
        if limit >= MAX_BODY_BYTES
        else f"The body is over {limit // 1024} KiB."
    )


async def fields_of(request: Request) -> dict[str, Any]:
    """The JSON object of a body; an empty body is an empty object. Raises Invalid."""
    body = await body_of(request)
    if not body.strip():
        return {}
    if body.count(b"{") + body.count(b"[") > MOST_PARTS:
        raise TooLarge(f"The body has more than {MOST_PARTS} lists and objects.")
    lease = request.scope.get(BODY)
    if lease is not None:
        await lease.parse(len(body))
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Invalid("The body must be a JSON object.") from None
    finally:
        if lease is not None:
            lease.parsed()  # the request may go on for long; what it holds now is bounded by MOST_PARTS
    if not isinstance(fields, dict):
        raise Invalid("The body must be a JSON object.")
    return fields

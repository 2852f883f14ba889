"""Errors as answers: `{"success": false, "error": …, "code": …}` with the fitting status."""

import logging
import math
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ExceptionHandler

from gateway.domain import errors
from gateway.http.responses import json_reply
from gateway.services.log_context import log_context

logger = logging.getLogger(__name__)

STATUSES = {
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "newer_reply": 409,
    "not_linking": 409,
    "too_large": 413,
    "invalid": 422,
    "upgrade_required": 426,
    "rate_limited": 429,
    "internal": 500,
    "config": 500,
    "unavailable": 503,
    # Upstream's 401 is not ours: answering 401 would log the browser out.
    "upstream_unauthorized": 502,
    "upstream_limit": 403,
    "session_not_found": 404,
    "upstream_error": 502,
    "upstream_timeout": 504,
}

_HTTP_CODES = {400: "invalid", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "invalid"}


def error_reply(error: errors.GatewayError) -> Response:
    """The answer to a request that failed so, with `Retry-After` where the error says when."""
    status = STATUSES[error.code]
    headers = {}
    retry_after_s = None
    if error.retry_after_s is not None:
        retry_after_s = math.ceil(error.retry_after_s)
        headers["Retry-After"] = str(retry_after_s)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 426:
        headers |= {"Upgrade": "websocket", "Connection": "Upgrade"}
    return json_reply(
        _content(error.message, error.code, error.action, retry_after_s, error.details), status, headers
    )


def refusal(status: int, sentence: str, code: str = "invalid") -> Response:
    """An error as an answer of a status that no code of ours stands for."""
    return json_reply(_content(sentence, code), status)


def _content(
    sentence: str,
    code: str,
    action: errors.Action | None = None,
    retry_after_s: int | None = None,
    details: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Our envelope, and beside it the names under which WasenderAPI's clients look for the same."""
    content = {
        "success": False,
        "error": sentence,
        "message": sentence,
        "code": code,
        "action": action,
        "retry_after_s": retry_after_s,
        "details": details,
        "request_id": log_context().request,
    }
    if retry_after_s is not None:
        content["retry_after"] = retry_after_s
    if details and isinstance(details.get("errors"), dict):
        content["errors"] = details["errors"]
    return content


async def _gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.GatewayError)
    return error_reply(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = {
        404: f"There is nothing at {request.url.path}.",
        405: f"{request.method} is not possible at {request.url.path}.",
    }.get(error.status_code, str(error.detail))
    content = _content(sentence, _HTTP_CODES.get(error.status_code, "invalid"))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods_at(request))
    return json_reply(content, error.status_code, headers)


def _methods_at(request: Request) -> list[str]:
    """What can be done at this path. Starlette names only the methods of the first route that has it."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in here for method in route.methods or ()})


async def unexpected(request: Request, error: Exception) -> Response:
    """A bug of ours, as an answer."""
    setattr(error, errors.LOGGED, True)
    logger.error("http.failed method=%s path=%s", request.method, request.url.path, exc_info=error)
    return error_reply(errors.GatewayError("Something went wrong here. The gateway's log has the details."))


HANDLERS: dict[type[Exception] | int, ExceptionHandler] = {
    errors.GatewayError: _gateway_error,
    HTTPException: _http_error,
    Exception: unexpected,
}

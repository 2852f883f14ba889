"""What upstream's refusals become, through the client that meets them."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aioresponses import CallbackResult, aioresponses
from yarl import URL

from gateway.domain.errors import (
    SessionNotFound,
    UpstreamError,
    UpstreamFailed,
    UpstreamInvalid,
    UpstreamLimit,
    UpstreamRateLimited,
    UpstreamUnauthorized,
)
from gateway.wasender.client import WasenderClient
from tests.unit.wasender.conftest import ROOT, Tokens

API_KEY = "ab" * 32
LIST = f"{ROOT}/whatsapp-sessions"
ONE = f"{LIST}/12"

Call = Callable[[WasenderClient], Awaitable[Any]]

REFUSALS: list[tuple[int, Any, type[UpstreamError], str]] = [
    (401, {"success": False, "message": "API key is required"}, UpstreamUnauthorized, "API key is required"),
    (401, {}, UpstreamUnauthorized, "does not accept the token"),
    (
        403,
        {"success": False, "error": "You have reached your WhatsApp session limit."},
        UpstreamLimit,
        "session limit",
    ),
    (403, "<html>Attention required</html>", UpstreamFailed, "not JSON"),
    (
        404,
        {"success": False, "error": "The specified session was not found."},
        SessionNotFound,
        "specified session",
    ),
    (
        404,
        {"message": "No query results for model [WhatsappSession] 12"},
        SessionNotFound,
        "No query results",
    ),
    (404, {"message": "The route api/x could not be found."}, UpstreamFailed, "WASENDER_BASE_URL"),
    (404, "<html>Not Found</html>", UpstreamFailed, "WASENDER_BASE_URL"),
    (
        422,
        {"message": "JID does not exist on WhatsApp", "errors": {"to": ["No."]}},
        UpstreamInvalid,
        "JID does not",
    ),
    (429, {"message": "1 message every 5 seconds", "retry_after": 4}, UpstreamRateLimited, "every 5 seconds"),
    (500, {"message": "Server Error"}, UpstreamFailed, "Server Error"),
    (502, "<html>Bad gateway</html>", UpstreamFailed, "HTTP 502"),
    (503, "", UpstreamFailed, "HTTP 503"),
    (200, "<html>hello</html>", UpstreamFailed, "not JSON"),
    (200, '{"data": NaN}', UpstreamFailed, "not JSON"),
    (200, '{"data": ', UpstreamFailed, "not JSON"),
    (200, "[" * 100_000, UpstreamFailed, "not JSON"),
    (200, '"text"', UpstreamFailed, "not a session"),
    (200, {"success": True, "data": {"id": "none"}}, UpstreamFailed, "without a usable id"),
    (301, "", UpstreamFailed, "redirect"),
    (
        400,
        {"success": False, "error": "You need to have an active subscription to connect."},
        UpstreamLimit,
        "active",
    ),
    (402, {"success": False, "error": "Pay first."}, UpstreamLimit, "Pay first"),
    (400, {"success": False, "message": "Invalid API key"}, UpstreamUnauthorized, "Invalid API key"),
    (400, {"message": "Too many requests"}, UpstreamRateLimited, "Too many"),
    (400, {"message": "Validation failed", "errors": {"name": ["Short."]}}, UpstreamInvalid, "Validation"),
    (409, {"error": "Something else"}, UpstreamFailed, "Something else"),
    (418, {"odd": True}, UpstreamFailed, "HTTP 418"),
    (
        200,
        {"success": False, "error": "You need to have an active subscription."},
        UpstreamLimit,
        "subscription",
    ),
    (200, {"success": False, "error": "The specified session was not found."}, SessionNotFound, "not found"),
    (200, {"success": False, "message": "Nope"}, UpstreamFailed, "Nope"),
    (200, {"success": False}, UpstreamFailed, "refused"),
]


@pytest.mark.parametrize(("status", "body", "kind", "words"), REFUSALS)
async def test_a_refusal_becomes_its_error_and_keeps_upstreams_sentence(
    client: WasenderClient,
    upstream: aioresponses,
    status: int,
    body: Any,
    kind: type[UpstreamError],
    words: str,
) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    upstream.get(ONE, status=status, body=text)

    with pytest.raises(UpstreamError, match=words) as refused:
        await client.get_session(12)

    assert type(refused.value) is kind
    if status != 200:
        assert refused.value.status == status


async def test_a_missing_list_does_not_mean_that_sessions_are_gone(
    client: WasenderClient, upstream: aioresponses
) -> None:
    upstream.get(LIST, status=404, payload={"message": "Not Found"})

    with pytest.raises(UpstreamFailed, match="WASENDER_BASE_URL"):
        await client.list_sessions()


async def test_upstreams_field_errors_are_kept(client: WasenderClient, upstream: aioresponses) -> None:
    errors = {"name": ["The name field is required."]}
    upstream.put(ONE, status=422, payload={"message": "Validation failed", "errors": errors})

    with pytest.raises(UpstreamInvalid) as refused:
        await client.update_session(12, {"name": ""})

    assert refused.value.details == {"errors": errors}


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("WhatsApp session is not connected. Cannot restart.", "not_connected"),
        ("Your Whatsapp Session is not connected please connect your session first.", "not_connected"),
        ("Session not initialized", "not_initialized"),
    ],
)
async def test_a_call_in_the_wrong_state_names_the_state(
    client: WasenderClient, upstream: aioresponses, sentence: str, reason: str
) -> None:
    upstream.post(f"{ONE}/restart", status=400, payload={"success": False, "error": sentence})

    with pytest.raises(UpstreamFailed) as refused:
        await client.restart_session(12)

    assert refused.value.details == {"reason": reason}


PAUSES: list[tuple[dict[str, str], Any, float]] = [
    ({}, {"message": "slow", "retry_after": 4}, 4),
    ({"Retry-After": "9"}, {"retry_after": "3"}, 3),
    ({"Retry-After": "9", "X-RateLimit-Reset": "30"}, {"message": "slow"}, 9),
    ({"X-RateLimit-Reset": "30"}, {}, 30),
    ({"X-RateLimit-Reset": "1000060"}, {}, 60),
    ({"X-RateLimit-Reset": "-1"}, {}, 5),
    ({"X-RateLimit-Reset": "1000003"}, {}, 3),
    ({"X-RateLimit-Reset": "999990"}, {}, 0),
    ({"X-RateLimit-Reset": "1000060", "Date": "Mon, 12 Jan 1970 13:47:00 GMT"}, {}, 40),
    ({"Retry-After": "Mon, 12 Jan 1970 13:47:00 GMT"}, {"retry_after": None}, 20),
    ({"Retry-After": "Mon, 12 Jan 1970 13:46:00 GMT"}, {}, 0),
    ({"Retry-After": "Mon, 12 Jan 1970 13:47:00 GMT", "Date": "Mon, 12 Jan 1970 13:46:30 GMT"}, {}, 30),
    ({"Retry-After": "soon", "X-RateLimit-Reset": "never"}, {}, 5),
    ({}, {"retry_after": 1e300}, 86_400),
    ({}, [], 5),
]


@pytest.mark.parametrize(("headers", "body", "wait_s"), PAUSES)
async def test_a_429_says_how_long_to_wait(
    upstream: aioresponses, headers: dict[str, str], body: Any, wait_s: float
) -> None:
    upstream.post(f"{ROOT}/send-message", status=429, body=json.dumps(body), headers=headers)

    async with WasenderClient(ROOT, Tokens(), clock=lambda: 1_000_000.0) as client:
        with pytest.raises(UpstreamRateLimited) as refused:
            await client.send_message(API_KEY, {"to": "+1", "text": "Hi"})

    assert refused.value.retry_after_s == wait_s


async def test_a_5xx_passes_on_its_retry_after(client: WasenderClient, upstream: aioresponses) -> None:
    upstream.get(ONE, status=503, headers={"Retry-After": "7"})

    with pytest.raises(UpstreamFailed) as refused:
        await client.get_session(12)

    assert refused.value.retry_after_s == 7


async def test_a_send_is_never_repeated(client: WasenderClient, upstream: aioresponses) -> None:
    made = []

    def answer(url: URL, **kwargs: Any) -> CallbackResult:
        made.append(url)
        return CallbackResult(status=503)

    upstream.post(f"{ROOT}/send-message", callback=answer, repeat=True)

    with pytest.raises(UpstreamFailed):
        await client.send_message(API_KEY, {"to": "+1", "text": "Hi"})

    assert len(made) == 1


@pytest.mark.parametrize(
    ("call", "path", "method"),
    [
        (lambda c: c.get_status(API_KEY), "/status", "GET"),
        (lambda c: c.regenerate_key(12), "/whatsapp-sessions/12/regenerate-key", "POST"),
        (lambda c: c.send_message(API_KEY, {}), "/send-message", "POST"),
        (lambda c: c.get_user(API_KEY), "/user", "GET"),
    ],
)
async def test_a_success_that_lacks_its_one_value_is_a_failure(
    client: WasenderClient, upstream: aioresponses, call: Call, path: str, method: str
) -> None:
    upstream.add(ROOT + path, method, payload={"success": True, "data": None})

    with pytest.raises(UpstreamFailed):
        await call(client)

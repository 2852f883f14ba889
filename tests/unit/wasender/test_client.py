"""What is sent upstream, what its answers become, and what its refusals become."""

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aioresponses import aioresponses
from yarl import URL

from gateway.domain.errors import (
    UpstreamFailed,
    UpstreamInvalid,
    UpstreamUnauthorized,
)
from gateway.domain.session import ConnectReply, SendReply
from gateway.wasender.client import WasenderClient
from tests.unit.wasender.conftest import ROOT, TOKEN, Tokens

API_KEY = "ab" * 32
ONE = f"{ROOT}/whatsapp-sessions/12"
SESSION = {"id": 12, "name": "Shop", "phone_number": "+628111", "status": "CONNECTED", "api_key": API_KEY}

Call = Callable[[WasenderClient], Awaitable[Any]]


def request_of(upstream: aioresponses, method: str, url: str) -> dict[str, Any]:
    """What the only request to this address was made with."""
    [made] = upstream.requests[method, URL(url)]
    return dict(made.kwargs)


# ------------------------------------------------------------------------------------------ calls and answers

CALLS: list[tuple[str, str, Call, Any, Any, Any]] = [
    # method, path, call, answer, result, body sent
    ("GET", "/auth-check", lambda c: c.auth_check(), {"success": True}, None, None),
    ("POST", "/whatsapp-sessions/12/connect", lambda c: c.connect_session(12),
     {"success": True, "data": {"status": "NEED_SCAN", "qrCode": "2@abc"}},
     ConnectReply("need_scan", "2@abc"), {}),
    ("POST", "/whatsapp-sessions/12/connect", lambda c: c.connect_session(12),
     {"success": True, "data": {"status": "CONNECTED", "message": "Session already initialized"}},
     ConnectReply("connected", None), {}),
    ("POST", "/whatsapp-sessions/12/connect", lambda c: c.connect_session(12),
     {"success": True, "data": {"status": "NEED_PASSKEY", "passkey": {"token": "t"}}},
     ConnectReply("need_passkey", None), {}),
    ("GET", "/whatsapp-sessions/12/qrcode", lambda c: c.get_qr_code(12),
     {"success": True, "data": {"qrCode": "2@abc"}}, "2@abc", None),
    ("GET", "/whatsapp-sessions/12/qrcode", lambda c: c.get_qr_code(12),
     {"success": True, "data": {"qrCode": None}}, None, None),
    ("POST", "/whatsapp-sessions/12/disconnect", lambda c: c.disconnect_session(12),
     {"success": True, "data": {"status": "Disconnected", "message": "done"}}, "disconnected", {}),
    ("POST", "/whatsapp-sessions/12/restart", lambda c: c.restart_session(12),
     {"success": True, "message": "WhatsApp session restarted successfully."}, None, {}),
    ("POST", "/whatsapp-sessions/12/regenerate-key", lambda c: c.regenerate_key(12),
     {"success": True, "api_key": API_KEY}, API_KEY, {}),
    ("GET", "/whatsapp-sessions/12/session-logs?page=2&per_page=3", lambda c: c.get_session_logs(12, 2, 3),
     {"success": True, "data": {"current_page": 2, "data": [{"id": 1}], "last_page": 2}},
     {"current_page": 2, "data": [{"id": 1}], "last_page": 2}, None),
    ("GET", "/whatsapp-sessions/12/message-logs?page=1&per_page=3", lambda c: c.get_message_logs(12, 1, 3),
     {"success": True, "data": [{"id": "1"}]}, {"data": [{"id": "1"}]}, None),
    ("GET", "/status", lambda c: c.get_status(API_KEY), {"status": "CONNECTED"}, "connected", None),
    ("GET", "/status", lambda c: c.get_status(API_KEY), {"data": {"status": "asleep"}}, "asleep", None),
    ("GET", "/user", lambda c: c.get_user(API_KEY), {"success": True, "data": {"id": "1:2@s.whatsapp.net"}},
     {"id": "1:2@s.whatsapp.net"}, None),
    ("POST", "/send-message", lambda c: c.send_message(API_KEY, {"to": "+1", "text": "Hi"}),
     {"success": True, "data": {"msgId": 100000, "jid": "+1", "status": "in_progress"}},
     SendReply(100000, "+1", "in_progress"), {"to": "+1", "text": "Hi"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "call", "answer", "result", "sent"), CALLS)
async def test_a_call_goes_to_its_path_and_its_answer_becomes_a_value(
    client: WasenderClient,
    upstream: aioresponses,
    method: str,
    path: str,
    call: Call,
    answer: Any,
    result: Any,
    sent: Any,
) -> None:
    upstream.add(ROOT + path, method, payload=answer)

    assert await call(client) == result

    made = request_of(upstream, method, ROOT + path)
    assert made["json"] == sent
    expected = TOKEN if "sessions" in path or path == "/auth-check" else API_KEY
    assert made["headers"]["Authorization"] == f"Bearer {expected}"
    assert made["allow_redirects"] is False


async def test_a_session_is_created_with_the_fields_given(
    client: WasenderClient, upstream: aioresponses
) -> None:
    upstream.post(f"{ROOT}/whatsapp-sessions", status=201, payload={"success": True, "data": SESSION})

    session = await client.create_session({"name": "Shop"})

    assert (session.id, session.status, session.api_key) == (12, "connected", API_KEY)
    assert request_of(upstream, "POST", f"{ROOT}/whatsapp-sessions")["json"] == {"name": "Shop"}


async def test_a_session_is_read(client: WasenderClient, upstream: aioresponses) -> None:
    upstream.get(ONE, payload={"success": True, "data": SESSION})

    assert (await client.get_session(12)).name == "Shop"


@pytest.mark.parametrize("warning", ["Saved, but the engine was not told.", None])
async def test_an_update_passes_on_upstreams_warning(
    client: WasenderClient, upstream: aioresponses, warning: str | None
) -> None:
    upstream.put(ONE, payload={"success": True, "data": SESSION, "warning": warning})

    session, said = await client.update_session(12, {"webhook_enabled": True})

    assert (session.id, said) == (12, warning)


async def test_a_warning_that_names_the_key_does_not_pass_it_on(
    client: WasenderClient, upstream: aioresponses
) -> None:
    upstream.put(ONE, payload={"data": SESSION, "warning": f"engine {API_KEY} not told"})

    _, warning = await client.update_session(12, {})

    assert warning == "engine [redacted] not told"


@pytest.mark.parametrize(("status", "body"), [(204, ""), (200, '{"success": true}'), (200, "")])
async def test_a_deletion_may_be_answered_by_nothing(
    client: WasenderClient, upstream: aioresponses, status: int, body: str
) -> None:
    upstream.delete(ONE, status=status, body=body)

    await client.delete_session(12)


# ------------------------------------------------------------------------------------------ the list

LIST = f"{ROOT}/whatsapp-sessions"


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "data": [{"id": 1}, {"id": "2"}]},
        {"success": True, "data": {"data": [{"id": 1}, {"id": 2}], "current_page": 1, "last_page": 1}},
        {"data": [{"id": 1}, {"id": 2}], "meta": {"last_page": 1}, "links": {"next": None}},
        [{"id": 1}, {"id": 2}],
    ],
    ids=["plain", "paginator", "resource", "bare"],
)
async def test_a_list_is_read_in_every_form(
    client: WasenderClient, upstream: aioresponses, body: Any
) -> None:
    upstream.get(LIST, payload=body)

    assert [session.id for session in await client.list_sessions()] == [1, 2]


@pytest.mark.parametrize(
    "more", [{"last_page": 2}, {"next_page_url": "https://elsewhere.test/?page=2"}], ids=str
)
async def test_every_page_of_a_list_is_fetched_and_never_from_another_host(
    client: WasenderClient, upstream: aioresponses, more: dict[str, Any]
) -> None:
    upstream.get(LIST, payload={"data": {"data": [{"id": 1}, {"id": 2}], **more}})
    upstream.get(f"{LIST}?page=2", payload={"data": {"data": [{"id": 2}, {"id": 3}], "last_page": 2}})

    assert [session.id for session in await client.list_sessions()] == [1, 2, 3]


async def test_a_list_without_an_end_is_an_error_and_no_part_of_it_is_used(
    client: WasenderClient, upstream: aioresponses
) -> None:
    client.max_pages = 3
    for page in ("", "?page=2", "?page=3"):
        upstream.get(LIST + page, payload={"data": {"data": [{"id": 1}], "next_page_url": "more"}})

    with pytest.raises(UpstreamFailed, match="more than 3 pages"):
        await client.list_sessions()


@pytest.mark.parametrize(
    "body", [{"data": [{"id": 1}, {"name": "no id"}]}, {"data": None}, {}, {"data": "x"}], ids=str
)
async def test_a_list_that_is_not_whole_is_an_error(
    client: WasenderClient, upstream: aioresponses, body: dict[str, Any]
) -> None:
    upstream.get(LIST, payload=body)

    with pytest.raises(UpstreamFailed):
        await client.list_sessions()


# ------------------------------------------------------------------------------------------ tokens


async def test_after_a_401_a_renewed_token_is_tried_once(upstream: aioresponses) -> None:
    tokens = Tokens(renewed="2|another-token")
    upstream.get(ONE, status=401, payload={"success": False, "message": "Unnotarized"})
    upstream.get(ONE, payload={"data": SESSION})

    async with WasenderClient(ROOT, tokens) as client:
        assert (await client.get_session(12)).id == 12

    made = upstream.requests["GET", URL(ONE)]
    assert [one.kwargs["headers"]["Authorization"] for one in made] == [
        f"Bearer {TOKEN}",
        "Bearer 2|another-token",
    ]
    assert tokens.asked == [False, True]


async def test_after_a_401_the_same_token_is_not_tried_again(
    client: WasenderClient, upstream: aioresponses, tokens: Tokens
) -> None:
    upstream.get(ONE, status=401, payload={"message": "Unauthenticated."})

    with pytest.raises(UpstreamUnauthorized, match="Unauthenticated"):
        await client.get_session(12)

    assert tokens.asked == [False, True]
    assert len(upstream.requests["GET", URL(ONE)]) == 1


async def test_a_renewed_token_that_fails_too_is_an_error(upstream: aioresponses) -> None:
    upstream.get(ONE, status=401, repeat=True)

    async with WasenderClient(ROOT, Tokens(renewed="2|another-token")) as client:
        with pytest.raises(UpstreamUnauthorized):
            await client.get_session(12)

    assert len(upstream.requests["GET", URL(ONE)]) == 2


async def test_a_401_for_a_session_key_does_not_touch_the_account_token(
    client: WasenderClient, upstream: aioresponses, tokens: Tokens
) -> None:
    upstream.get(f"{ROOT}/status", status=401, payload={"success": False, "message": "Invalid API key"})

    with pytest.raises(UpstreamUnauthorized, match="Invalid API key"):
        await client.get_status(API_KEY)

    assert tokens.asked == []


@pytest.mark.parametrize("token", ["", "two\r\nlines", "with space", "schlüssel"], ids=repr)
async def test_a_token_that_fits_no_header_is_refused_unseen(upstream: aioresponses, token: str) -> None:
    async with WasenderClient(ROOT, Tokens(token, token)) as client:
        with pytest.raises(UpstreamUnauthorized) as refused:
            await client.get_session(12)

    assert not token or token not in str(refused.value)
    assert not upstream.requests


async def test_no_token_is_in_an_error_or_a_log_line(
    client: WasenderClient, upstream: aioresponses, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = {"message": f"Bearer {TOKEN} is bad", "errors": {"token": [TOKEN], TOKEN: ["x"]}}
    upstream.post(f"{ONE}/connect", status=422, payload=body)

    with pytest.raises(UpstreamInvalid) as refused:
        await client.connect_session(12)

    error = refused.value
    assert TOKEN not in error.message + json.dumps(error.details) + repr(error) + caplog.text
    assert "Bearer [redacted] is bad" in error.message
    assert "upstream.called method=POST path=/whatsapp-sessions/12/connect status=422" in caplog.text


async def test_a_query_is_not_logged(
    client: WasenderClient, upstream: aioresponses, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    upstream.get(f"{ONE}/session-logs?page=7&per_page=3", payload={"data": []})

    await client.get_session_logs(12, 7, 3)

    assert "path=/whatsapp-sessions/12/session-logs status=200" in caplog.text
    assert "page=7" not in caplog.text

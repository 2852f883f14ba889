"""The control: what it refuses, whom it refuses, and the page that uses it."""

from typing import Any

import pytest
from starlette.requests import Request

from gateway.simulator.control import refusal_of
from tests.simulator.support import Served, serving


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=203.0.113.9"),
        ("Via", "1.1 proxy"),
        ("X-Real-IP", "203.0.113.9"),
        ("Host", "gateway.example.com"),
        ("Host", "127.0.0.1.example.com"),
        ("Host", ""),
    ],
)
async def test_control_is_refused_through_a_proxy_or_under_another_name(
    served: Served, name: str, value: str
) -> None:
    reply = await served.call("GET", "/_simulator/deliveries", **{name: value})

    assert reply.status == 403
    assert reply.json["success"] is False


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"])
async def test_another_website_cannot_press_the_buttons(served: Served, origin: str) -> None:
    reply = await served.call("POST", "/_simulator/reset", Origin=origin)

    assert reply.status == 403


async def test_the_page_of_the_same_origin_can(served: Served) -> None:
    reply = await served.call("POST", "/_simulator/reset", Origin=served.base, Sec_Fetch_Site="same-origin")

    assert reply.status == 200


@pytest.mark.parametrize(
    ("client", "host", "allowed"),
    [
        ("127.0.0.1", "localhost:8000", True),
        ("::1", "[::1]:8000", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("192.168.1.5", "localhost:8000", False),
        (None, "localhost:8000", False),
    ],
)
def test_only_callers_on_this_machine_are_let_in(client: str | None, host: str, allowed: bool) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"host", host.encode())],
        "client": (client, 5000) if client else None,
    }

    assert (refusal_of(Request(scope)) is None) is allowed


async def test_scanning_without_a_code_is_a_409_with_a_sentence(served: Served) -> None:
    await served.create()
    reply = await served.control("POST", "/sessions/1/scan")

    assert reply.status == 409
    assert reply.json["error"] == "There is no code to scan: the session is disconnected."


async def test_scanning_an_old_code_does_not_link(served: Served) -> None:
    await served.create()
    old = (await served.account("POST", "/whatsapp-sessions/1/connect")).data["qrCode"]
    await served.control("POST", "/sessions/1/rotate-qr")
    refused = await served.control("POST", "/sessions/1/scan", {"code": old})
    new = (await served.account("GET", "/whatsapp-sessions/1/qrcode")).data["qrCode"]

    assert refused.status == 409
    assert (await served.control("POST", "/sessions/1/scan", {"code": new})).status == 200


@pytest.mark.parametrize("act", ["unlink", "expire", "rotate-qr"])
async def test_acts_that_make_no_sense_now_are_409(served: Served, act: str) -> None:
    await served.create()

    assert (await served.control("POST", f"/sessions/1/{act}")).status == 409


async def test_an_unknown_session_is_a_404_with_a_sentence(served: Served) -> None:
    reply = await served.control("POST", "/sessions/9/scan")

    assert reply.status == 404
    assert reply.json["error"] == "The simulator has no session 9."


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ({}, "from"),
        ({"from": "Ann", "text": "x"}, "from"),
        ({"from": "+491701234567"}, "needs one of"),
        ({"from": "+491701234567", "text": 5}, "text"),
        ({"from": "+491701234567", "text": "x", "modes": ["odd"]}, "modes"),
        ({"from": "+491701234567", "location": {"latitude": "north"}}, "location"),
        ({"from": "+491701234567", "poll": {"question": "?"}}, "poll"),
        ({"from": "+491701234567", "text": "x", "timestamp": "now"}, "timestamp"),
        ({"from": "+491701234567", "edit": {}}, "edit"),
    ],
)
async def test_an_inbound_message_that_makes_no_sense_is_refused(
    served: Served, message: dict[str, Any], word: str
) -> None:
    await served.create()
    await served.link(1)
    reply = await served.control("POST", "/sessions/1/inbound", message)

    assert reply.status == 422
    assert word in reply.json["error"]


async def test_nothing_arrives_on_a_number_that_is_not_linked(served: Served) -> None:
    await served.create()
    reply = await served.control("POST", "/sessions/1/inbound", {"from": "+491701234567", "text": "x"})

    assert reply.status == 409


async def test_broken_json_is_a_400(served: Served) -> None:
    async with served.http.post(served.base + "/_simulator/faults", data=b"{") as reply:
        assert reply.status == 400
        assert (await reply.json())["error"] == "The request body is not valid JSON."


async def test_reset_forgets_sessions_and_faults_and_keeps_the_token(served: Served) -> None:
    await served.create()
    await served.control("POST", "/faults", {"path": "/status", "status": 500})
    await served.control("POST", "/reset")

    assert (await served.account("GET", "/whatsapp-sessions")).data == []
    assert (await served.control("GET", "/faults")).data == []


async def test_the_page_lets_no_foreign_or_inline_code_run(served: Served) -> None:
    page = await served.call("GET", "/simulator/")
    bare = await served.call("GET", "/simulator")
    policy = page.headers["Content-Security-Policy"]

    assert page.status == bare.status == 200
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in page.text
    assert "style=" not in page.text
    for name in ("phone.js", "phone.css"):
        assert f"/simulator/static/{name}" in page.text
        assert (await served.call("GET", f"/simulator/static/{name}")).status == 200
    assert (await served.call("GET", "/simulator/static/../page.py")).status == 404


async def test_beside_a_gateway_everything_is_under_the_paths_of_its_own() -> None:
    async with serving(embedded=True) as served:
        token = served.simulator.account_token
        listed = await served.call("GET", "/simulator/api/whatsapp-sessions", token=token)
        missing = await served.call("GET", "/simulator/api/whatsapp-sessions/1/qr-code", token=token)
        page = await served.call("GET", "/simulator")
        own = await served.call("GET", "/api/whatsapp-sessions")
        await served.control("POST", "/faults", {"path": "/whatsapp-sessions", "status": 500})
        hit = await served.call("GET", "/simulator/api/whatsapp-sessions", token=token)
        upload = await served.call("POST", "/simulator/api/whatsapp-sessions", token=token, body={})

    assert listed.data == []
    assert (missing.status, upload.status) == (404, 422)
    assert "Simulated phone" in page.text
    assert own.text == "the gateway"
    assert hit.status == 500


async def test_a_status_of_ones_own_choice_is_what_the_api_says(served: Served) -> None:
    session = (await served.create())["id"]
    reply = await served.call("POST", f"/_simulator/sessions/{session}/status", {"status": "two_step_check"})
    assert (reply.status, reply.json["data"]["status"]) == (200, "two_step_check")
    refused = await served.call("POST", f"/_simulator/sessions/{session}/status", {"status": 7})
    assert refused.status == 422

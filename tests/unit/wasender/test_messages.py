"""What upstream's answers mean for a message: no doubt is left out, and none is made up."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aioresponses import CallbackResult, aioresponses

from gateway.domain.errors import NotFound, SessionNotFound, UpstreamFailed
from gateway.domain.message import DeliveryState
from gateway.domain.sending import Accepted, Answer, NotSent, Refused, Unclear
from gateway.simulator import samples
from gateway.wasender.client import WasenderClient
from gateway.wasender.http_transport import Timeouts, Upload
from gateway.wasender.messages import Messages
from tests.simulator.support import Receiver, Served, linked
from tests.unit.wasender.conftest import ROOT, Tokens
from tests.unit.wasender.scripted import API_KEY, REFUSED, STUBBORN, Script, ok, opened, script

ANN = "+491701234567"
SEND = f"{ROOT}/send-message"
HELLO = {"to": ANN, "text": "hi"}
TAKEN = {"success": True, "data": {"msgId": 100_000, "jid": ANN, "status": "in_progress"}}


def said(status: int, body: Any = None, **headers: str) -> CallbackResult:
    return CallbackResult(status=status, payload=body, headers=headers)


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"success": False, "message": text, **more}


async def sent(upstream: aioresponses, *answers: Any) -> tuple[Answer, Script]:
    asked = script(upstream, "POST", SEND, *answers)
    async with opened(STUBBORN) as client:
        return await Messages(client).send(API_KEY, HELLO), asked


NOT_CONNECTED = "Your Whatsapp Session is not connected please connect your session first."
STRANGER = {"to": ["The provided JID does not exist on WhatsApp."]}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (REFUSED, "not_reached"),
        (said(307, {}, Location="https://elsewhere.test"), "not_reached"),
        (said(301, {}, Location="https://www.elsewhere.test/api/send-message?a=b"), "not_reached"),
        (CallbackResult(status=403, body="<html>", content_type="text/html"), "not_reached"),
        (said(429, {"message": "slow", "retry_after": 4}), "rate_limit"),
        (said(400, message(NOT_CONNECTED)), "not_connected"),
        (said(409, message(NOT_CONNECTED)), "not_connected"),
        (said(422, message(NOT_CONNECTED)), "not_connected"),
        (said(200, message(NOT_CONNECTED)), "not_connected"),
        (said(401, message("Invalid API key")), "unauthorized"),
        (said(403, message("Active subscription or trial is required to use the API")), "subscription"),
        (said(402, message("Pay first")), "subscription"),
        (said(404, message("The specified session was not found.")), "gone"),
        (said(422, message("WhatsApp restricts new chats (error 463).")), "restricted"),
        (said(403, message("Your account is restricted")), "restricted"),
        (said(400, message("Not delivered", code=463)), "restricted"),
        (said(200, message("Not delivered (error 463)")), "restricted"),
        (said(422, message("Validation failed", errors={"to": ["error 463"]})), "restricted"),
    ],
)
async def test_what_surely_was_not_sent_may_be_sent_later(
    upstream: aioresponses, answer: Any, reason: str
) -> None:
    found, _ = await sent(upstream, answer)

    assert isinstance(found, NotSent)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (said(422, message("JID does not exist on WhatsApp", errors=STRANGER)), "not_on_whatsapp"),
        (
            said(422, message("Validation failed", errors={"text": ["The text field is required."]})),
            "invalid",
        ),
        (said(422, message("Invalid number +49 463 1234", errors={"to": ["invalid"]})), "invalid"),
        (said(413, message("The request is too large.")), "too_large"),
    ],
)
async def test_what_upstream_refuses_for_what_it_is_has_failed(
    upstream: aioresponses, answer: Any, code: str
) -> None:
    found, _ = await sent(upstream, answer)

    assert isinstance(found, Refused)
    assert found.error_code == code


@pytest.mark.parametrize(
    "answer",
    [
        said(500, message("x")),
        said(502),
        said(503, message(NOT_CONNECTED)),
        CallbackResult(status=502, body="<html>", content_type="text/html"),
        said(200, {}),
        CallbackResult(status=200, body=""),
        CallbackResult(status=200, body="<html>", content_type="text/html"),
        said(200, {"success": True, "data": {"jid": ANN}}),
        said(200, message("Something went wrong")),
        said(400, message("Something went wrong")),
        said(200, {"success": False, "message": "slow", "retry_after": 5}),
        said(408, message("Timeout")),
        said(409, message("Conflict")),
        said(302, {}, Location="https://www.wasenderapi.com/messages/sent"),
        said(303, {}, Location="https://www.wasenderapi.com/api/send-message"),
        said(302),
        ConnectionResetError(),
        TimeoutError(),
        20.0,
    ],
)
async def test_everything_else_is_unclear_and_never_tried_again(upstream: aioresponses, answer: Any) -> None:
    found, asked = await sent(upstream, answer, ok(TAKEN))

    assert isinstance(found, Unclear), found
    assert len(asked.asked_at) == 1


async def test_a_send_is_one_call_even_for_a_client_that_repeats_what_is_safe(upstream: aioresponses) -> None:
    found, asked = await sent(upstream, said(429, {"message": "slow", "retry_after": 1}), ok(TAKEN))

    assert isinstance(found, NotSent)
    assert found.retry_after_s == 1
    assert len(asked.asked_at) == 1


async def test_a_pause_that_is_kept_here_is_no_call_and_surely_not_sent(upstream: aioresponses) -> None:
    asked = script(upstream, "POST", SEND, said(429, {"message": "slow", "retry_after": 40}), ok(TAKEN))
    async with opened(STUBBORN) as client:
        messages = Messages(client)
        await messages.send(API_KEY, HELLO)
        held = await messages.send(API_KEY, HELLO)

    assert isinstance(held, NotSent)
    assert held.reason == "rate_limit"
    assert held.retry_after_s is not None
    assert held.retry_after_s > 39
    assert len(asked.asked_at) == 1


async def test_the_last_send_of_a_window_says_when_the_next_one_begins(upstream: aioresponses) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}
    found, _ = await sent(upstream, said(200, TAKEN, **headers))
    plain, _ = await sent(upstream, said(200, TAKEN))

    assert isinstance(found, Accepted)
    assert found.msg_id == 100_000
    assert found.spent_s == pytest.approx(30, abs=0.1)
    assert isinstance(plain, Accepted)


async def test_neither_key_nor_token_stands_in_an_answer(upstream: aioresponses) -> None:
    found, _ = await sent(upstream, said(422, message(f"bad key {API_KEY}", errors={API_KEY: ["x"]})))

    assert API_KEY not in repr(found)


# ---------------------------------------------------------------------------------------------- real sockets


@pytest.fixture
async def simulated(served: Served) -> AsyncIterator[Messages]:
    token = served.simulator.account_token
    async with WasenderClient(served.base, Tokens(token, token), timeouts=Timeouts(2)) as client:
        yield Messages(client)


@pytest.mark.parametrize(
    "switch",
    [
        {"drop": "before"}, {"drop": "after"}, {"status": 500}, {"status": 500, "after": True}, {"html": True},
        {"html": True, "after": True}, {"empty": True, "after": True}, {"empty": True},
        {"status": 429, "retry_after": 3}, {"status": 401}, {"status": 403}, {"status": 404}, {"status": 422},
        {"status": 400}, {"status": 408, "after": True}, {"status": 302, "after": True},
        {"hang": True},
        {"hang": True, "after": True}, {"status": 503, "after": True}, {"delay_ms": 5},
    ],
)  # fmt: skip
async def test_no_answer_contradicts_what_upstream_has_accepted(
    served: Served, receiver: Receiver, simulated: Messages, switch: dict[str, Any]
) -> None:
    key = (await linked(served, receiver))["api_key"]
    await served.control("POST", "/faults", {"path": "/send-message", **switch})
    found = await simulated.send(key, HELLO)
    accepted = [row["msgId"] for row in (await served.control("GET", "/sends")).data]

    match found:
        case Accepted():
            assert accepted == [found.msg_id]
        case NotSent() | Refused():
            assert accepted == []
        case Unclear():
            assert len(accepted) <= 1


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        ({"mode": "restricted"}, "restricted"),
        ({"not_on_whatsapp": [ANN]}, "not_on_whatsapp"),
        ({"has_subscription": False}, "subscription"),
    ],
)
async def test_the_simulators_own_refusals_are_understood(
    served: Served, receiver: Receiver, simulated: Messages, prepare: dict[str, Any], reason: str
) -> None:
    key = (await linked(served, receiver))["api_key"]
    path = {"mode": "/faults", "not_on_whatsapp": "/numbers", "has_subscription": "/settings"}[
        next(iter(prepare))
    ]
    assert (await served.control("POST", path, prepare)).status == 200
    found = await simulated.send(key, HELLO)

    assert reason == (found.error_code if isinstance(found, Refused) else getattr(found, "reason", found))


async def test_a_message_is_bridged_edited_read_and_deleted(
    served: Served, receiver: Receiver, simulated: Messages
) -> None:
    key = (await linked(served, receiver))["api_key"]
    taken = await simulated.send(key, HELLO)
    assert isinstance(taken, Accepted)
    await receiver.wait_for_events("message.sent")
    info = await simulated.info(key, taken.msg_id)
    (row,) = (await served.control("GET", "/sends")).data
    await simulated.edit(key, taken.msg_id, "ho")
    await simulated.show_presence(key, "491701234567@s.whatsapp.net", "composing")
    await simulated.mark_read(key, {"id": "X", "remoteJid": "1@lid", "fromMe": False})
    await simulated.delete(key, taken.msg_id)

    assert (info.key_id, info.chat) == (row["key_id"], "491701234567@s.whatsapp.net")
    assert info.state in (
        DeliveryState.QUEUED,
        DeliveryState.SENT,
        DeliveryState.DELIVERED,
        DeliveryState.READ,
    )
    for gone in (simulated.info(key, taken.msg_id), simulated.delete(key, taken.msg_id)):
        with pytest.raises(NotFound, match="does not know this message"):
            await gone


async def test_a_session_that_is_gone_is_not_taken_for_a_message(upstream: aioresponses) -> None:
    missing = said(404, {"success": False, "error": "The specified session was not found."})
    script(upstream, "GET", f"{ROOT}/messages/5/info", missing)
    async with opened(STUBBORN) as client:
        with pytest.raises(SessionNotFound):
            await Messages(client).info(API_KEY, 5)


async def test_addresses_find_each_other(served: Served, receiver: Receiver, simulated: Messages) -> None:
    key = (await linked(served, receiver))["api_key"]
    inbound = await served.control("POST", "/sessions/1/inbound", {"from": ANN, "text": "hi"})
    lid = inbound.data["chat"]
    await served.control("POST", "/numbers", {"not_on_whatsapp": ["+49301"]})

    assert await simulated.lid_of(key, "491701234567") == lid
    assert await simulated.phone_jid_of(key, lid) == "491701234567@s.whatsapp.net"
    assert await simulated.phone_jid_of(key, "1@lid") is None
    assert await simulated.is_on_whatsapp(key, ANN)
    assert not await simulated.is_on_whatsapp(key, "+49301")


async def test_a_file_is_uploaded_as_it_comes_and_sent(
    served: Served, receiver: Receiver, simulated: Messages
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        content = samples.sample("image")
        yield content[:1000]
        yield content[1000:]

    key = (await linked(served, receiver))["api_key"]
    url = await simulated.upload(key, Upload(chunks(), "image/jpeg", len(samples.sample("image"))))
    await simulated.send(key, {"to": ANN, "imageUrl": url})
    (row,) = (await served.control("GET", "/sends")).data

    assert row["media"]["bytes"] == len(samples.sample("image"))


async def test_an_upload_without_an_address_is_an_error(upstream: aioresponses) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b"x"

    script(upstream, "POST", f"{ROOT}/upload", said(200, {"success": True}))
    async with opened(STUBBORN) as client:
        with pytest.raises(UpstreamFailed, match="did not say where"):
            await Messages(client).upload(API_KEY, Upload(nothing(), "image/png", 1))


async def test_every_send_has_a_connection_of_its_own_and_other_calls_share_one() -> None:
    """The server may close a kept one just as a request is written; then it cannot be said what happened."""
    peers: dict[str, list[Any]] = {"/api/send-message": [], "/api/status": []}

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers[request.path].append(request.transport.get_extra_info("peername"))
        return web.json_response(TAKEN if request.method == "POST" else {"status": "connected"})

    app = web.Application()
    app.router.add_route("*", "/api/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        async with WasenderClient(f"http://{host}:{port}", Tokens()) as client:
            for _ in range(3):
                await Messages(client).send(API_KEY, HELLO)
                await client.get_status(API_KEY)
    finally:
        await runner.cleanup()

    assert len(set(peers["/api/send-message"])) == 3
    assert len(set(peers["/api/status"])) == 1

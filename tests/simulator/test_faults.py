"""Fault switches on the API, and that they go away again."""

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import aiohttp
import pytest
import uvloop

from tests.simulator.support import PATIENCE_S, MovedClock, Served, serving


async def fault(served: Served, **switch: Any) -> None:
    reply = await served.control("POST", "/faults", switch)
    assert reply.status == 200, reply.text


async def test_a_status_fault_hits_as_often_as_it_says(served: Served) -> None:
    await fault(served, path="/whatsapp-sessions", status=503, times=2)
    statuses = [(await served.account("GET", "/whatsapp-sessions")).status for _ in range(3)]

    assert statuses == [503, 503, 200]


async def test_a_fault_can_answer_429_with_the_time_to_wait(served: Served) -> None:
    await fault(served, path="/whatsapp-sessions", status=429, retry_after=7)

    assert (await served.account("GET", "/whatsapp-sessions")).json["retry_after"] == 7


@pytest.mark.parametrize(
    ("path", "hit"),
    [
        ("/whatsapp-sessions", True),
        ("/whatsapp-sessions/1", True),
        ("/whatsapp-sessions/{id}/qrcode", True),
        ("/whatsapp-sessions/*/qrcode", True),
        ("/api/whatsapp-sessions/1/qrcode", True),
        ("/simulator/api/whatsapp-sessions/1/qrcode", True),
        ("/whatsapp-sessions/2", False),
        ("/whatsapp", False),
        ("/*/connect", False),
    ],
)
async def test_a_fault_is_found_by_path_prefix_or_pattern(served: Served, path: str, hit: bool) -> None:
    await served.create()
    await fault(served, path=path, status=418)
    reply = await served.account("GET", "/whatsapp-sessions/1/qrcode")

    assert (reply.status == 418) is hit


async def test_a_fault_can_be_for_one_method_only(served: Served) -> None:
    await fault(served, path="/whatsapp-sessions", method="post", status=500)

    assert (await served.account("GET", "/whatsapp-sessions")).status == 200
    assert (await served.account("POST", "/whatsapp-sessions", {})).status == 500


async def test_an_html_fault_looks_like_a_broken_proxy(served: Served) -> None:
    await fault(served, path="/status", html=True)
    reply = await served.account("GET", "/status")

    assert reply.status == 502
    assert reply.headers["Content-Type"].startswith("text/html")


async def test_an_empty_fault_has_no_body(served: Served) -> None:
    await fault(served, path="/status", empty=True)
    reply = await served.account("GET", "/status")

    assert (reply.status, reply.text) == (200, "")


async def test_a_dropped_request_gets_no_answer_at_all(served: Served) -> None:
    await fault(served, path="/whatsapp-sessions", drop=True)

    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await served.account("POST", "/whatsapp-sessions", {"name": "x"})
    assert (await served.account("GET", "/whatsapp-sessions")).data == []


@pytest.mark.parametrize("http_protocol", ["h11", "httptools"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_drop_is_a_drop_on_every_protocol_and_loop(
    http_protocol: Literal["h11", "httptools"], loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def scenario() -> bytes:
        async with serving(http_protocol=http_protocol) as served:
            await fault(served, path="/status", drop=True)
            host, port = served.base.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                async with asyncio.timeout(PATIENCE_S):
                    return await reader.read()
            except ConnectionResetError:
                return b"reset"
            finally:
                writer.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(scenario()) == b"reset"


async def test_a_send_can_be_carried_out_and_then_dropped(served: Served) -> None:
    key = (await served.create())["api_key"]
    await served.link(1)
    await fault(served, path="/send-message", drop="after")

    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await served.call("POST", "/api/send-message", {"to": "+491701234567", "text": "hi"}, token=key)
    rows = (await served.account("GET", "/whatsapp-sessions/1/message-logs")).data["data"]
    assert [row["to"] for row in rows] == ["+491701234567"]


async def test_a_hanging_request_ends_when_faults_are_cleared(served: Served) -> None:
    await fault(served, path="/send-message", hang=True)
    # A POST: aiohttp repeats a GET by itself when a connection it has used before is cut.
    hanging = asyncio.create_task(served.account("POST", "/send-message"), name="test-hanging")
    async with asyncio.timeout(PATIENCE_S):
        while (await served.control("GET", "/faults")).data:  # taken once the request is inside
            pass
    assert not hanging.done()

    await served.control("DELETE", "/faults")
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await hanging


async def test_a_delayed_answer_is_the_true_one() -> None:
    clock = MovedClock()
    async with serving(clock=clock) as served:
        await fault(served, path="/auth-check", delay_ms=60_000)
        slow = asyncio.create_task(served.account("GET", "/auth-check"), name="test-slow")
        async with asyncio.timeout(PATIENCE_S):
            while (await served.control("GET", "/faults")).data:
                pass
        assert not slow.done()
        clock.move(60)

        assert (await slow).json == {"success": True}


async def test_a_slow_code_is_missing_from_the_reply_and_comes_later(served: Served) -> None:
    await served.create()
    await fault(served, mode="slow_qr")
    reply = await served.account("POST", "/whatsapp-sessions/1/connect")
    await served.wait_for_status(1, "need_scan")

    assert reply.data == {"status": "NEED_SCAN"}
    assert (await served.account("GET", "/whatsapp-sessions/1/qrcode")).data["qrCode"]


async def test_a_failed_push_of_webhook_settings_is_a_warning(served: Served) -> None:
    await served.create()
    await served.link(1)
    await fault(served, mode="webhook_sync_fails")
    reply = await served.account("PUT", "/whatsapp-sessions/1", {"webhook_enabled": False})

    assert reply.status == 200
    assert "failed to sync webhook settings" in reply.json["warning"]


@pytest.mark.parametrize(
    ("switch", "word"),
    [
        ({}, "path"),
        ({"path": "status", "status": 500}, "path"),
        ({"path": "/status"}, "needs one of"),
        ({"path": "/status", "status": 42}, "status"),
        ({"path": "/status", "status": 500, "times": 0}, "times"),
        ({"path": "/status", "delay_ms": -1}, "delay_ms"),
        ({"path": "/status", "drop": "maybe"}, "drop"),
        ({"path": "/status", "status": 500, "tiems": 2}, "tiems"),
        ({"mode": "unheard-of"}, "mode"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused_in_one_sentence(
    served: Served, switch: dict[str, Any], word: str
) -> None:
    reply = await served.control("POST", "/faults", switch)

    assert reply.status == 422
    assert word in reply.json["error"]
    assert (await served.control("GET", "/faults")).data == []

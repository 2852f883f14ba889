"""What is still waiting for Postgres when the gateway has to end is told to come again, and leaves no traceback."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from gateway.http.prefix import Prefix
from gateway.realtime.close_codes import RESTART
from gateway.runtime.service_manager import ServiceManager
from gateway.runtime.starting import StartingApp

HTTP = {"type": "http", "method": "GET", "path": "/api/sessions", "headers": []}


async def cut_short(scope: Scope, begun: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a client is sent by a gateway that ends while its own app waits, after it has sent `begun`."""
    waits = asyncio.Event()
    sent: list[dict[str, Any]] = []

    async def hangs(_: Scope, receive: Receive, send: Send) -> None:
        for message in begun:
            await send(message)
        waits.set()
        await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] in {one["type"] for one in sent} - {"http.response.body"}:
            raise RuntimeError("twice")  # as uvicorn does
        sent.append(message)

    app = StartingApp(Prefix(""), ServiceManager({}))
    await app.hand_over(hangs)
    task = asyncio.create_task(app(scope, receive, send))
    await waits.wait()
    task.cancel()
    await task
    return sent[len(begun) :]


async def test_a_request_gets_503_and_when_to_come_again() -> None:
    start, body = await cut_short(HTTP, [])

    assert start["status"] == 503
    assert (b"retry-after", b"2") in [(name.lower(), value) for name, value in start["headers"]]
    assert b"The gateway restarts. Send it again." in body["body"]


async def test_an_answer_that_has_begun_just_ends() -> None:
    assert await cut_short(HTTP, [{"type": "http.response.start", "status": 200, "headers": []}]) == []


@pytest.mark.parametrize("is_accepted", [False, True])
async def test_a_socket_is_closed_as_by_a_restart(is_accepted: bool) -> None:
    sent = await cut_short({"type": "websocket", "path": "/ws"}, [{"type": "websocket.accept"}] * is_accepted)

    assert sent[-1] == {"type": "websocket.close", "code": RESTART, "reason": "The gateway restarts."}
    assert len(sent) == 2 - is_accepted

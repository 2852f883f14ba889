"""A real gateway is asked to end while hundreds of browsers hang on it, one of which reads nothing, and webhooks
keep coming: everybody is told, every acknowledged webhook is in the table, and it ends by itself with code 0.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.launcher.terminal import Terminal
from tests.processes.draining import Draining, served, sockets_of, told_and_closed
from tests.realtime.live import sluggish

MANY = 300


@pytest_asyncio.fixture
async def gateway(terminal: Terminal, database: str, free_port: int) -> AsyncIterator[Draining]:
    async with served(terminal, database, free_port) as started:
        yield started


async def test_hundreds_are_told_and_closed_and_no_acknowledged_webhook_is_missing(gateway: Draining) -> None:
    async with contextlib.AsyncExitStack() as stack:
        sockets = await sockets_of(gateway.remote, stack, MANY)
        deaf = await stack.enter_async_context(sluggish(gateway.remote))
        await deaf.subscribe("inbox:*")
        posting = asyncio.create_task(gateway.keep_posting())
        while len(gateway.acknowledged) < 20:  # noqa: ASYNC110  the task tells nobody
            await asyncio.sleep(0.01)
        gateway.serve.send(signal.SIGTERM)
        farewells = await asyncio.gather(*(told_and_closed(socket) for socket in sockets))
        after_the_closes = len(gateway.acknowledged)
        # The one that reads nothing is still being waited for.
        status, readiness = await gateway.remote.call("GET", "/readyz")
        assert (status, readiness["status"]) == (503, "draining")
        late = await stack.enter_async_context(sluggish(gateway.remote, expect_welcome=False))
        while late.closed is None:
            assert await late.read()
        assert late.closed == 1012

        ended = await gateway.serve.end()
        await posting

    assert {code for _, code in farewells} == {1012}
    assert len({ms for ms, _ in farewells}) > MANY / 2
    assert len(gateway.acknowledged) > after_the_closes, (
        "no webhook was taken while the last socket was waited for"
    )
    assert ended.code == 0, ended
    assert "Traceback" not in ended.err
    assert set(gateway.acknowledged) <= await gateway.stored()


async def test_a_client_that_has_stopped_reading_in_the_middle_of_a_flood_holds_nobody_up(
    gateway: Draining,
) -> None:
    async with sluggish(gateway.remote) as deaf:
        await deaf.subscribe("inbox:12")
        await gateway.db.execute(
            "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, wasender_session_id)"
            " SELECT 'M' || i, '49', repeat('x', 100000), 12 FROM generate_series(1, 100) AS i"
        )
        async with gateway.remote.socket() as quick:
            await quick.subscribe("inbox:12")
            assert await gateway.post() == 200
            await quick.event("message.created")
            ended = await gateway.serve.end(signal.SIGTERM)

    assert ended.code == 0, ended
    assert "timeout graceful shutdown exceeded" not in ended.err

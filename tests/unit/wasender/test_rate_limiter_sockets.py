"""Pace over real connections, against the simulator: one session hangs, fifty others go on."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.domain.errors import UpstreamTimeout
from gateway.wasender.client import WasenderClient
from gateway.wasender.http_transport import Timeouts
from tests.simulator.support import PATIENCE_S, QUICK, Served, serving
from tests.unit.wasender.conftest import Tokens
from tests.unit.wasender.scripted import STUBBORN

OTHERS = 50


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(settings=replace(QUICK, session_limit=OTHERS + 1)) as served:
        yield served


def client_of(served: Served, timeout_s: float) -> WasenderClient:
    token = served.simulator.account_token
    return WasenderClient(served.base, Tokens(token, token), timeouts=Timeouts(timeout_s))


async def test_while_one_session_hangs_fifty_others_are_answered(served: Served) -> None:
    hung, *others = [(await served.create())["id"] for _ in range(OTHERS + 1)]
    fault = {"path": f"/api/whatsapp-sessions/{hung}", "hang": True, "times": None}
    await served.control("POST", "/faults", fault)

    async def poll(client: WasenderClient, session_id: int) -> None:
        for _ in range(5):
            await client.get_session(session_id)

    # The time-out is never reached: the test ends the hanging calls itself.
    async with asyncio.timeout(PATIENCE_S), client_of(served, timeout_s=PATIENCE_S) as client:
        stuck = [asyncio.create_task(client.get_session(hung), name=f"hangs-{n}") for n in range(20)]
        await asyncio.gather(*(poll(client, session_id) for session_id in others))

        assert not any(call.done() for call in stuck)
        for call in stuck:
            call.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)


async def test_a_session_that_hangs_is_answered_again_when_upstream_lets_it_go(served: Served) -> None:
    session_id = (await served.create())["id"]
    fault = {"path": f"/api/whatsapp-sessions/{session_id}", "hang": True, "times": 2}
    await served.control("POST", "/faults", fault)

    async with client_of(served, timeout_s=0.1) as client:
        with pytest.raises(UpstreamTimeout):
            await client.get_session(session_id)
        assert (await client.with_retry_policy(STUBBORN).get_session(session_id)).id == session_id

"""How the client keeps the pauses that upstream's answers ask for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aioresponses import CallbackResult, aioresponses

from gateway.domain.errors import UpstreamRateLimited
from gateway.wasender import calls as orders
from tests.clock import EPOCH, now, virtual_time
from tests.unit.wasender.conftest import ROOT
from tests.unit.wasender.scripted import (
    API_KEY,
    LIST,
    ONE,
    SENT,
    SESSION,
    STUBBORN,
    ok,
    opened,
    paced,
    script,
)


async def after(seconds: float, call: Callable[[], Awaitable[Any]]) -> None:
    await asyncio.sleep(seconds)
    await call()


@pytest.mark.parametrize(
    "answer",
    [
        paced(7),
        CallbackResult(status=429, headers={"Retry-After": "7"}),
        CallbackResult(status=429, headers={"Retry-After": "Fri, 15 Jan 2027 08:00:07 GMT"}),
        CallbackResult(status=429, headers={"X-RateLimit-Reset": "7"}),
        CallbackResult(status=429, headers={"X-RateLimit-Reset": str(int(EPOCH) + 7)}),
        CallbackResult(status=400, payload={"message": "Too many requests", "retry_after": 7}),
    ],
    ids=["retry_after", "seconds", "date", "relative", "absolute", "400"],
)
@virtual_time
async def test_a_refused_call_is_made_again_when_upstream_said_so(
    upstream: aioresponses, answer: CallbackResult
) -> None:
    asked = script(upstream, "GET", ONE, answer, ok())

    async with opened() as client:
        await client.get_session(12)

    assert asked.asked_at == [0, pytest.approx(7.5, abs=0.11)]


@virtual_time
async def test_an_upstream_in_maintenance_is_asked_again_when_it_said_so(upstream: aioresponses) -> None:
    asked = script(upstream, "GET", ONE, CallbackResult(status=503, headers={"Retry-After": "4"}), ok())

    async with opened() as client:
        await client.get_session(12)

    assert asked.asked_at == [0, 4]


@pytest.mark.parametrize("seconds", [11, 86_400])
@virtual_time
async def test_a_pause_longer_than_the_callers_patience_is_an_error_that_names_its_end(
    upstream: aioresponses, seconds: float
) -> None:
    asked = script(upstream, "GET", ONE, paced(seconds))

    async with opened() as client:
        with pytest.raises(UpstreamRateLimited, match="slow") as refused:
            await client.get_session(12)
        with pytest.raises(UpstreamRateLimited, match="not called") as held:
            await client.get_session(12)

    assert refused.value.retry_after_s == seconds
    assert held.value.retry_after_s == pytest.approx(seconds, abs=0.6)
    assert asked.asked_at == [0]


@virtual_time
async def test_a_refusal_of_one_session_pauses_its_other_calls_and_no_other_session(
    upstream: aioresponses,
) -> None:
    script(upstream, "GET", ONE, paced(5), ok())
    code = script(upstream, "GET", f"{ONE}/qrcode", ok({"data": {"qrCode": None}}))
    other = script(upstream, "GET", f"{LIST}/13", ok())
    listed = script(upstream, "GET", LIST, ok({"data": []}))

    async with opened() as client:
        await asyncio.gather(
            client.get_session(12), after(0.1, lambda: client.get_qr_code(12)),
            after(0.1, lambda: client.get_session(13)), after(0.1, client.list_sessions),
        )  # fmt: skip

    assert (code.asked_at, other.asked_at, listed.asked_at) == ([5.5], [0.1], [0.1])


@virtual_time
async def test_a_refusal_of_an_account_call_pauses_no_session(upstream: aioresponses) -> None:
    listed = script(upstream, "GET", LIST, paced(5), ok({"data": []}))
    one = script(upstream, "GET", ONE, ok())

    async with opened() as client:
        await asyncio.gather(client.list_sessions(), after(0.1, lambda: client.get_session(12)))

    assert (listed.asked_at, one.asked_at) == ([0, 5.5], [0.1])


@virtual_time
async def test_callers_of_every_patience_share_one_pace(upstream: aioresponses) -> None:
    script(upstream, "GET", ONE, paced(5), ok())

    async with opened(orders.ONCE) as poller:
        with pytest.raises(UpstreamRateLimited):
            await poller.get_session(12)
        patient = poller.with_retry_policy(STUBBORN)
        assert (await patient.get_session(12)).id == 12

    assert now() - EPOCH == pytest.approx(5.5, abs=0.01)


@pytest.mark.parametrize("reset", ["5", str(int(EPOCH) + 5)], ids=["relative", "absolute"])
@virtual_time
async def test_the_last_message_of_a_window_waits_for_no_refusal_to_pause_the_next(
    upstream: aioresponses, reset: str
) -> None:
    spent = ok(SENT, **{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
    asked = script(upstream, "POST", f"{ROOT}/send-message", spent)
    status = script(upstream, "GET", f"{ROOT}/status", ok({"status": "connected"}))

    async with opened() as client:
        for _ in range(3):
            await client.send_message(API_KEY, {"to": "+1"})
            await client.get_status(API_KEY)

    assert asked.asked_at[:2] == [0, 5.5]
    assert status.asked_at == asked.asked_at  # messages pause alone


@pytest.mark.parametrize("reset", ["3600", str(int(EPOCH) + 3600), "soon", ""])
@virtual_time
async def test_a_success_that_names_no_end_of_its_window_within_a_minute_pauses_nothing(
    upstream: aioresponses, reset: str
) -> None:
    spent = ok(SENT, **{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
    asked = script(upstream, "POST", f"{ROOT}/send-message", spent)

    async with opened() as client:
        for _ in range(2):
            await client.send_message(API_KEY, {"to": "+1"})

    assert asked.asked_at == [0, 0]


@virtual_time
async def test_a_spent_window_of_calls_that_nobody_limits_pauses_nothing(upstream: aioresponses) -> None:
    spent = ok(SESSION, **{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "50"})
    asked = script(upstream, "GET", ONE, spent)

    async with opened(orders.ONCE) as client:
        await client.get_session(12)
        await client.get_session(12)

    assert asked.asked_at == [0, 0]


@virtual_time
async def test_a_spent_window_is_believed_once_a_call_was_refused(upstream: aioresponses) -> None:
    spent = ok(SESSION, **{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "5"})
    asked = script(upstream, "GET", ONE, paced(1), spent, ok())

    async with opened() as client:
        await client.get_session(12)
        await client.get_session(12)

    assert asked.asked_at == [0, 1.5, 7]

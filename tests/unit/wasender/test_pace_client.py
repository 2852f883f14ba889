"""What the client repeats and what it never repeats, and that one session's trouble is nobody else's."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aioresponses import CallbackResult, aioresponses
from prometheus_client import REGISTRY

from gateway.domain.errors import (
    SessionNotFound,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from gateway.wasender import calls as orders
from gateway.wasender.calls import RetryPolicy
from gateway.wasender.client import WasenderClient
from tests.clock import EPOCH, now, virtual_time
from tests.unit.wasender.conftest import ROOT
from tests.unit.wasender.scripted import (
    API_KEY,
    LIST,
    ONE,
    REFUSED,
    STUBBORN,
    TIMEOUT_S,
    UNAVAILABLE,
    Answer,
    ok,
    opened,
    paced,
    script,
)

Call = Callable[[WasenderClient], Awaitable[Any]]

CONNECT: Call = lambda c: c.connect_session(12)  # noqa: E731
READ: Call = lambda c: c.get_session(12)  # noqa: E731
CALLS: dict[str, tuple[Call, str, str]] = {
    "auth_check": (lambda c: c.auth_check(), "GET", f"{ROOT}/auth-check"),
    "list": (lambda c: c.list_sessions(), "GET", LIST),
    "read": (READ, "GET", ONE),
    "code": (lambda c: c.get_qr_code(12), "GET", f"{ONE}/qrcode"),
    "session_logs": (lambda c: c.get_session_logs(12), "GET", f"{ONE}/session-logs?page=1&per_page=50"),
    "status": (lambda c: c.get_status(API_KEY), "GET", f"{ROOT}/status"),
    "user": (lambda c: c.get_user(API_KEY), "GET", f"{ROOT}/user"),
    "update": (lambda c: c.update_session(12, {"name": "A"}), "PUT", ONE),
    "delete": (lambda c: c.delete_session(12), "DELETE", ONE),
    "connect": (CONNECT, "POST", f"{ONE}/connect"),
    "disconnect": (lambda c: c.disconnect_session(12), "POST", f"{ONE}/disconnect"),
    "create": (lambda c: c.create_session({"name": "A"}), "POST", LIST),
    "send": (lambda c: c.send_message(API_KEY, {"to": "+1"}), "POST", f"{ROOT}/send-message"),
    "regenerate_key": (lambda c: c.regenerate_key(12), "POST", f"{ONE}/regenerate-key"),
    "restart": (lambda c: c.restart_session(12), "POST", f"{ONE}/restart"),
}
READS = {"auth_check", "list", "read", "code", "session_logs", "status", "user"}
ONCE_ONLY = {"create", "send", "regenerate_key", "restart"}


# ------------------------------------------------------------------------------------------ what is repeated


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("failure", "repeated"),
    [
        (paced(1), set(CALLS)),
        (REFUSED, set(CALLS)),
        (UNAVAILABLE, set(CALLS) - ONCE_ONLY),
        (CallbackResult(status=502, body="<html>"), set(CALLS) - ONCE_ONLY),
        (CallbackResult(status=504), READS),
        (60.0, READS),
        (OSError("reset"), READS),
        (CallbackResult(status=500), set[str]()),
        (CallbackResult(status=422, payload={"errors": {}}), set[str]()),
        (CallbackResult(status=403, payload={}), set[str]()),
    ],
    ids=["429", "refused", "503", "502", "504", "time-out", "reset", "500", "422", "403"],
)
@virtual_time
async def test_a_call_is_made_again_only_where_that_is_safe(
    upstream: aioresponses, name: str, failure: Answer, repeated: set[str]
) -> None:
    call, method, url = CALLS[name]
    asked = script(upstream, method, url, failure)

    async with opened(RetryPolicy(repeats=1, pause_s=10, total_s=30)) as client:
        with pytest.raises(UpstreamError):
            await call(client)

    assert len(asked.asked_at) == (2 if name in repeated else 1)


@virtual_time
async def test_a_client_without_patience_repeats_nothing(upstream: aioresponses) -> None:
    asked = script(upstream, "GET", ONE, UNAVAILABLE, ok())

    async with opened(orders.ONCE) as client:
        with pytest.raises(UpstreamFailed):
            await client.get_session(12)

    assert len(asked.asked_at) == 1


@virtual_time
async def test_what_passes_is_not_seen_by_a_patient_caller(upstream: aioresponses) -> None:
    script(upstream, "GET", ONE, UNAVAILABLE, REFUSED, CallbackResult(status=502), ok())

    async with opened() as client:
        assert (await client.get_session(12)).id == 12


@virtual_time
async def test_the_waits_grow_and_are_spread_over_their_whole_length(upstream: aioresponses) -> None:
    asked = script(upstream, "GET", ONE, UNAVAILABLE)

    async with opened(RetryPolicy(repeats=6, pause_s=10, total_s=60), roll=0.5) as client:
        with pytest.raises(UpstreamFailed):
            await client.get_session(12)

    gaps = [round(b - a, 2) for a, b in zip(asked.asked_at, asked.asked_at[1:], strict=False)]
    assert gaps == pytest.approx([0.25, 0.5, 1, 2, 4, 4], abs=0.11)


@virtual_time
async def test_what_is_down_for_long_ends_in_an_error_within_the_callers_patience(
    upstream: aioresponses,
) -> None:
    script(upstream, "GET", ONE, UNAVAILABLE)

    async with opened(RetryPolicy(repeats=1000, pause_s=10, total_s=20), roll=0.9) as client:
        with pytest.raises(UpstreamFailed, match="503"):
            await client.get_session(12)

    assert now() - EPOCH <= 20


@virtual_time
async def test_a_hanging_read_ends_at_most_one_timeout_after_the_callers_patience(
    upstream: aioresponses,
) -> None:
    asked = script(upstream, "GET", ONE, 3600.0)

    async with opened() as client:
        with pytest.raises(UpstreamTimeout):
            await client.get_session(12)

    assert len(asked.asked_at) == 2
    assert now() - EPOCH <= STUBBORN.total_s + TIMEOUT_S


@virtual_time
async def test_a_deletion_whose_first_answer_was_lost_says_that_the_session_is_gone(
    upstream: aioresponses,
) -> None:
    script(upstream, "DELETE", ONE, CallbackResult(status=502), CallbackResult(status=404, payload={}))

    async with opened() as client:
        with pytest.raises(SessionNotFound):
            await client.delete_session(12)


@virtual_time
async def test_a_disconnection_whose_first_answer_was_lost_is_done(upstream: aioresponses) -> None:
    gone = CallbackResult(status=400, payload={"success": False, "error": "Session is not connected."})
    script(upstream, "POST", f"{ONE}/disconnect", CallbackResult(status=502), gone)

    async with opened() as client:
        assert await client.disconnect_session(12) == "disconnected"


# ------------------------------------------------------------------------------------------ many sessions


@virtual_time
async def test_one_session_that_hangs_delays_no_other_through_the_client(upstream: aioresponses) -> None:
    hanging = script(upstream, "GET", f"{LIST}/0", 3600.0)
    others = [script(upstream, "GET", f"{LIST}/{number}", ok()) for number in range(1, 51)]

    async def poll(client: WasenderClient, session_id: int) -> None:
        for _ in range(20):
            await client.get_session(session_id)
            await asyncio.sleep(1.0)

    async with opened(orders.ONCE) as client:
        stuck = [asyncio.create_task(client.get_session(0), name=f"hangs-{n}") for n in range(20)]
        await asyncio.gather(*(poll(client, session_id) for session_id in range(1, 51)))
        await asyncio.gather(*stuck, return_exceptions=True)

    assert all(other.asked_at == [float(second) for second in range(20)] for other in others)
    assert hanging.asked_at == [0, 0]  # the rest gave up before a place was free


# ------------------------------------------------------------------------------------------ counters


def counted(call: str, outcome: str) -> float:
    return (
        REGISTRY.get_sample_value("gateway_upstream_calls_total", {"call": call, "outcome": outcome}) or 0.0
    )


@virtual_time
async def test_every_try_is_counted_by_call_and_outcome_and_nothing_else(upstream: aioresponses) -> None:
    outcomes = ("failed", "not_reached", "timeout", "rate_limited", "held", "ok")
    before = {outcome: counted("get_user", outcome) for outcome in outcomes}
    waits = REGISTRY.get_sample_value("gateway_upstream_wait_seconds_count") or 0.0
    user = ok({"data": {"id": "1"}})
    script(upstream, "GET", f"{ROOT}/user", UNAVAILABLE, REFUSED, 60.0, user, paced(60), user)

    async with opened(RetryPolicy(repeats=3, pause_s=10, total_s=60)) as client:
        await client.get_user(API_KEY)
        for _ in range(2):
            with pytest.raises(UpstreamRateLimited):
                await client.get_user(API_KEY)

    assert {outcome: counted("get_user", outcome) - before[outcome] for outcome in outcomes} == dict.fromkeys(
        outcomes, 1.0
    )
    assert (REGISTRY.get_sample_value("gateway_upstream_wait_seconds_count") or 0.0) - waits == 5
    labels = {
        name
        for metric in REGISTRY.collect()
        if metric.name.startswith("gateway_upstream")
        for sample in metric.samples
        for name in sample.labels
    }
    assert labels <= {"call", "outcome", "le"}

"""One attempt from connect to its end, on a clock that jumps."""

import asyncio

import pytest

from gateway.domain.errors import (
    GatewayError,
    SessionNotFound,
    UpstreamFailed,
    UpstreamLimit,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from gateway.domain.linking import Limits
from gateway.domain.session import ConnectReply
from tests.clock import now, virtual_time
from tests.unit.services.link_fakes import HANG, A, B, C, FakeUpstream, World, codes, scanned_at, world

# ------------------------------------------------------------------------------------------ the usual way


@virtual_time
async def test_a_phone_is_linked_from_connect_to_connected() -> None:
    w = world(scanned_at(30))
    async with w.gateway() as gateway:
        attempt = await gateway.connect()
        assert (attempt.running, attempt.actor, attempt.code) == (True, "Ann", None)
        await w.until(lambda: w.attempt().code == A, 5)
        await w.until(lambda: w.attempt().code == B, 25)
        await w.until(lambda: w.attempt().scanned_at is not None, 15)
        ended = await w.until_ended()

    assert (ended.reason, ended.error, ended.number) == ("connected", None, 2)
    assert w.events() == ["link_started", "qr_generated", "qr_generated", "scanned", "connected"]
    assert [status for status, _ in w.store.statuses[12]] == [
        "connecting",
        "need_scan",
        "connecting",
        "connected",
    ]
    assert w.linked == [12]
    assert w.upstream.count("connect") == 1
    assert w.leases.owners == {}


@virtual_time
async def test_connect_answers_before_upstream_does() -> None:
    w = world([])
    w.upstream.faults["connect"] = [HANG]
    async with w.gateway() as gateway:
        start = now()
        attempt = await gateway.connect()

        assert attempt.running
        assert now() - start < 0.1


@virtual_time
async def test_the_code_of_the_connect_reply_is_shown_at_once() -> None:
    w = world(codes(A))
    w.upstream.reply = ConnectReply("need_scan", A)
    async with w.gateway() as gateway:
        await gateway.connect()
        took = await w.until(lambda: w.attempt().code == A)

    assert took < 0.1
    assert w.attempt().expires_at == pytest.approx(now() + 60, abs=1)


@virtual_time
async def test_no_log_row_holds_a_code() -> None:
    w = world(scanned_at(30))
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until_ended()

    assert A not in str(w.log)
    assert [row[2]["attempt"] for row in w.log if row[1] == "qr_generated"] == [1, 2]


@virtual_time
async def test_upstream_is_asked_every_two_seconds() -> None:
    w = world(codes(A, B, C))
    async with w.gateway() as gateway:
        await gateway.connect()
        await asyncio.sleep(60)

    polls = w.upstream.count("status")
    assert 28 <= polls <= 40
    assert polls == w.upstream.count("code")


# ------------------------------------------------------------------------------------------ ends


@virtual_time
async def test_75_s_without_anything_new_end_in_a_timeout() -> None:
    w = world([(0, "connecting", None)])
    async with w.gateway() as gateway:
        await gateway.connect()
        ended = await w.until_ended()

    assert ended.reason == "timeout"
    assert ended.ended_at is not None
    assert 75 <= ended.ended_at - ended.started_at < 76
    assert w.events() == ["link_started", "link_timeout"]


@virtual_time
async def test_a_new_status_starts_the_idle_time_again() -> None:
    w = world([(0, "connecting", None), (50, "need_passkey", None)])
    async with w.gateway() as gateway:
        await gateway.connect()
        ended = await w.until_ended()

    assert ended.ended_at is not None
    assert 125 <= ended.ended_at - ended.started_at < 129


@virtual_time
async def test_an_attempt_lasts_at_most_160_s_however_many_codes_come() -> None:
    w = world(codes(*(f"2@{n}" for n in range(20))))
    async with w.gateway() as gateway:
        await gateway.connect()
        ended = await w.until_ended()

    assert ended.reason == "timeout"
    assert ended.ended_at is not None
    assert 160 <= ended.ended_at - ended.started_at < 161


@virtual_time
async def test_a_scan_gives_the_phone_60_s_to_finish() -> None:
    w = world([*codes(A), (10, "connecting", None)])
    async with w.gateway() as gateway:
        await gateway.connect()
        ended = await w.until_ended()

    assert ended.reason == "timeout"
    assert ended.ended_at is not None
    assert ended.scanned_at is not None
    assert 60 <= ended.ended_at - ended.scanned_at < 61


@virtual_time
async def test_a_scan_in_the_last_second_counts() -> None:
    shown = [f"2@{n}" for n in range(9)]
    w = world(scanned_at(159.5, 30, *shown))
    async with w.gateway() as gateway:
        await gateway.connect()
        ended = await w.until_ended()

    assert ended.reason == "connected"
    assert w.linked == [12]


@virtual_time
async def test_upstream_is_looked_at_once_more_when_the_time_is_up() -> None:
    w = world([*codes(A), (39.5, "connecting", None)], limits=Limits(poll_s=30, idle_s=75, max_s=40))
    async with w.gateway() as gateway:
        await gateway.connect()
        await asyncio.sleep(45)

        assert w.attempt().running
        assert w.attempt().scanned_at == pytest.approx(w.attempt().started_at + 40, abs=0.5)


@virtual_time
async def test_a_failed_scan_shows_the_next_code() -> None:
    w = world([*codes(A), (10, "connecting", None), (14, "need_scan", B)])
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until(lambda: w.attempt().scanned_at is not None)
        await w.until(lambda: w.attempt().code == B, 10)

        assert w.attempt().scanned_at is None


FINAL = [UpstreamUnauthorized("no"), UpstreamLimit("plan"), SessionNotFound("gone")]


@pytest.mark.parametrize("call", ["connect", "status", "code"])
@pytest.mark.parametrize("error", FINAL, ids=lambda error: str(error.code))
@virtual_time
async def test_a_refusal_ends_the_attempt_at_once(error: GatewayError, call: str) -> None:
    w = world(codes(A))
    w.upstream.faults[call] = [error]
    async with w.gateway() as gateway:
        await gateway.connect()
        took = await w.until(lambda: not w.attempt().running)
        await asyncio.sleep(1)

    assert took < 1
    assert w.attempt().reason == "error"
    assert w.attempt().error == {"code": error.code, "message": error.message, "action": error.action}
    assert w.events() == ["link_started", "error"]
    assert (("gone", "poll") in w.store.statuses[12]) is (error.code == "session_not_found")


SLOW = [UpstreamFailed("500"), UpstreamTimeout("none"), UpstreamRateLimited("429", retry_after_s=7)]


@pytest.mark.parametrize("call", ["connect", "status", "code"])
@pytest.mark.parametrize("error", SLOW, ids=lambda error: str(error.code))
@virtual_time
async def test_a_fault_slows_down_and_the_link_still_succeeds(error: GatewayError, call: str) -> None:
    w = world(scanned_at(30))
    w.upstream.faults[call] = [error, error, error]
    async with w.gateway() as gateway:
        await gateway.connect()
        ended = await w.until_ended()

    assert ended.reason == "connected"
    first, second = w.upstream.times("status")[:2]
    if call == "status":
        assert second - first >= (error.retry_after_s or 2)


@virtual_time
async def test_a_pause_that_upstream_names_is_kept_whoever_rings() -> None:
    w = world(codes(A))
    w.upstream.faults["status"] = [UpstreamRateLimited("429", retry_after_s=20)]
    async with w.gateway() as gateway:
        await gateway.connect()
        await asyncio.sleep(1)
        for _ in range(10):
            gateway.linking.wake(12)
            await asyncio.sleep(0.5)
        await w.until(lambda: w.upstream.count("status") > 1)

    first, second = w.upstream.times("status")[:2]
    assert 20 <= second - first <= 24.1


@virtual_time
async def test_upstream_that_never_answers_ends_in_a_timeout_not_later() -> None:
    w = world([])
    w.upstream.hanging = {12}
    async with w.gateway() as gateway:
        await gateway.connect()
        ended = await w.until_ended()

    assert ended.reason == "timeout"
    assert ended.ended_at is not None
    assert ended.ended_at - ended.started_at < 78


@virtual_time
async def test_a_call_that_hangs_does_not_outlast_the_attempt() -> None:
    w = world([], limits=Limits(idle_s=5))
    w.upstream.hanging = {12}
    async with w.gateway() as gateway:
        await gateway.connect()
        ended = await w.until_ended()

    assert ended.ended_at is not None
    assert 5 <= ended.ended_at - ended.started_at <= 7


# ------------------------------------------------------------------------------------------ proofs of a link


@virtual_time
async def test_connected_in_the_connect_reply_proves_nothing() -> None:
    w = world(scanned_at(30))
    w.upstream.reply = ConnectReply("connected")
    async with w.gateway() as gateway:
        await gateway.connect()
        await asyncio.sleep(10)
        assert w.attempt().running
        assert w.attempt().code == A
        ended = await w.until_ended()

    assert ended.reason == "connected"


@virtual_time
async def test_connecting_a_linked_session_ends_connected_at_once() -> None:
    w = World(FakeUpstream([], ConnectReply("connected"), resting="connected"))
    async with w.gateway() as gateway:
        await gateway.connect()
        took = await w.until(lambda: not w.attempt().running)
        await asyncio.sleep(1)

    assert took < 0.5
    assert (w.attempt().reason, w.linked) == ("connected", [12])


@virtual_time
async def test_an_engine_that_is_not_up_yet_is_no_fault() -> None:
    w = world(codes(A))
    early = UpstreamFailed("Session not initialized", details={"reason": "not_initialized"})
    w.upstream.faults["code"] = [early]
    async with w.gateway() as gateway:
        await gateway.connect()
        took = await w.until(lambda: w.attempt().code == A)

    assert took < 2.5

"""Linking when gateways die, Postgres goes away or one session misbehaves, on a clock that jumps."""

import asyncio
import itertools
import logging

import pytest

from gateway.domain.errors import (
    StoreUnavailable,
)
from gateway.domain.linking import Limits
from tests.clock import now, virtual_time
from tests.unit.services.link_fakes import HANG, A, B, codes, scanned_at, world

# ------------------------------------------------------------------------------------------ surviving


@virtual_time
async def test_an_attempt_goes_on_at_another_gateway_when_its_own_dies() -> None:
    w = world(scanned_at(30))
    async with w.gateway("a") as a, w.gateway("b"):
        await a.connect()
        await w.until(lambda: w.attempt().code == A)
        await a.kill()
        took = await w.until(lambda: w.leases.owners == {12: "b"})
        ended = await w.until_ended()

    assert took < 4
    assert (ended.id, ended.reason, ended.number) == (1, "connected", 2)
    assert w.upstream.count("connect") == 1
    assert w.events().count("qr_generated") == 2


@virtual_time
async def test_a_gateway_that_starts_again_finds_its_attempt() -> None:
    w = world(scanned_at(30))
    async with w.gateway("a") as a:
        await a.connect()
        await w.until(lambda: w.attempt().code == A)
    assert w.attempt().running
    assert w.leases.owners == {}
    async with w.gateway("a"):
        ended = await w.until_ended()

    assert (ended.id, ended.reason) == (1, "connected")
    assert w.upstream.count("connect") == 1


@virtual_time
async def test_an_attempt_whose_gateway_died_before_it_asked_upstream_is_connected_by_the_next() -> None:
    w = world(codes(A))
    await w.store.begin(12, "a token of a dead gateway", "Ann")
    async with w.gateway("b"):
        await w.until(lambda: w.attempt().code == A, 8)

    assert w.upstream.count("connect") == 1


@virtual_time
async def test_lost_leases_stop_the_poller_and_the_attempt_resumes_without_a_new_connect() -> None:
    w = world(scanned_at(30))
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until(lambda: w.attempt().code == A)
        holder = w.attempt().holder
        gateway.flap()
        await asyncio.sleep(0.1)
        assert w.leases.releases == 0  # a release on a dead connection would only wait
        await w.until(lambda: w.attempt().holder != holder, 4)
        ended = await w.until_ended()

    assert (ended.id, ended.reason) == (1, "connected")
    assert w.upstream.count("connect") == 1


@virtual_time
async def test_an_end_whose_bell_is_lost_stops_a_hanging_poller_within_seconds() -> None:
    w = world(codes(A))
    async with w.gateway() as gateway:
        w.store.bells.clear()
        await gateway.connect()
        await w.until(lambda: w.attempt().code == A)
        w.upstream.hanging = {12}
        await asyncio.sleep(2.5)
        await w.store.end(12, None, "cancelled", None)
        took = await w.until(lambda: not w.leases.owners)

    assert took < 4


@virtual_time
async def test_a_gateway_that_hears_again_looks_at_once() -> None:
    w = world(codes(A))
    async with w.gateway() as gateway:
        await asyncio.sleep(0.5)
        await w.store.begin(12, "a token of a dead gateway", "Ann")
        gateway.linking.look_now()
        took = await w.until(lambda: w.leases.owners == {12: "a"})

    assert took < 0.1


@virtual_time
async def test_a_frozen_gateway_that_wakes_up_writes_nothing() -> None:
    w = world(codes(A))
    async with w.gateway("frozen") as frozen:
        w.store.bells.clear()  # it hears nothing
        await frozen.connect()
        await w.until(lambda: w.attempt().code == A)
        w.upstream.faults["code"] = [HANG]
        await asyncio.sleep(3)
        w.leases.drop("frozen")  # a peer ended its backend
        taken = await w.store.take(12, "the token of another gateway")
        w.upstream.script.append((5, "need_scan", B))
        assert taken is not None
        await asyncio.sleep(2)

        assert w.attempt() == taken
        w.leases.owners[12] = "another"
    assert w.attempt().running


@virtual_time
async def test_postgres_that_goes_away_for_a_while_loses_no_link() -> None:
    w = world(scanned_at(30))
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until(lambda: w.attempt().code == A)
        for call in ("record_code", "record_status", "mark_scanned", "end", "running", "current", "touch"):
            w.store.faults[call] = StoreUnavailable("away")
        await asyncio.sleep(40)
        assert w.attempt().running
        w.store.faults.clear()
        ended = await w.until_ended()

    assert ended.reason == "connected"


@virtual_time
async def test_a_trail_that_cannot_be_written_stops_no_link(caplog: pytest.LogCaptureFixture) -> None:
    w = world(scanned_at(30), is_log_broken=True)
    async with w.gateway() as gateway:
        await gateway.connect()
        ended = await w.until_ended()

    assert ended.reason == "connected"
    assert "link.not_logged" in caplog.text


# ------------------------------------------------------------------------------------------ many at once


@virtual_time
async def test_a_hanging_session_delays_no_other() -> None:
    w = world(codes(A))
    w.upstream.hanging = {13}
    async with w.gateway() as gateway:
        await gateway.connect(13)
        await gateway.connect(12)
        took = await w.until(lambda: w.attempt(12).code == A)
        calls = w.upstream.count("status", 12)
        await asyncio.sleep(20)

    assert took < 3
    assert w.upstream.count("status", 12) - calls >= 8


@virtual_time
async def test_attempts_taken_over_together_do_not_ask_in_the_same_instant() -> None:
    rolls = itertools.count()
    w = world(codes(A), roll=lambda: next(rolls) * 0.37 % 1)
    async with w.gateway("a") as gateway:
        for session_id in range(100, 200):
            await gateway.connect(session_id)
        await asyncio.sleep(5)
        await gateway.kill()
    asked = len(w.upstream.calls)
    async with w.gateway("b"):
        await asyncio.sleep(6)

    first: dict[int, float] = {}
    for at, _, session_id in w.upstream.calls[asked:]:
        first.setdefault(session_id, at)
    assert len(first) == 100
    assert len({round(at, 2) for at in first.values()}) > 50


@virtual_time
async def test_a_bug_ends_its_own_attempt_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    w = world(codes(A))
    w.upstream.faults["connect"] = [ZeroDivisionError("a bug")]
    async with w.gateway() as gateway:
        with caplog.at_level(logging.ERROR):
            await gateway.connect(12)
            ended = await w.until_ended(12)
        await gateway.connect(13)
        await w.until(lambda: w.attempt(13).code == A, 5)

    assert (ended.reason, (ended.error or {})["code"]) == ("error", "internal")
    assert "session=12" in caplog.text
    assert w.events(12) == ["link_started", "error"]


@virtual_time
async def test_closing_ends_within_seconds_though_everything_hangs() -> None:
    w = world(codes(A))
    w.upstream.hanging = set(range(100, 200))
    async with w.gateway() as gateway:
        for session_id in range(100, 200):
            await gateway.connect(session_id)
        await asyncio.sleep(1)
        start = now()
        await gateway.linking.close()

        assert now() - start < 1
    assert all(row.running for row in w.store.rows)
    assert w.leases.owners == {}


@virtual_time
async def test_the_limits_are_those_given() -> None:
    w = world([(0, "connecting", None)], limits=Limits(poll_s=0.5, idle_s=4, max_s=9))
    async with w.gateway() as gateway:
        await gateway.connect()
        ended = await w.until_ended()

    assert ended.ended_at is not None
    assert 4 <= ended.ended_at - ended.started_at < 5
    assert 7 <= w.upstream.count("status") <= 11


@virtual_time
async def test_a_gateway_that_is_cut_down_takes_no_more_work_and_breaks_nothing() -> None:
    w = world(codes(A))
    async with w.gateway() as gateway:
        await gateway.connect()
        await asyncio.sleep(5)
        await gateway.kill()
        gateway.linking.on_status(12, "connected")
        again = await gateway.connect(13)
        await asyncio.sleep(5)

    assert again.running
    assert w.upstream.count("connect", 13) == 0
    assert w.attempt(12).running

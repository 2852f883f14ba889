"""What pollers make of the rows that bells bring, on a clock that jumps."""

import asyncio
import itertools
from collections import Counter

import pytest

from tests.clock import now, virtual_time
from tests.unit.services.link_fakes import A, B, C, codes, world


@virtual_time
async def test_a_row_that_a_bell_brought_is_not_read_again() -> None:
    w = world([*codes(A), (10, "need_scan", B)])
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until(lambda: w.attempt().code == A)
        await asyncio.sleep(5)
        before = w.store.calls["current"]
        await w.until(lambda: w.attempt().code == B)
        await w.store.record_code(12, C, None)
        await w.until(lambda: w.attempt().code == B)
        await asyncio.sleep(1)

    assert w.store.calls["current"] == before


@virtual_time
async def test_a_row_from_before_a_takeover_stops_no_poller() -> None:
    w = world(codes(A))
    async with w.gateway("a") as a:
        await a.connect()
        await w.until(lambda: w.attempt().code == A)
        of_a = w.attempt()
        await a.kill()
        async with w.gateway("b") as b:
            await w.until(lambda: w.attempt().holder != of_a.holder)
            await asyncio.sleep(3)
            before = w.upstream.count("status")
            b.linking.show(12, of_a, "need_scan")
            await asyncio.sleep(5)

            assert w.upstream.count("status") - before in (2, 3, 4)
            assert w.attempt().running


@virtual_time
async def test_a_row_that_comes_late_does_not_hide_a_newer_one() -> None:
    w = world(codes(A))
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until(lambda: w.attempt().code == A)
        await asyncio.sleep(5)
        old = w.attempt()
        w.store.bells.clear()
        await w.store.record_code(12, B, None)
        gateway.linking.show(12, w.attempt(), "need_scan")
        gateway.linking.show(12, old, "need_scan")
        await w.until(lambda: w.events().count("qr_generated") > 1, within_s=0.1)


@virtual_time
async def test_a_code_that_a_webhook_brought_writes_no_status_again() -> None:
    w = world([*codes(A), (10, "need_scan", B)])
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until(lambda: now() - w.upstream.connected_at.get(12, now()) > 10.01)
        written, asked = w.store.calls["record_status"], w.upstream.count("status")
        await w.store.record_code(12, B, None)
        await w.until(lambda: w.upstream.count("status") > asked, within_s=0.5)
        await asyncio.sleep(10)

    assert w.store.calls["record_status"] == written


@pytest.mark.parametrize("later_s", [0.01, 0.5, 5])
@virtual_time
async def test_a_status_that_somebody_else_wrote_is_corrected_by_the_next_answer(later_s: float) -> None:
    w = world(codes(A))
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until(lambda: w.store.status(12) == "need_scan")
        await asyncio.sleep(later_s)
        await w.store.record_status(12, "logged_out", "webhook")
        gateway.linking.wake(12)
        await w.until(lambda: w.store.status(12) == "need_scan", within_s=0.5)


@virtual_time
async def test_a_status_that_another_gateway_wrote_in_the_same_second_is_no_echo() -> None:
    """It is there and gone again before it is read: only the version of the row tells that it was."""
    w = world(codes(A))
    async with w.gateway("a") as a, w.gateway("b"):
        await a.connect()
        await w.until(lambda: w.store.status(12) == "need_scan")
        await asyncio.sleep(0.3)
        w.store.bell_s = 0.02
        asked = w.upstream.count("status")
        await w.store.record_status(12, "logged_out", "webhook")
        await w.store.record_status(12, "need_scan", "webhook")

        await w.until(lambda: w.upstream.count("status") > asked, within_s=0.1)


@virtual_time
async def test_an_echo_that_comes_late_is_an_echo() -> None:
    w = world(codes(A))
    w.store.bell_s = 1.9
    async with w.gateway("a") as a, w.gateway("b"):
        await a.connect()
        await w.until(lambda: w.store.status(12) == "need_scan" and w.attempt().code == A)
        await asyncio.sleep(6)
        asked = w.upstream.times("status")

    assert min(later - sooner for sooner, later in itertools.pairwise(asked)) > 1.5, "only by its own clock"


@virtual_time
async def test_a_poll_that_brings_nothing_new_costs_the_store_nothing() -> None:
    w = world(codes(A, every_s=60))
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until(lambda: w.store.status(12) == "need_scan" and w.attempt().code == A)
        await asyncio.sleep(3)
        before, polls = Counter(w.store.calls), w.upstream.count("status")
        await w.until(lambda: w.upstream.count("status") == polls + 10)

    # Whether somebody's attempt has no poller is asked for all at once.
    assert (w.store.calls - before).keys() <= {"running"}

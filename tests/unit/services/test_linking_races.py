"""Linking when several people, webhooks and gateways act at once, on a clock that jumps."""

import asyncio

import pytest

from gateway.domain.errors import (
    UpstreamFailed,
)
from gateway.domain.session import ConnectReply
from tests.clock import now, virtual_time
from tests.unit.services.link_fakes import ANN, HANG, A, B, C, codes, scanned_at, world

# ------------------------------------------------------------------------------------------ single flight


@virtual_time
async def test_many_connects_are_one_attempt_and_one_upstream_call() -> None:
    w = world(codes(A))
    async with w.gateway("a") as a, w.gateway("b") as b:
        async with asyncio.TaskGroup() as tasks:
            jobs = [tasks.create_task(gateway.connect(), name="c") for gateway in (a, b) * 20]
        await asyncio.sleep(10)

    assert {job.result().id for job in jobs} == {1}
    assert w.upstream.count("connect") == 1
    assert w.events() == ["link_started", "qr_generated"]


@virtual_time
async def test_two_gateways_poll_no_more_than_one() -> None:
    w = world(codes(A))
    async with w.gateway("a") as a, w.gateway("b"):
        await a.connect()
        await asyncio.sleep(40)

    assert w.upstream.count("status") <= 24


@virtual_time
async def test_a_bell_that_a_write_of_ours_rang_asks_upstream_nothing() -> None:
    w = world(codes(A))
    w.upstream.reply = ConnectReply("need_scan", A)
    async with w.gateway() as gateway:
        await gateway.connect()
        await asyncio.sleep(1.5)

        assert w.upstream.count("status") == 0


# ------------------------------------------------------------------------------------------ webhooks


@virtual_time
async def test_a_webhook_wakes_the_poller() -> None:
    w = world([*codes(A), (5.2, "connecting", None), (5.3, "connected", None)], roll=lambda: 0.999)
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until(lambda: now() - w.upstream.connected_at.get(12, now()) > 5.3)
        gateway.linking.wake(12)
        took = await w.until(lambda: not w.attempt().running)

    assert took < 0.5


@virtual_time
async def test_many_rings_make_few_calls() -> None:
    w = world(codes(A))
    async with w.gateway() as gateway:
        await gateway.connect()
        await asyncio.sleep(10)
        before = w.upstream.count("status")
        for _ in range(1000):
            gateway.linking.wake(12)
            await asyncio.sleep(0.002)

    assert w.upstream.count("status") - before <= 9


@virtual_time
async def test_a_code_by_webhook_at_another_gateway_is_logged_once_by_the_poller() -> None:
    w = world([*codes(A), (30.05, "need_scan", B)])
    async with w.gateway("a") as a, w.gateway("b"):
        await a.connect()
        await w.until(lambda: now() - w.upstream.connected_at.get(12, now()) > 30.1)
        await w.store.record_code(12, B, None)
        assert w.attempt().code == B
        await asyncio.sleep(5)

    assert [meta["attempt"] for _, event, meta in w.log if event == "qr_generated"] == [1, 2]
    assert w.attempt().seq == 2


@virtual_time
async def test_a_late_code_of_an_earlier_attempt_is_corrected_at_once() -> None:
    w = world(codes(A))
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until(lambda: w.attempt().code == A)
        await asyncio.sleep(5)
        await w.store.record_code(12, "2@of-yesterday", None)
        took = await w.until(lambda: w.attempt().code == A)

    assert took < 0.5


@virtual_time
async def test_an_answer_that_a_webhook_overtook_does_not_replace_the_newer_code() -> None:
    w = world([*codes(A), (10, "need_scan", B)])
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until(lambda: now() - w.upstream.connected_at.get(12, now()) > 10)
        w.upstream.lag_s = 1.0
        polls = w.upstream.count("code")
        await w.until(lambda: w.upstream.count("code") > polls)
        await asyncio.sleep(0.1)
        assert w.attempt().code == A
        w.upstream.script[-1] = (0, "need_scan", C)
        await w.store.record_code(12, C, None)
        await asyncio.sleep(10)

    assert (w.attempt().code, w.attempt().number) == (C, 2)


@virtual_time
async def test_connected_by_webhook_ends_the_attempt_though_upstream_cannot_be_asked() -> None:
    w = world(codes(A))
    async with w.gateway("a") as a, w.gateway("b") as b:
        await a.connect()
        await asyncio.sleep(10)
        w.upstream.faults["status"] = [UpstreamFailed("500")] * 50
        b.linking.on_status(12, "connected")
        b.linking.on_status(12, "connected")
        took = await w.until(lambda: not w.attempt().running)
        await asyncio.sleep(1)

    assert took < 1
    assert (w.attempt().reason, w.linked) == ("connected", [12])
    assert w.leases.owners == {}


@virtual_time
async def test_a_late_connected_of_an_earlier_link_ends_nothing() -> None:
    w = world(codes(A))
    async with w.gateway() as gateway:
        await gateway.connect()
        await asyncio.sleep(10)
        gateway.linking.on_status(12, "connected")
        await asyncio.sleep(5)

        assert w.attempt().running


# ------------------------------------------------------------------------------------------ cancelling


@virtual_time
async def test_cancelling_ends_the_attempt_and_every_upstream_call_about_it() -> None:
    w = world(codes(A))
    async with w.gateway() as gateway:
        await gateway.connect()
        await asyncio.sleep(5)
        assert await gateway.linking.cancel(12, ANN, "the session was disconnected.")
        calls = len(w.upstream.calls)
        await asyncio.sleep(30)

        assert len(w.upstream.calls) == calls
        assert w.leases.owners == {}
    assert w.attempt().reason == "cancelled"
    assert w.events()[-1] == "link_cancelled"


@virtual_time
async def test_cancelling_stops_a_connect_that_is_on_its_way() -> None:
    w = world(codes(A))
    w.upstream.faults["connect"] = [HANG]
    async with w.gateway() as gateway:
        await gateway.connect()
        await asyncio.sleep(0.5)
        start = now()
        assert await gateway.linking.cancel(12, ANN, "the session was deleted.")

        assert now() - start < 0.1
        await asyncio.sleep(30)
    assert (w.upstream.count("connect"), w.upstream.count("status")) == (1, 0)


@virtual_time
async def test_cancelling_at_another_gateway_stops_a_hanging_poller_at_once() -> None:
    w = world(codes(A))
    w.upstream.faults["status"] = [HANG]
    async with w.gateway("a") as a, w.gateway("b") as b:
        await a.connect()
        await asyncio.sleep(1)
        assert await b.linking.cancel(12, ANN, "the session was restarted.")
        took = await w.until(lambda: not w.leases.owners)
        again = await b.connect()
        await w.until(lambda: w.attempt().code == A, 5)

    assert took < 0.2
    assert again.id == 2


@virtual_time
async def test_a_restart_at_another_gateway_gets_the_lease_of_the_old_poller() -> None:
    w = world(codes(A))
    async with w.gateway("a") as a, w.gateway("b") as b:
        await a.connect()
        await asyncio.sleep(5)
        await b.linking.cancel(12, ANN, "the session was restarted.")
        await b.connect()
        await w.until(lambda: w.leases.owners == {12: "b"}, 1)
        await w.until(lambda: w.attempt().code == A, 5)

    assert w.upstream.count("connect") == 2


@virtual_time
async def test_cancelling_when_nothing_runs_says_so() -> None:
    w = world([])
    async with w.gateway() as gateway:
        assert not await gateway.linking.cancel(12, ANN, "the session was disconnected.")
    assert w.log == []


@virtual_time
async def test_cancelling_needs_no_bell_to_stop_the_poller_beside_it() -> None:
    w = world(codes(A))
    async with w.gateway() as gateway:
        w.store.bells.clear()
        await gateway.connect()
        await asyncio.sleep(5)
        await gateway.linking.cancel(12, ANN, "the session was disconnected.")

        assert w.leases.owners == {}


@virtual_time
async def test_a_new_attempt_keeps_the_lease_that_the_one_before_it_gives_back() -> None:
    w = world(codes(A))
    async with w.gateway() as gateway:
        await gateway.connect()
        await asyncio.sleep(5)
        w.store.bells.clear()
        w.leases.release_s = 0.1
        await w.store.end(12, None, "cancelled", None)
        again = await gateway.connect()
        await w.until(lambda: w.attempt().code == A)
        await asyncio.sleep(1)

        assert again.id == 2
        assert w.leases.owners == {12: "a"}


@virtual_time
async def test_bells_do_not_disturb_a_poller_that_gives_its_lease_back() -> None:
    w = world(codes(A))
    async with w.gateway() as gateway:
        await gateway.connect()
        await asyncio.sleep(5)
        w.leases.release_s = 0.1
        await w.store.end(12, None, "cancelled", None)
        for _ in range(100):
            gateway.linking.wake(12)
            await asyncio.sleep(0.003)
        await asyncio.sleep(1)

        assert w.leases.owners == {}


@pytest.mark.parametrize("has_bug", [False, True], ids=["linked", "crashed"])
@virtual_time
async def test_a_bell_that_is_faster_than_the_answer_to_an_end_loses_nothing(has_bug: bool) -> None:
    w = world(scanned_at(5))
    w.store.answer_s = 0.5
    if has_bug:
        w.upstream.faults["code"] = [ZeroDivisionError("a bug")]
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until_ended()

    assert w.events()[-1] == ("error" if has_bug else "connected")
    assert w.linked == ([] if has_bug else [12])


@virtual_time
async def test_a_poller_that_is_stopped_while_it_asks_for_the_lease_gives_it_back() -> None:
    w = world(codes(A))
    w.leases.answer_s = 1.0
    async with w.gateway() as gateway:
        await gateway.connect()
        await w.until(lambda: 12 in w.leases.owners)
        await gateway.linking.cancel(12, ANN, "the session was disconnected")

        assert w.leases.owners == {}
    assert w.upstream.calls == []

"""Who may call upstream when: on a clock that jumps, with calls that take as long as they are told."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from gateway.domain.errors import UpstreamRateLimited, UpstreamTimeout
from gateway.wasender import calls as orders
from gateway.wasender import rate_limiter as pace
from gateway.wasender.calls import RetryPolicy, UpstreamCall, of_key, of_session
from gateway.wasender.rate_limiter import OVERDUE_S, SAFETY_S, RateLimiter
from tests.clock import EPOCH, now, virtual_time

HANG_S = 15.0
CALL_S = 0.01
LONG_S = 1000.0
WAITS = RetryPolicy(repeats=0, pause_s=60.0, total_s=LONG_S)


def read(session_id: int) -> UpstreamCall:
    return of_session("get_session", "GET", session_id)


def calm(**bounds: int) -> RateLimiter:
    """A pacer whose pauses end exactly when they have to: half of the safety after what upstream named."""
    return RateLimiter(roll=lambda: 0.0, **bounds)


async def call(
    pacer: RateLimiter,
    order: UpstreamCall,
    lasts_s: float = CALL_S,
    *,
    patience: RetryPolicy = WAITS,
    on_start: Callable[[], None] = lambda: None,
) -> float:
    """Makes a call and returns how long it waited for its turn."""
    asked = now()
    async with pacer.turn(order, patience, asked + patience.total_s):
        on_start()
        waited = now() - asked
        await asyncio.sleep(lasts_s)
    return waited


async def calls_of(pacer: RateLimiter, session_id: int, count: int, lasts_s: float = CALL_S) -> list[float]:
    """Calls one after the other, as a poller makes them."""
    return [await call(pacer, read(session_id), lasts_s) for _ in range(count)]


# ------------------------------------------------------------------------------------------ few at once


@virtual_time
async def test_two_calls_of_a_session_go_at_once_and_the_rest_in_the_order_they_came() -> None:
    pacer, started = calm(), list[tuple[int, float]]()

    def began(number: int) -> Callable[[], None]:
        return lambda: started.append((number, round(now() - EPOCH, 2)))

    await asyncio.gather(*(call(pacer, read(1), 1.0, on_start=began(number)) for number in range(6)))

    assert started == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)]


@virtual_time
async def test_messages_of_a_session_go_one_by_one() -> None:
    send = of_key(orders.SEND, "POST", "/send-message", "key")

    pacer = calm()
    waits = await asyncio.gather(*(call(pacer, send, 1.0) for _ in range(3)))

    assert waits == pytest.approx([0, 1, 2], abs=1e-3)


@virtual_time
async def test_calls_that_do_not_hang_are_few_at_once_in_the_whole_account() -> None:
    pacer, under_way, most = calm(per_account=8), 0, 0

    async def one(session_id: int) -> None:
        nonlocal under_way, most
        async with pacer.turn(read(session_id), WAITS, now() + LONG_S):
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(CALL_S)
            under_way -= 1

    await asyncio.gather(*(one(session_id) for session_id in range(100)))

    assert most == 8


# ------------------------------------------------------------------------------------------ who hangs


@virtual_time
async def test_one_hanging_session_delays_none_of_fifty_others() -> None:
    pacer = calm(per_account=52)
    async with asyncio.TaskGroup() as tasks:
        for number in range(20):  # far more than its lane lets through
            tasks.create_task(call(pacer, read(0), HANG_S), name=f"hangs-{number}")
        others = [
            tasks.create_task(calls_of(pacer, session_id, 1000), name=f"session-{session_id}")
            for session_id in range(1, 51)
        ]

    assert max(max(task.result()) for task in others) == 0


@virtual_time
async def test_more_hanging_sessions_than_the_account_has_places_delay_nobody_for_long() -> None:
    pacer = calm(per_account=8)
    async with asyncio.TaskGroup() as tasks:
        hanging = [
            tasks.create_task(calls_of(pacer, session_id, 5, HANG_S), name=f"hangs-{session_id}")
            for session_id in range(1000, 1016)
        ]
        first = tasks.create_task(call(pacer, read(1)), name="first")
        await asyncio.sleep(3 * OVERDUE_S)
        # Known as slow by now: they hang on, and call again and again, but at a gate of their own.
        others = [
            tasks.create_task(calls_of(pacer, session_id, 1000), name=f"session-{session_id}")
            for session_id in range(1, 9)
        ]

    assert first.result() == pytest.approx(2 * OVERDUE_S, abs=0.1)
    assert max(max(task.result()) for task in others) == 0
    assert all(len(task.result()) == 5 for task in hanging)


@virtual_time
async def test_a_session_that_answers_again_is_quick_again_after_a_minute() -> None:
    pacer = calm(per_account=1)
    await call(pacer, read(1), HANG_S)
    await asyncio.sleep(pace.SLOW_S)

    waits = await asyncio.gather(call(pacer, read(2), 1.0), call(pacer, read(1), 1.0))

    assert waits == pytest.approx([0, 1], abs=1e-3)  # one gate again


@virtual_time
async def test_a_connect_that_takes_its_time_does_not_make_its_session_slow() -> None:
    pacer = calm(per_account=1)
    await call(pacer, of_session("connect_session", "POST", 1, "connect"), HANG_S)

    waits = await asyncio.gather(call(pacer, read(2), 1.0), call(pacer, read(1), 1.0))

    assert waits == pytest.approx([0, 1], abs=1e-3)


@virtual_time
async def test_a_call_whose_turn_does_not_come_in_time_was_certainly_not_sent() -> None:
    pacer = calm(per_bucket=1)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(call(pacer, read(1), HANG_S), name="hangs")
        await asyncio.sleep(0)
        with pytest.raises(UpstreamTimeout) as failed:
            await call(pacer, read(1), patience=orders.ONCE)
        gave_up_at = now()

    assert failed.value.details == {"reason": "not_reached"}
    assert gave_up_at - EPOCH == pytest.approx(orders.ONCE.total_s, abs=1e-3)
    assert await call(pacer, read(1)) == 0


@virtual_time
async def test_cancelled_calls_leave_their_places_to_others() -> None:
    pacer = calm(per_bucket=1, per_account=1)
    async with asyncio.TaskGroup() as tasks:
        doomed = [
            tasks.create_task(call(pacer, read(session_id), HANG_S), name=f"doomed-{session_id}-{number}")
            for session_id in (1, 2)
            for number in range(3)
        ]
        await asyncio.sleep(1.0)
        for task in doomed:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await doomed[0]

    assert await asyncio.gather(call(pacer, read(1)), call(pacer, read(2))) == pytest.approx([0, CALL_S])


# ------------------------------------------------------------------------------------------ pauses


@virtual_time
async def test_a_pause_holds_its_session_until_it_is_over_and_no_other() -> None:
    pacer = calm()
    pacer.pause(read(1), 5.0, refused=True)

    waits = await asyncio.gather(call(pacer, read(1)), call(pacer, read(1)), call(pacer, read(2)))

    assert waits == pytest.approx([5.5, 5.5, 0], abs=1e-3)


@virtual_time
async def test_the_end_of_a_pause_is_spread() -> None:
    pacer = RateLimiter(roll=lambda: 0.9)
    pacer.pause(read(1), 5.0, refused=True)

    assert await call(pacer, read(1)) == pytest.approx(5 + SAFETY_S * 0.95, abs=1e-3)


@virtual_time
async def test_a_pause_longer_than_the_callers_patience_is_an_error_at_once() -> None:
    pacer = calm()
    pacer.pause(read(1), 5.0, refused=True)

    with pytest.raises(UpstreamRateLimited, match="not called") as held:
        await call(pacer, read(1), patience=orders.ONCE)

    assert now() == EPOCH
    assert held.value.retry_after_s == pytest.approx(5.5)


@virtual_time
async def test_who_would_not_sit_out_a_pause_does_not_queue_behind_those_who_do() -> None:
    pacer = calm()
    pacer.pause(read(1), 5.0, refused=True)
    async with asyncio.TaskGroup() as tasks:
        for number in range(2):
            tasks.create_task(call(pacer, read(1)), name=f"sits-out-{number}")
        await asyncio.sleep(1.0)
        with pytest.raises(UpstreamRateLimited):
            await call(pacer, read(1), patience=orders.ONCE)
        refused_at = now()

    assert refused_at - EPOCH == pytest.approx(1.0, abs=1e-3)


@virtual_time
async def test_a_pause_that_outlasts_the_deadline_is_not_begun() -> None:
    pacer = calm()
    pacer.pause(read(1), 5.0, refused=True)

    with pytest.raises(UpstreamRateLimited):
        await call(pacer, read(1), patience=RetryPolicy(0, pause_s=60.0, total_s=5.2))

    assert now() == EPOCH


@virtual_time
async def test_after_a_minute_upstream_is_asked_again_whatever_it_had_said() -> None:
    pacer = calm()
    pacer.pause(read(1), 86_400.0, refused=True)

    with pytest.raises(UpstreamRateLimited) as held:
        await call(pacer, read(1))
    await asyncio.sleep(61)

    assert held.value.retry_after_s == pytest.approx(86_400)
    assert await call(pacer, read(1)) == 0


@virtual_time
async def test_a_shorter_pause_takes_nothing_back() -> None:
    pacer = calm()
    pacer.pause(read(1), 9.0, refused=True)
    pacer.pause(read(1), 2.0, refused=True)

    assert await call(pacer, read(1)) == pytest.approx(9.5, abs=1e-3)


@virtual_time
async def test_a_pause_that_comes_while_a_call_waits_at_the_accounts_gate_is_kept() -> None:
    pacer = calm(per_account=1)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(call(pacer, read(2), 1.0), name="holds the gate")
        await asyncio.sleep(0)
        waiting = tasks.create_task(call(pacer, read(1)), name="waits")
        await asyncio.sleep(0.5)
        pacer.pause(read(1), 3.0, refused=True)
        await asyncio.sleep(0.7)
        assert await call(pacer, read(2)) == 0  # the gate is not held by the one that sits out a pause

    assert waiting.result() == pytest.approx(0.5 + 3.5, abs=1e-3)


@virtual_time
async def test_a_pause_of_messages_delays_nothing_else_of_the_session() -> None:
    pacer = calm()
    send, status = (
        of_key(orders.SEND, "POST", "/send-message", "key"),
        of_key("get_status", "GET", "/status", "key"),
    )
    pacer.pause(send, 60.0, refused=True)

    waits = await asyncio.gather(call(pacer, send), call(pacer, status))

    assert waits == pytest.approx([60.5, 0], abs=1e-3)


@virtual_time
async def test_the_last_call_of_a_window_pauses_messages_and_whoever_was_refused_lately() -> None:
    pacer = calm()
    send = of_key(orders.SEND, "POST", "/send-message", "key")

    assert pacer.pause(send, 5.0, refused=False)
    assert not pacer.pause(read(1), 5.0, refused=False)
    pacer.pause(read(1), 1.0, refused=True)
    await asyncio.sleep(pace.ENFORCED_S - 1)
    assert pacer.pause(read(1), 5.0, refused=False)
    await asyncio.sleep(1)
    assert not pacer.pause(read(1), 5.0, refused=False)


# ------------------------------------------------------------------------------------------ memory


@virtual_time
async def test_sessions_that_nobody_calls_any_more_are_forgotten_but_not_what_is_owed_to_upstream() -> None:
    pacer = calm()
    pacer.pause(read(0), 5.0, refused=True)

    for session_id in range(1, 10_000):
        await call(pacer, read(session_id), 0)

    assert len(pacer._buckets) <= 2048
    assert await call(pacer, read(0)) == pytest.approx(5.5, abs=1e-3)

"""Rates of people, and the memory of bodies."""

import asyncio

import pytest

from gateway.domain.access import Principal, Role
from gateway.domain.errors import RateLimited, Unavailable
from gateway.domain.limits import MIB, Limits
from gateway.services.body_budget import BodyBudget
from gateway.services.rates import SWEEP_EVERY, Rates, Window
from gateway.services.refusals import Refusals

VIEWER = Principal("anna", "Anna", Role.VIEWER, None)
AGENT = Principal("bert", "Bert", Role.AGENT, None)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def rates(clock: Clock | None = None) -> Rates:
    return Rates(Limits(), Refusals(), clock or Clock())


def test_a_window_lets_no_burst_through_between_two_seconds() -> None:
    clock = Clock()
    window = Window(3, 1.0, clock)
    assert [window.wait_s("a") for _ in range(3)] == [0, 0, 0]

    clock.now += 0.9
    assert window.wait_s("a") == pytest.approx(0.1)
    assert window.wait_s("b") == 0
    clock.now += 0.1
    assert window.wait_s("a") == 0


def test_a_window_forgets_keys_that_are_quiet() -> None:
    clock = Clock()
    window = Window(3, 1.0, clock)
    for number in range(SWEEP_EVERY - 1):
        window.wait_s(str(number))
    clock.now += 2
    window.wait_s("last")

    assert len(window) == 1


def test_requests_count_by_person_and_without_one_by_address() -> None:
    limited = rates()
    for _ in range(50):
        limited.request(VIEWER, "192.0.2.1")
        limited.request(None, "192.0.2.1")

    with pytest.raises(RateLimited) as refused:
        limited.request(VIEWER, "192.0.2.9")
    assert refused.value.retry_after_s == pytest.approx(1.0)
    with pytest.raises(RateLimited):
        limited.request(None, "192.0.2.1")
    limited.request(AGENT, "192.0.2.1")
    limited.request(None, "192.0.2.2")


def test_a_token_that_names_nobody_counts_by_address() -> None:
    limited = rates()
    anon = Principal("anon", "anon", Role.VIEWER, frozenset())
    assert all(limited.take_seat("anon", "192.0.2.1") for _ in range(50))

    assert not limited.take_seat("anon", "192.0.2.1")
    assert limited.take_seat("anon", "192.0.2.2")
    limited.request(anon, "192.0.2.1")


def test_a_seat_that_is_left_is_free_again() -> None:
    limited = rates()
    assert all(limited.take_seat("anna", "192.0.2.1") for _ in range(50))
    assert not limited.take_seat("anna", "192.0.2.2")

    limited.leave_seat("anna", "192.0.2.1")
    assert limited.take_seat("anna", "192.0.2.2")


def test_tickets_for_others_have_a_limit_of_their_own() -> None:
    clock = Clock()
    limited = rates(clock)
    for _ in range(30):
        limited.ticket(AGENT, "192.0.2.1")
    with pytest.raises(RateLimited):
        limited.ticket(AGENT, "192.0.2.1")

    for _ in range(1000):
        limited.ticket(AGENT, "192.0.2.1", for_other=True)
    with pytest.raises(RateLimited):
        limited.ticket(AGENT, "192.0.2.1", for_other=True)
    clock.now += 61
    limited.ticket(AGENT, "192.0.2.1")


def test_a_person_has_two_searches_at_once() -> None:
    limited = rates()
    with limited.search(VIEWER, ""), limited.search(VIEWER, ""):
        with pytest.raises(RateLimited), limited.search(VIEWER, ""):
            pass
        with limited.search(AGENT, ""):
            pass
    with limited.search(VIEWER, ""):
        pass


def test_a_viewer_makes_upstream_work_once_at_a_time_and_six_times_a_minute() -> None:
    clock = Clock()
    limited = rates(clock)
    with limited.upstream(VIEWER, ""):
        with pytest.raises(RateLimited), limited.upstream(VIEWER, ""):
            pass
        with limited.upstream(AGENT, ""):
            pass
    for _ in range(5):
        with limited.upstream(VIEWER, ""):
            pass
    with pytest.raises(RateLimited), limited.upstream(VIEWER, ""):
        pass
    clock.now += 61
    with limited.upstream(VIEWER, ""):
        pass


# ---------------------------------------------------------------------------------------------- bodies


def budget(**more: float) -> BodyBudget:
    return BodyBudget(Limits(stranger_bodies_mib=1, bodies_mib=1, **more), Refusals())  # type: ignore[arg-type]


async def test_a_body_waits_for_memory_in_its_turn() -> None:
    bodies = budget()
    first, second, third = (bodies.open("a") for _ in range(3))
    await first.grow_to(MIB)
    waiting = [asyncio.create_task(each.grow_to(MIB)) for each in (second, third)]
    await asyncio.sleep(0)

    first.end()
    await waiting[0]
    assert not waiting[1].done()
    second.end()
    await waiting[1]
    third.end()


async def test_a_body_that_waits_in_vain_is_refused_and_takes_nothing_with_it() -> None:
    bodies = budget(body_wait_s=0.01)
    first, second, third = (bodies.open("a") for _ in range(3))
    await first.grow_to(MIB)
    with pytest.raises(Unavailable) as refused:
        await second.grow_to(MIB // 2)
    assert refused.value.retry_after_s

    first.end()
    await third.grow_to(MIB)


async def test_strangers_fill_only_their_own_share() -> None:
    bodies = budget(body_wait_s=0.01)
    stranger, known = bodies.open("a"), bodies.open("a")
    await stranger.grow_to(MIB)

    known.know()
    await known.grow_to(MIB)
    assert (stranger.most, known.most) == (64 * 1024, 8 * MIB)


async def test_large_bodies_are_taken_apart_one_at_a_time() -> None:
    bodies = budget()
    first, second, small = (bodies.open("a") for _ in range(3))
    await first.parse(100_000)
    await small.parse(1_000)
    waiting = asyncio.create_task(second.parse(100_000))
    await asyncio.sleep(0)
    assert not waiting.done()

    first.end()
    await waiting
    second.end()


async def test_people_who_are_logged_in_leave_webhooks_their_share() -> None:
    bodies = BodyBudget(Limits(bodies_mib=28, body_wait_s=0.01), Refusals())
    people = [bodies.open("a") for _ in range(4)]
    for number, each in enumerate(people):
        each.know(f"sub:{number}")
        await each.grow_to(3 * MIB)
    late, webhook = bodies.open("a"), bodies.open("a")
    late.know("sub:5")
    with pytest.raises(Unavailable):
        await late.grow_to(1)

    webhook.know(is_webhook=True)
    await webhook.grow_to(8 * MIB)


async def test_one_person_holds_a_quarter_of_what_people_have() -> None:
    bodies = BodyBudget(Limits(bodies_mib=28, body_wait_s=0.01), Refusals())
    leases = [bodies.open("a") for _ in range(4)]
    for each in leases:
        each.know("sub:anna")
    for each in leases[:3]:
        await each.grow_to(MIB)
    with pytest.raises(Unavailable):
        await leases[3].grow_to(1)
    other = bodies.open("a")
    other.know("sub:bert")
    await other.grow_to(MIB)

    leases[0].end()
    await leases[3].grow_to(MIB)


async def test_a_body_larger_than_a_share_comes_in_piece_by_piece_when_it_is_alone() -> None:
    bodies = BodyBudget(Limits(bodies_mib=28), Refusals())
    large, next_one = bodies.open("a"), bodies.open("a")
    for each in (large, next_one):
        each.know("sub:anna")
    for size in range(MIB, 4 * MIB, MIB):
        await large.grow_to(size)
    waiting = asyncio.create_task(next_one.grow_to(MIB))
    await asyncio.sleep(0)
    for size in range(4 * MIB, 9 * MIB, MIB):
        await large.grow_to(size)

    large.end()
    await waiting
    await next_one.grow_to(3 * MIB)


async def test_a_large_body_that_was_taken_apart_lets_the_next_begin_while_its_request_goes_on() -> None:
    bodies = budget(body_wait_s=0.01)
    first, second = bodies.open("a"), bodies.open("a")
    await first.parse(100_000)
    first.parsed()
    first.parsed()

    await second.parse(100_000)
    first.end()
    with pytest.raises(Unavailable):
        await first.parse(100_000)

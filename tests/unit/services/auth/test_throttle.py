"""How often a login may fail, by a clock of the test's own."""

import pytest

from gateway.domain.errors import RateLimited
from gateway.services.auth.throttle import MAX_DELAY_S, MAX_KEYS, LoginThrottle


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> LoginThrottle:
    return LoginThrottle(clock=clock)


def test_the_sixth_failure_of_a_name_from_one_address_within_a_minute_waits_for_the_first_to_be_over(
    throttle: LoginThrottle, clock: Clock
) -> None:
    for _ in range(5):
        throttle.begin("ann", "192.0.2.1")
        clock.now += 1
    with pytest.raises(RateLimited) as caught:
        throttle.begin("ANN", "192.0.2.1")
    assert caught.value.retry_after_s == 55
    throttle.begin("ann", "192.0.2.2")  # another address may
    clock.now += 55
    throttle.begin("ann", "192.0.2.1")
    with pytest.raises(RateLimited):
        throttle.begin("ann", "192.0.2.1")


def test_an_address_may_fail_twenty_times_a_minute_whatever_the_names(throttle: LoginThrottle) -> None:
    for number in range(20):
        throttle.begin(f"name{number}", "192.0.2.1")
    with pytest.raises(RateLimited):
        throttle.begin("ann", "192.0.2.1")


def test_a_name_alone_is_slowed_down_and_never_locked(throttle: LoginThrottle) -> None:
    delays = [throttle.begin("ann", f"192.0.2.{number}") for number in range(40)]

    assert delays[:5] == [0.0] * 5
    assert delays == sorted(delays)
    assert delays[-1] == MAX_DELAY_S


def test_who_gets_it_right_may_try_as_often_as_before(throttle: LoginThrottle) -> None:
    for _ in range(30):
        throttle.begin("ann", "192.0.2.1")
        throttle.succeed("ann", "192.0.2.1")


def test_tries_at_the_same_time_count_each(throttle: LoginThrottle) -> None:
    for _ in range(5):
        throttle.begin("ann", "192.0.2.1")  # none of them has been answered yet
    with pytest.raises(RateLimited):
        throttle.begin("ann", "192.0.2.1")


def test_strangers_with_many_names_cost_bounded_memory(throttle: LoginThrottle) -> None:
    for number in range(MAX_KEYS):
        throttle.begin(f"name{number}", f"address{number}")
    assert len(throttle._failures) <= MAX_KEYS


def test_all_addresses_of_one_ipv6_network_count_as_one(throttle: LoginThrottle) -> None:
    for number in range(5):
        throttle.begin("ann", f"2001:db8::{number}")
    with pytest.raises(RateLimited):
        throttle.begin("ann", "2001:db8::ffff:1")
    throttle.begin("ann", "2001:db8:0:1::1")  # the neighbour's

"""When a client tries again, and when it does not."""

import pytest

from gateway.client.backoff import LEAST_S, backoff_s, may_return


def test_the_wait_doubles_up_to_half_a_minute() -> None:
    assert [backoff_s(attempt, 1.0) for attempt in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_all_of_the_wait_is_left_to_chance() -> None:
    assert backoff_s(3, 0.5) == 4
    assert backoff_s(3, 0.0) == LEAST_S


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1012, 1013, 4008, 4009, 4499])
def test_what_may_heal_is_tried_again(code: int) -> None:
    assert may_return(code)


@pytest.mark.parametrize("code", [4500, 4501, 4503, 4529, 4999])
def test_what_would_end_the_same_way_is_not(code: int) -> None:
    assert not may_return(code)

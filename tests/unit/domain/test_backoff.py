"""Waits after failures grow, stop growing, are spread, and exist after any number of failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.backoff import Backoff

ROLLS = st.floats(0, 1)
SECONDS = st.floats(0.001, 1000)
BACKOFFS = st.builds(
    Backoff, first_s=SECONDS, most_s=SECONDS, factor=st.floats(1, 10), spread=st.floats(0, 1)
)


@pytest.mark.parametrize(
    ("failures", "roll", "expected"),
    [
        (1, 1.0, 0.5),
        (1, 0.0, 0.25),
        (2, 1.0, 1.0),
        (4, 1.0, 4.0),
        (5, 1.0, 5.0),
        (5, 0.5, 3.75),
        (0, 1.0, 0.5),
    ],
)
def test_a_wait_doubles_up_to_its_longest_and_half_of_it_is_chance(
    failures: int, roll: float, expected: float
) -> None:
    assert Backoff(first_s=0.5, most_s=5.0).pause_s(failures, roll) == expected


def test_all_of_a_wait_or_none_of_it_may_be_chance() -> None:
    assert [Backoff(1, 8, spread=1.0).pause_s(3, roll) for roll in (0.0, 0.25, 1.0)] == [0.0, 1.0, 4.0]
    assert [Backoff(1, 8, spread=0.0).pause_s(3, roll) for roll in (0.0, 0.25, 1.0)] == [4.0, 4.0, 4.0]


def test_waits_may_grow_by_another_factor_than_two() -> None:
    assert [Backoff(1, 20, factor=3, spread=0).pause_s(n) for n in (1, 2, 3, 4)] == [1, 3, 9, 20]


def test_an_outage_of_days_has_a_wait() -> None:
    assert Backoff(0.4, 5.0).pause_s(1_000_000) == 5.0


@given(BACKOFFS, st.integers(1, 10_000), ROLLS)
def test_a_wait_is_never_longer_than_its_longest_nor_shorter_than_its_sure_part(
    backoff: Backoff, failures: int, roll: float
) -> None:
    sure_s = min(backoff.first_s, backoff.most_s) * (1 - backoff.spread)
    assert sure_s * 0.999 <= backoff.pause_s(failures, roll) <= backoff.most_s * 1.001


@given(BACKOFFS, st.integers(1, 10_000), ROLLS)
def test_a_further_failure_never_shortens_a_wait(backoff: Backoff, failures: int, roll: float) -> None:
    assert backoff.pause_s(failures + 1, roll) >= backoff.pause_s(failures, roll)


@given(BACKOFFS, st.integers(1, 100), ROLLS, ROLLS)
def test_a_higher_roll_never_shortens_a_wait(
    backoff: Backoff, failures: int, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert backoff.pause_s(failures, low) <= backoff.pause_s(failures, high)

"""A bell is rung by anybody: what is no list of numbers that Postgres can hold means "look at all"."""

import pytest

from gateway.domain.notifications import inboxes_of, sessions_of


@pytest.mark.parametrize(
    ("payload", "numbers"),
    [
        ("12", [12]),
        ("3,7,12", [3, 7, 12]),
        ("0", [0]),
        ("-1,4", [-1, 4]),
        ("9" * 18, [10**18 - 1]),
        (str(2**63 - 1), [2**63 - 1]),
    ],
)
def test_numbers_are_read(payload: str, numbers: list[int]) -> None:
    assert inboxes_of(payload) == numbers


@pytest.mark.parametrize(
    "payload", ["*", "", ",", "3,", "3, 7", "x", "1.5", "9" * 19, f"1,{2**63}", "٣", "3\n", "--1"]
)
def test_anything_else_means_all(payload: str) -> None:
    assert inboxes_of(payload) is None


def test_a_session_has_no_sign() -> None:
    assert sessions_of("12,7") == [12, 7]
    assert sessions_of("-12") is None
    assert sessions_of("*") is None

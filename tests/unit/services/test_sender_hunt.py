"""Chance against the sender; 1,000 seeds by command, see `sender_hunt`."""

import pytest

from tests.unit.services.sender_hunt import hunt


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_no_message_goes_twice_and_no_row_says_what_is_not_true(first: int) -> None:
    found = sum((hunt(seed) for seed in range(first, first + 10)), start=hunt(first))

    assert set(found) <= {"accepted", "failed", "unknown", "cancelled"}
    assert found["accepted"] > found["unknown"] > 0

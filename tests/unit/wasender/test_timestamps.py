"""Moments are read in every form upstream has; what is none, or cannot be true, is the time of receipt."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wasender.timestamps import AHEAD, EARLIEST, timestamp

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
SENT = datetime(2026, 6, 15, 11, 59, 30, tzinfo=UTC)
SECONDS = int(SENT.timestamp())


def long(number: int) -> dict[str, Any]:
    """A 64-bit number as protobuf's JavaScript has it: both halves signed."""
    low, high = number & 0xFFFF_FFFF, number >> 32
    return {"low": low - (1 << 32) if low >= 1 << 31 else low, "high": high, "unsigned": True}


@pytest.mark.parametrize(
    "value",
    [
        SECONDS, float(SECONDS), str(SECONDS), f" {SECONDS} ", f"{SECONDS}.0", SECONDS * 1000, str(SECONDS * 1000),
        long(SECONDS), long(SECONDS * 1000), {"low": SECONDS}, {"seconds": SECONDS},
        {"seconds": str(SECONDS), "nanos": 5},
        {"_seconds": SECONDS, "_nanoseconds": 0}, {"$numberLong": str(SECONDS)}, {"value": SECONDS},
        {"seconds": None, "value": SECONDS}, "2026-06-15T11:59:30Z", "2026-06-15T13:59:30+02:00", "2026-06-15 11:59:30",
        {"$date": "2026-06-15T11:59:30.000Z"},
    ],
    ids=repr,
)  # fmt: skip
def test_a_moment_is_read_in_every_form(value: Any) -> None:
    assert timestamp(value, NOW, NOW) == SENT


@pytest.mark.parametrize(
    "value",
    [
        None, 0, -1, "", "0", "tomorrow", [SECONDS], True, {}, {"low": None}, {"low": "x"}, {"low": 1 << 40},
        {"high": 1}, {"seconds": {}},
        long(-5), float("nan"), float("inf"), 10**400, "1" * 400, "1_781_524_770", "١٧٨١٥٢٤٧٧٠",
        SECONDS * 10, SECONDS * 1_000_000, str(SECONDS * 1_000_000), SECONDS * 1_000_000_000, SECONDS // 10,
        1_230_767_999, 1_230_767_999_000, "2008-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59",
        NOW.timestamp() + 86_401,
    ],
    ids=repr,
)  # fmt: skip
def test_what_cannot_be_true_is_the_time_of_receipt(value: Any) -> None:
    assert timestamp(value, NOW, NOW) == NOW


def test_the_bounds_are_2009_and_a_day_ahead() -> None:
    assert timestamp(1_230_768_000, NOW, NOW) == EARLIEST
    assert timestamp((NOW + AHEAD).timestamp(), NOW, NOW) == NOW + timedelta(days=1)


def test_a_wrong_time_of_the_envelope_does_not_spoil_the_messages_own() -> None:
    envelope = datetime(2009, 2, 13, tzinfo=UTC)

    assert timestamp(SECONDS, envelope, NOW) == SENT
    assert timestamp("never", envelope, NOW) == envelope


def test_without_a_time_of_receipt_the_default_counts_as_one() -> None:
    assert timestamp(SECONDS, NOW) == SENT
    assert timestamp(SECONDS + 90_000, NOW) == NOW


def test_the_end_of_time_is_a_default_like_any_other() -> None:
    end = datetime.max.replace(tzinfo=UTC)

    assert timestamp("x", end) == end


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["low", "high", "seconds", "$date", "x"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_anything_is_a_moment_between_2009_and_tomorrow(value: Any) -> None:
    assert EARLIEST <= timestamp(value, NOW, NOW) <= NOW + AHEAD

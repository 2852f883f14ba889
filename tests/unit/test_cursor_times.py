"""Cursors hold every time that Postgres can write."""

from datetime import datetime

import pytest

from gateway.domain.errors import Invalid
from gateway.http.cursors import make_cursor, parse_cursor


@pytest.mark.parametrize(
    "time",
    [
        "294276-12-31 23:59:59.999999+00",
        "4713-01-01 00:00:00+00 BC",
        "0001-01-01 00:00:00+00",
        "2400-02-29 00:00:00+00",
        "infinity",
        "-infinity",
    ],
)
def test_the_ends_of_time_come_back(time: str) -> None:
    assert parse_cursor(make_cursor(time, 12), datetime, int) == (time, 12)


@pytest.mark.parametrize(
    "time", ["294277-01-01 00:00:00+00", "4714-01-01 00:00:00+00 BC", "2401-02-29 00:00:00+00"]
)
def test_a_time_that_postgres_does_not_have_is_refused(time: str) -> None:
    with pytest.raises(Invalid):
        parse_cursor(make_cursor(time, 12), datetime, int)

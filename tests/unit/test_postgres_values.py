"""What Postgres holds can be read, whatever it is."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.postgres.connection.values import (
    Partial,
    decode_json,
    decode_moment,
    decode_naive,
    encode_moment,
    encode_naive,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@given(json_values)
def test_what_can_be_told_is_told_as_it_is(value: Any) -> None:
    assert decode_json(json.dumps(value).encode()) == value


POISON = [
    "1e400",
    "-1e99999",
    "9" * 5000,
    "[" * 2000 + "]" * 2000,
    nested(300),
    nested(2000),
    '[{"x": 1e400}]',
]


@pytest.mark.parametrize("poison", POISON)
def test_a_value_that_cannot_be_told_is_none_and_its_key_is_named(poison: str) -> None:
    text = f'{{"before": {{"{{": "}}\\"]"}}, "bad": {poison}, "a,b\\u00e4": [1, [2]], "last": "x"}}'
    value = decode_json(text.encode())

    assert value == {"before": {"{": '}"]'}, "bad": None, "a,bä": [1, [2]], "last": "x", "": ["bad"]}
    assert isinstance(value, Partial)
    orjson.dumps({"data": value})


@given(
    st.dictionaries(st.text(min_size=1), json_values, max_size=5),
    st.text(min_size=1),
    st.sampled_from(POISON),
)
def test_the_other_keys_are_told(row: dict[str, Any], name: str, poison: str) -> None:
    row.pop(name, None)
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in row.items()]
    parts.insert(len(parts) // 2, f"{json.dumps(name)}: {poison}")
    assert decode_json(f" {{{', '.join(parts)}}}".encode()) == {**row, name: None, "": [name]}


@pytest.mark.parametrize("poison", ["1e400", "[1e400]", nested(1).replace("1", "1e400"), '"\\ud83d"'])
def test_a_value_that_is_no_row_is_none_or_an_object(poison: str) -> None:
    value = decode_json(poison.encode())
    assert value is None or isinstance(value, Partial)


def test_many_brackets_that_are_not_deep_are_no_trouble() -> None:
    assert decode_json(b"[" + b",".join([b"[]"] * 5000) + b"]") == [[]] * 5000


@pytest.mark.parametrize("microseconds", [-(2**63), 2**63 - 1, 10**18, -(10**18)])
def test_a_time_that_python_does_not_have_is_none(microseconds: int) -> None:
    assert decode_moment((microseconds,)) is None
    assert decode_naive((microseconds,)) is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_come_back_as_they_went(moment: datetime) -> None:
    assert decode_moment(encode_moment(moment)) == moment
    naive = moment.replace(tzinfo=None)
    assert decode_naive(encode_naive(naive)) == naive


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert decode_moment(encode_moment(moment)) == moment

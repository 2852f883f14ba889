"""JSON of any depth, and numbers of any length, are read; what our parsers cannot hold stands in the result as text."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.any_json import MAX_DEPTH, Parsed, TooDeep, is_too_deep, parse, parse_deep

NESTS = {
    "lists": ("[", "]"),
    "objects": ('{"a":', "}"),
    "both": ('[{"a ]":', "}]"),
    "spaced": ("[ \n", " ]"),
    "beside others": ('{"b":[1,"]"],"a":', ',"c":{}}'),
}


def read(raw: str | bytes) -> Parsed:
    raw = raw.encode() if isinstance(raw, str) else raw
    try:
        return parse(raw)
    except TooDeep:
        return parse_deep(raw)


def unfolded(value: Any) -> Any:
    """The innermost of it; what stands there as text is read again."""
    while True:
        if isinstance(value, dict):
            value = value["a"] if "a" in value else value["a ]"]
        elif isinstance(value, list):
            value = value[0]
        elif isinstance(value, str) and value[:1] in ("[", "{"):
            value = read(value).body
        else:
            return value


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 255, 1025, 5000])
@pytest.mark.parametrize("nest", NESTS)
def test_whatever_is_nested_is_found_at_the_bottom(nest: str, depth: int) -> None:
    begin, end = NESTS[nest]
    parsed = read(begin * depth + '"at \\"the\\" bottom"' + end * depth)

    assert unfolded(parsed.body) == 'at "the" bottom'
    assert not is_too_deep(parsed.body)
    assert orjson.loads(orjson.dumps(parsed.body)) == parsed.body


@given(
    st.recursive(
        st.text() | st.integers(-9, 9), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_stands_beside_deep_parts_is_as_it_came(beside: Any) -> None:
    deep = "[" * 300 + "]" * 300
    parsed = read(f'{{"before":{json.dumps(beside)},"deep":{deep},"after":{json.dumps(beside)}}}')

    assert parsed.body["before"] == parsed.body["after"] == beside
    assert parsed.has_deep_parts


def test_deep_parts_hold_no_key_of_a_session_and_nothing_that_postgres_refuses() -> None:
    deep = '{"sessionId": "a-secret", "session_id":123, "text":"\\u0061 cut \\ud83d\\u0000"}'
    said = str(read("[" * 300 + deep + "]" * 300).body)

    assert "a-secret" not in said
    assert "123" not in said
    assert "a cut \ufffd" in said
    assert "u0000" not in said


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"[1e400, -1e400]", ["1e400", "-1e400"]),
        (b"[18446744073709551615, 18446744073709551616]", [18446744073709551615, "18446744073709551616"]),
        (b'{"id": %s}' % (b"7" * 5000), {"id": "7" * 5000}),
        (b'["a, 12345678901234567890"]', ["a, 12345678901234567890"]),
        (b"\xef\xbb\xbf[1]", [1]),
        ('["\u00e9"]'.encode("utf-16"), ["\u00e9"]),
        (b'["\xff"]', ["\ufffd"]),
    ],
)
def test_numbers_and_texts_that_parsers_refuse_are_kept(raw: bytes, body: Any) -> None:
    assert read(raw).body == body


@pytest.mark.parametrize(
    "raw",
    ["", "[", "[" * 5000, "[" * 5000 + "}" * 5000, "[" * 500 + "]" * 501, "[1" + "]" * 2, "NaN", "[01]", "x"],
)
def test_what_is_no_json_is_refused(raw: str) -> None:
    with pytest.raises(ValueError):
        read(raw)

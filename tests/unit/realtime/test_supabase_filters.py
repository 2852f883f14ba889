"""Filters as Supabase's clients write them, and what each means for a column of some type."""

import re
import time
from typing import Any

import pytest

from gateway.realtime.supabase.filters import Condition, FilterRefused, parse_filter
from gateway.realtime.supabase.values import ValueRefused, predicate_of


def parsed(text: str) -> list[tuple[str, str, tuple[str, ...], bool]]:
    return [(item.column, item.op, item.values, item.is_negated) for item in parse_filter(text)]


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("", []),
        ("  ", []),
        ("id=eq.1", [("id", "eq", ("1",), False)]),
        ("id=eq.", [("id", "eq", ("",), False)]),
        ("a=eq.x.y=z", [("a", "eq", ("x.y=z",), False)]),
        ("a=not.in.(x,y)", [("a", "in", ("x", "y"), True)]),
        ("a=in.()", [("a", "in", (), False)]),
        ('a=in.("x,y", z)', [("a", "in", ("x,y", "z"), False)]),
        ('wa_id=eq."a,b",status=not.in.(x,y)', [("wa_id", "eq", ("a,b",), False), ("status", "in", ("x", "y"), True)]),
        (r'a=eq."say \"hi\", \\ "', [("a", "eq", (r'say "hi", \ ',), False)]),
        ('a=eq.5" wide,b=gt.3', [("a", "eq", ('5" wide',), False), ("b", "gt", ("3",), False)]),
        ("a=like.%x_,b=is.NULL", [("a", "like", ("%x_",), False), ("b", "is", ("NULL",), False)]),
        ('"a b"=eq.1', [("a b", "eq", ("1",), False)]),
    ],
)  # fmt: skip
def test_a_filter_is_read(text: str, conditions: list[Any]) -> None:
    assert parsed(text) == conditions


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("wrong", '["wrong"]'),
        ("a=eq", '["a=eq"]'),
        ("=eq.1", '["=eq.1"]'),
        ("subject=foo.hey", '["foo", "hey"]'),
        ("a=eq.1,", '[""]'),
        ("a=in.x", '["in", "x"]'),
        ("a=is.3", '["is", "3"]'),
        ("a=not.not.eq.1", '["not", "eq.1"]'),
    ],
)
def test_what_cannot_be_read_is_named(text: str, what: str) -> None:
    with pytest.raises(FilterRefused) as caught:
        parse_filter(text)

    assert str(caught.value) == f"Error parsing `filter` params: {what}"


@pytest.mark.parametrize(
    "text",
    ["a=eq." + "x" * 5000, ",".join(["a=eq.1"] * 21), f"a=in.({','.join(map(str, range(101)))})"],
    ids=["long", "many", "list"],
)
def test_filters_have_limits(text: str) -> None:
    with pytest.raises(FilterRefused, match="at most"):
        parse_filter(text)


def answer(text: str, type_name: str, value: Any) -> bool | None:
    (condition,) = parse_filter(text)
    return predicate_of(condition, type_name)(value)


UTC_NOON = "2026-11-22T12:00:00.5+00:00"


@pytest.mark.parametrize(
    ("text", "type_name", "value", "expected"),
    [
        # Numbers are numbers: 9 is less than 10.
        ("a=lt.10", "int4", 9, True),
        ("a=gt.9", "int8", 10, True),
        ("a=eq.9007199254740993", "int8", 9007199254740993, True),
        ("a=eq.9007199254740993", "int8", 9007199254740992, False),
        ("a=eq.3.0", "numeric", 3, True),
        ("a=gte.1.5", "float8", 1.5, True),
        ("a=neq.3", "int2", 3, False),
        ("a=in.(1,2)", "int4", 2, True),
        ("a=not.in.(1,2)", "int4", 2, False),
        ("a=in.()", "int4", 2, False),
        # Text is text: 9 comes after 10.
        ("a=lt.10", "text", "9", False),
        ("a=eq.", "text", "", True),
        ("a=lte.b", "varchar", "a", True),
        ("a=eq.on", "bool", True, True),
        ("a=neq.false", "bool", True, True),
        # Moments, in whatever zone they are written.
        ("a=gt.2026-11-22T12:00:00Z", "timestamptz", UTC_NOON, True),
        ("a=eq.2026-11-22 13:00:00.5+01", "timestamptz", UTC_NOON, True),
        ("a=gte.2026-11-22", "timestamptz", UTC_NOON, True),
        ("a=eq.2026-11-22T12:00:00+05:00", "timestamp", "2026-11-22T12:00:00", True),
        ("a=lt.2026-11-23", "date", "2026-11-22", True),
        ("a=eq.A0EEBC999C0B4EF8BB6D6BB9BD380A11", "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", True),
        ('a=eq."{\\"x\\": 1}"', "jsonb", {"x": 1}, True),
        # NULL is neither equal nor different.
        ("a=eq.1", "int4", None, None),
        ("a=neq.1", "int4", None, None),
        ("a=not.eq.1", "int4", None, None),
        ("a=in.(1)", "int4", None, None),
        ("a=like.%", "text", None, None),
        ("a=is.null", "int4", None, True),
        ("a=not.is.null", "int4", 1, True),
        ("a=is.unknown", "bool", None, True),
        ("a=is.true", "bool", None, False),
        ("a=not.is.true", "bool", None, True),
        ("a=is.false", "bool", False, True),
        ("a=isdistinct.1", "int4", None, True),
        ("a=isdistinct.1", "int4", 1, False),
        ("a=not.isdistinct.null", "int4", None, True),
        # Patterns.
        ("a=like.%o_", "text", "a\nfox", True),
        ("a=like.O%", "text", "ox", False),
        ("a=ilike.O%", "text", "ox", True),
        ("a=like.50\\%", "text", "50%", True),
        ("a=like.50\\%", "text", "505", False),
        ("a=like.a.c", "text", "abc", False),
        ("a=like.ä_", "text", "äß", True),
        ("a=not.like.x%", "text", "ox", True),
        ("a=match.^o+x$", "text", "oox", True),
        ("a=match.OX", "text", "ox", False),
        ("a=imatch.OX", "text", "an ox", True),
        ("a=match.[[:digit:]]{3}", "text", "a123", True),
    ],
)
def test_a_value_is_compared_as_its_type(
    text: str, type_name: str, value: Any, expected: bool | None
) -> None:
    assert answer(text, type_name, value) is expected


@pytest.mark.parametrize(
    ("text", "type_name", "code"),
    [
        ("a=eq.x", "int4", "22P02"),
        ("a=eq.99999999999999999999", "int8", "22P02"),
        ("a=eq.maybe", "bool", "22P02"),
        ("a=eq.yesterday", "timestamptz", "22P02"),
        ("a=in.(1,x)", "int4", "22P02"),
        ("a=eq.{", "jsonb", "22P02"),
        ("a=gt.1", "jsonb", "42883"),
        ("a=like.1%", "int4", "42883"),
        ("a=is.true", "text", "42804"),
        ("a=match.(", "text", "2201B"),
        (r"a=match.(a)\1", "text", "2201B"),
    ],
)
def test_what_postgres_would_refuse_is_refused_in_its_words(text: str, type_name: str, code: str) -> None:
    with pytest.raises(ValueRefused, match=code):
        answer(text, type_name, None)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        # Each of these held the loop for half a minute and more before texts and patterns had a limit.
        ("a=match.^(a+)+$", "a" * 4000 + "b", False),
        ("a=match.(a|b|ab|ba|aab){200}c", "ab" * 2000, False),
        ("a=match.(a|b|ab|ba|aab){200}c", "ab" * 500_000, None),
        ("a=not.match.x", "ab" * 500_000, None),
        ("a=like.%_" + "%a" * 100 + "b", "a" * 4000, False),
        ("a=like." + "%a" * 2000 + "b", "a" * 1_000_000, False),
        ("a=ilike.%A%", "b" * 1_000_000 + "a", True),
    ],
    ids=lambda item: str(item)[:20],
)
def test_no_pattern_of_a_client_stops_the_others(text: str, value: str, expected: bool | None) -> None:
    started = time.process_time()

    assert answer(text, "text", value) is expected
    assert time.process_time() - started < 10  # far more than it takes, far less than it took


@pytest.mark.parametrize("pattern", ['"(.{1,60}){1,10}z"', "(a{60}){60}", "%_" * 1500])
def test_patterns_that_are_too_large_are_refused(pattern: str) -> None:
    with pytest.raises(ValueRefused, match="too large"):
        answer(f"a={'like' if '%' in pattern else 'match'}.{pattern}", "text", None)


def test_like_is_the_same_with_and_without_its_short_cut() -> None:
    texts = ["", "a", "ab", "aab", "abab", "ba", "%", "b%a", "aXbXa"]
    for pattern in ["", "%", "a%", "%a", "a%a", "%a%b%", "ab%ab", "%%", "a\\%", "b\\%%", "aa%a", "%ab"]:
        for text in texts:
            regular = re.fullmatch(
                "".join(
                    ".*" if part == "%" else re.escape(part[-1:]) for part in re.findall(r"\\.|.", pattern)
                ),
                text,
                re.DOTALL,
            )
            assert answer(f"a=like.{pattern}", "text", text) is (regular is not None), (pattern, text)


def test_a_condition_keeps_its_value_as_it_was_written() -> None:
    assert parse_filter('a=eq."x,y"')[0] == Condition("a", "eq", ("x,y",), '"x,y"')

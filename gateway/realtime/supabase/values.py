"""What a filter's value means for a column of some Postgres type, and whether a row's value fits it.

As in SQL, a comparison with NULL is neither true nor false, and then the row does not match; only `is` and
`isdistinct` say something about NULL.
"""

import operator
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from gateway.realtime.supabase.filters import Condition
from gateway.realtime.supabase.patterns import PATTERNS, PatternRefused, Predicate, pattern_predicate

Cast = Callable[[Any], Any]


class ValueRefused(Exception):
    """What Postgres would say: code, name and sentence."""


_TRUE = frozenset({"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"})
_FALSE = frozenset({"f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"})


def _cast_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError


def _cast_int(value: Any) -> int:
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError
    return number


def _cast_number(value: Any) -> Decimal:
    return Decimal(str(value).strip())


def _cast_moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(str(value).strip())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _cast_naive(value: Any) -> datetime:
    # Postgres drops the zone that stands in the text of a `timestamp`.
    return datetime.fromisoformat(str(value).strip()).replace(tzinfo=None)


def _cast_json(value: Any) -> Any:
    return orjson.loads(str(value)) if isinstance(value, _FilterText) else value


class _FilterText(str):
    """A value out of a filter, where a record's value of the same column may be text, too."""

    __slots__ = ()


_CASTS: dict[str, Cast] = {
    "bool": _cast_bool,
    **dict.fromkeys(("int2", "int4", "int8", "oid"), _cast_int),
    **dict.fromkeys(("numeric", "float4", "float8"), _cast_number),
    "uuid": lambda value: str(uuid.UUID(str(value).strip())),
    "date": lambda value: date.fromisoformat(str(value).strip()),
    "time": lambda value: time.fromisoformat(str(value).strip()),
    "timestamp": _cast_naive,
    "timestamptz": _cast_moment,
    "jsonb": _cast_json,
}
_TEXT = frozenset({"text", "varchar", "bpchar", "name", "citext"})
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "neq": operator.ne,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def predicate_of(condition: Condition, type_name: str) -> Predicate:
    """Whether a value of this type fulfils the condition. Raises ValueRefused if it cannot be asked."""
    test = _plain_test(condition, type_name)
    if not condition.is_negated:
        return test

    def negated(value: Any) -> bool | None:
        answer = test(value)
        return None if answer is None else not answer

    return negated


def _plain_test(condition: Condition, type_name: str) -> Predicate:
    op, text = condition.op, next(iter(condition.values), "")
    if op == "is":
        return _is_test(text.strip().lower(), type_name)
    if op in PATTERNS:
        return _pattern_test(op, text, type_name)
    cast = _CASTS.get(type_name, str)
    if op == "isdistinct":
        wanted = None if text.lower() == "null" else _cast_value(text, cast, type_name)
        return lambda value: (None if value is None else cast(value)) != wanted
    if op == "in":
        listed = [_cast_value(item, cast, type_name) for item in condition.values]
        return lambda value: None if value is None else cast(value) in listed
    if type_name == "jsonb" and op not in ("eq", "neq"):
        raise ValueRefused(f"ERROR 42883 (undefined_function) {op} does not compare jsonb")
    compare, bound = _COMPARE[op], _cast_value(text, cast, type_name)
    return lambda value: None if value is None else compare(cast(value), bound)


def _cast_value(text: str, cast: Cast, type_name: str) -> Any:
    try:
        return cast(_FilterText(text)) if cast is _cast_json else cast(text)
    except (ValueError, InvalidOperation):
        raise ValueRefused(
            f'ERROR 22P02 (invalid_text_representation) invalid input syntax for type {type_name}: "{text[:100]}"'
        ) from None


def _is_test(word: str, type_name: str) -> Predicate:
    if word == "null":
        return lambda value: value is None
    if type_name != "bool":
        raise ValueRefused(f"ERROR 42804 (datatype_mismatch) is.{word} needs a column of type bool")
    if word == "unknown":
        return lambda value: value is None
    wanted = word == "true"
    return lambda value: value is wanted


def _pattern_test(op: str, text: str, type_name: str) -> Predicate:
    if type_name not in _TEXT:
        raise ValueRefused(
            f"ERROR 42883 (undefined_function) {op} needs a column of text, not of {type_name}"
        )
    try:
        return pattern_predicate(op, text)
    except PatternRefused as refused:
        raise ValueRefused(f"ERROR 2201B (invalid_regular_expression) {refused}") from None

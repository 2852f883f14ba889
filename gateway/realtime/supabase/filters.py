"""The `filter` of a binding: `column=op.value`, with `not.` before the operator, several joined by commas.

Commas inside parentheses or double quotes do not join; in double quotes a backslash takes the next character as it is.
"""

import json
from dataclasses import dataclass
from typing import NoReturn

OPERATORS = frozenset(
    {"eq", "neq", "lt", "lte", "gt", "gte", "in", "like", "ilike", "is", "match", "imatch", "isdistinct"}
)
MAX_CHARS = 4096
MAX_CONDITIONS = 20
MAX_LIST = 100


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a filter, on one column."""

    column: str
    op: str
    values: tuple[str, ...]
    """One value; for `in` those of the list."""
    raw: str
    """The value as it was written."""
    is_negated: bool = False


class FilterRefused(Exception):
    """One sentence in the original's words."""


def parse_filter(text: str) -> tuple[Condition, ...]:
    """The conditions, all of which must hold; none for a blank text. Raises FilterRefused."""
    if not text.strip():
        return ()
    if len(text) > MAX_CHARS:
        raise FilterRefused(f"A filter may have at most {MAX_CHARS} characters.")
    parts = _split(text)
    if len(parts) > MAX_CONDITIONS:
        raise FilterRefused(f"A filter may have at most {MAX_CONDITIONS} conditions.")
    return tuple(_parse_condition(part) for part in parts)


def _parse_condition(text: str) -> Condition:
    column, equals, rest = text.partition("=")
    first, dot, value = rest.partition(".")
    is_negated = first == "not" and bool(dot)
    op = first
    if is_negated:
        op, dot, value = value.partition(".")
    column = _unquote(column.strip())
    if not (equals and dot and column):
        _refuse(text)
    if op not in OPERATORS:
        _refuse(op, value)
    if op == "in":
        return Condition(column, op, _parse_list(value), value, is_negated)
    if op == "is" and value.strip().lower() not in ("null", "true", "false", "unknown"):
        _refuse(op, value)
    return Condition(column, op, (_unquote(value),), value, is_negated)


def _parse_list(value: str) -> tuple[str, ...]:
    inner = value.strip()
    if not (inner.startswith("(") and inner.endswith(")")):
        _refuse("in", value)
    if not inner[1:-1].strip():
        return ()
    items = _split(inner[1:-1])
    if len(items) > MAX_LIST:
        raise FilterRefused(f"`in` takes at most {MAX_LIST} values.")
    return tuple(_unquote(item.strip()) for item in items)


def _split(text: str) -> list[str]:
    """At commas outside of parentheses and quotes."""
    parts: list[str] = []
    start = depth = index = 0
    is_quoted = False
    while index < len(text):
        char = text[index]
        if is_quoted:
            index += char == "\\"  # the next one is taken as it is
            is_quoted = char != '"'
        elif char == '"' and text[index - 1 : index] in ("", ".", "(", ",", " "):  # where a value begins
            is_quoted = True
        elif char == "(":
            depth += 1
        elif char == ")":
            depth = max(0, depth - 1)
        elif char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
        index += 1
    return [*parts, text[start:]]


def _unquote(text: str) -> str:
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        return text
    plain: list[str] = []
    chars = iter(text[1:-1])
    for char in chars:
        plain.append(next(chars, "") if char == "\\" else char)
    return "".join(plain)


def _refuse(*what: str) -> NoReturn:
    listed = ", ".join(json.dumps(item, ensure_ascii=False) for item in what)
    raise FilterRefused(f"Error parsing `filter` params: [{listed}]")

"""LIKE and Postgres' patterns for filters, within a time that no client can stretch.

A pattern runs for every event, on the loop that serves all clients. A LIKE with `%` alone is a search for its parts.
Everything else runs in RE2, which never goes back; but a large pattern on a text of a megabyte still takes half a
minute, so patterns have a size, and texts a length.
"""

from collections.abc import Callable, Sequence
from typing import Any

import re2

Predicate = Callable[[Any], bool | None]
"""Of a value as it stands in a record; None is SQL's unknown."""

PATTERNS = frozenset({"like", "ilike", "match", "imatch"})

MAX_CHARS = 4096
"""Of a text that RE2 is asked about; of a longer one nothing is known. WhatsApp's own are seldom so long."""

_MAX_PATTERN_BYTES = 32 * 1024
"""RE2's memory for a pattern."""


class PatternRefused(Exception):
    """One sentence."""


def pattern_predicate(op: str, text: str) -> Predicate:
    """Whether a text fits the pattern. Raises PatternRefused."""
    ignores_case = op in ("ilike", "imatch")
    if op in ("match", "imatch"):
        return _in_re2(text, ignores_case)
    tokens = _like_tokens(text)
    if "_" in tokens:
        parts = [_RE2_OF.get(token) or re2.escape(token[-1]) for token in tokens]
        return _in_re2(rf"\A(?:{''.join(parts)})\z", ignores_case)
    return _by_parts(tokens, ignores_case)


_RE2_OF = {"%": ".*", "_": "."}


def _like_tokens(text: str) -> list[str]:
    """`%`, `_`, and characters; those that mean themselves although they look like one of the two have a backslash."""
    tokens: list[str] = []
    chars = iter(text)
    for char in chars:
        if char == "\\":
            char = next(chars, "\\")
            tokens.append("\\" + char if char in _RE2_OF else char)
        else:
            tokens.append(char)
    return tokens


def _by_parts(tokens: Sequence[str], ignores_case: bool) -> Predicate:
    parts = [""]
    for token in tokens:
        if token == "%":
            parts.append("")
        else:
            parts[-1] += token[-1]
    if ignores_case:
        parts = [part.lower() for part in parts]

    def predicate(value: Any) -> bool | None:
        if value is None:
            return None
        text = str(value).lower() if ignores_case else str(value)
        return _holds_parts(text, parts)

    return predicate


def _holds_parts(text: str, parts: Sequence[str]) -> bool:
    """Whether the text begins with the first part, ends with the last, and has the others in this order between."""
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    end = len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last) or len(first) > end:
        return False
    at = len(first)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _in_re2(pattern: str, ignores_case: bool) -> Predicate:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_PATTERN_BYTES
    options.case_sensitive = not ignores_case
    options.dot_nl = True  # a line break is a character like others, for LIKE and for Postgres' own patterns
    try:
        compiled = re2.compile(pattern, options)
    except re2.error:
        raise PatternRefused(
            "this pattern cannot be used here: it is wrong, too large, or has back references or look-around"
        ) from None

    def predicate(value: Any) -> bool | None:
        if value is None or len(str(value)) > MAX_CHARS:
            return None
        return compiled.search(str(value)) is not None

    return predicate

"""JSON of any kind that RFC 8259 allows: as deep, and with numbers as long, as its sender likes.

What our parsers, orjson and Postgres cannot hold is kept as text: nothing of a body is lost, and nothing of it is
refused for its shape.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.domain.message import mend_text

MAX_DEPTH = 100
"""JSON nested deeper is kept as text. Real messages, quotes of quotes included, stay below 20."""

_LONG_NUMBER = re.compile(rb"[:\[,\s]-?[0-9][0-9.eE+-]{16}")
"""What may be a number with more digits than orjson reads; or text, which the slower parser reads just as well."""

# Runs of brackets are one token: a body of eight million of them is read in a moment.
_PART = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|\[(?:\s*+\[)*+|\](?:\s*+\])*+|\{|\}(?:\s*+\})*+', re.DOTALL)
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_KEY_OF_SESSION = re.compile(r'("session(?:Id|_id)"\s*:\s*)(?:"[^"]*"|[0-9]+)')


@dataclass(frozen=True, slots=True)
class Parsed:
    """A body that can be read, written again, and held by Postgres."""

    body: Any
    has_deep_parts: bool = False
    """Parts of it are nested deeper than MAX_DEPTH, and stand in it as JSON text."""


class TooDeep(Exception):
    """`parse_deep` reads it, which takes its time."""


def parse(raw: bytes) -> Parsed:
    """The JSON of a body. Raises ValueError where it is none, TooDeep where it is nested too deeply to be read.

    orjson refuses lone surrogates (`"\\ud83d"`, a name cut inside an emoji); the standard library reads them, and
    `mend` replaces them before anything is stored.
    """
    may_be_deep = raw.count(b"[") + raw.count(b"{") > MAX_DEPTH
    try:
        body = _loads(raw)
    except RecursionError:
        raise TooDeep from None
    if may_be_deep and is_too_deep(body):
        raise TooDeep
    return Parsed(body)


def parse_deep(raw: bytes) -> Parsed:
    """As `parse`; what is nested deeper than MAX_DEPTH becomes text, and only its brackets are checked."""
    text = _decoded(raw)
    pieces, end = [], 0
    for start, stop in _deep_spans(text):
        pieces += [text[end:start], orjson.dumps(_fit_to_keep(text[start:stop])).decode()]
        end = stop
    return Parsed(
        _loads("".join([*pieces, text[end:]]).encode("utf-8", "surrogatepass")), has_deep_parts=bool(pieces)
    )


def is_too_deep(body: Any) -> bool:
    """Whether more than MAX_DEPTH lists and objects are in each other."""
    level = [body] if isinstance(body, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _loads(raw: bytes) -> Any:
    if not _LONG_NUMBER.search(raw):
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass
    return json.loads(_decoded(raw), parse_int=_integer, parse_float=_number, parse_constant=_refuse_constant)


def _decoded(raw: bytes) -> str:
    encoding = json.detect_encoding(raw)
    return raw.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")


def _integer(text: str) -> int | str:
    """A number that orjson can write again and Postgres can hold, or its digits."""
    if len(text) > 20:  # `int` refuses thousands of digits
        return text
    value = int(text)
    return value if -(2**63) <= value < 2**64 else text


def _number(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _deep_spans(text: str) -> list[tuple[int, int]]:
    """Where the outermost parts begin and end that lie in MAX_DEPTH others. Raises ValueError for brackets that do not
    fit each other."""
    spans = []
    open_ones = bytearray()
    start = 0
    for found in _PART.finditer(text):
        first = text[found.start()]
        if first == '"':
            continue
        if first in "[{":
            count = found[0].count(first)
            before = len(open_ones)
            open_ones += first.encode() * count
            if before <= MAX_DEPTH < len(open_ones):
                start = _place_of(found, first, MAX_DEPTH - before)
            continue
        pair = b"[" if first == "]" else b"{"
        count = found[0].count(first)
        if open_ones[-count:] != pair * count:
            raise ValueError("brackets that do not fit each other")
        after = len(open_ones) - count
        if after <= MAX_DEPTH < len(open_ones):
            spans.append((start, _place_from_end(found, first, MAX_DEPTH - after) + 1))
        del open_ones[after:]
    if open_ones:
        raise ValueError("brackets that are not closed")
    return spans


def _place_of(run: re.Match[str], bracket: str, number: int) -> int:
    """Where in the text the bracket of that number, from 0, stands in a run of brackets."""
    place = run.start() - 1
    for _ in range(number + 1):
        place = run.string.index(bracket, place + 1)
    return place


def _place_from_end(run: re.Match[str], bracket: str, number: int) -> int:
    place = run.end()
    for _ in range(number + 1):
        place = run.string.rindex(bracket, 0, place)
    return place


def _fit_to_keep(text: str) -> str:
    """Deep text without keys of sessions, its strings as orjson writes them: what is hidden elsewhere is found here."""
    if "\\" in text:
        text = _STRING.sub(lambda found: _spelt(found[0]), text)
    return _KEY_OF_SESSION.sub(r"\1null", text)


def _spelt(string: str) -> str:
    try:
        return orjson.dumps(mend_text(json.loads(string, strict=False))).decode()
    except ValueError:
        return string

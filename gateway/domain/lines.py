"""Text of strangers in one line: what they call themselves must not write lines of its own into a log."""

import unicodedata

_BREAKING = frozenset({"Cc", "Zl", "Zp", "Cs"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that make the rest of a line read in the other direction."""


def one_line(text: str) -> str:
    """The text with control characters, line ends and changes of direction written as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in _TURNING or unicodedata.category(character) in _BREAKING:
        return character.encode("unicode_escape").decode("ascii")
    return character

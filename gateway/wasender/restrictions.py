"""How upstream says that a message failed, and that WhatsApp lets a number start no new chats (its error 463).

It is said in the answer to a send, or by webhook later; in words, by the number alone, or by the number beside words.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.domain.message import mend_text

_RESTRICTED = re.compile(
    r"^\W*463\W*$"
    r"|\b(error|code|status|reason|ack)\b(\s+(code|number))?\W{0,3}463\b"
    r"|\bnew (chats?|conversations?|contacts)\b"
    r"|reach[\s_-]?out[\s_-]?time[\s_-]?lock"
    r"|\baccount[\s_-]?((is|was|has been|temporarily)[\s_-])*restrict(ed|ion)\b"
    r"|temporarily restricted",
    re.IGNORECASE,
)
_WORDS = ("message", "error", "reason", "failedReason", "failed_reason", "description")
_CODES = ("code", "errorCode", "error_code", "statusCode")
_PARAMETERS = "messageStubParameters"


def is_restriction(words: str | None) -> bool:
    """Whether the words of a failure tell of it."""
    return words is not None and _RESTRICTED.search(words) is not None


def failure_words(element: Mapping[str, Any]) -> str | None:
    """What an event says of a failure: its sentence, with the number that stands beside it; None if it says nothing."""
    error = element.get("error")
    inner = error if isinstance(error, Mapping) else {}
    said = [inner.get(name) for name in _WORDS] + [element.get(name) for name in _WORDS]
    text = next((mend_text(word).strip() for word in said if isinstance(word, str) and word.strip()), None)
    parameters = element.get(_PARAMETERS)
    told = parameters if isinstance(parameters, list) else []
    numbers = [error, *(place.get(name) for place in (inner, element) for name in _CODES), *told[:1]]
    code = next((found for found in map(_digits, numbers) if found), None)
    if code is None or (text is not None and re.search(rf"\b{code}\b", text)):
        return text
    return f"error {code}" if text is None else f"{text} (error {code})"


def _digits(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip()
    return text if text.isascii() and text.isdigit() and len(text) <= 5 else None

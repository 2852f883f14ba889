"""A message as clients of WasenderAPI ask for it: other names for the same things, files by their address."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.domain.errors import Invalid
from gateway.domain.media import KINDS, MediaKind
from gateway.domain.send_content import Wish, wish_of
from gateway.wasender.send_payload import file_field

_FILES: dict[str, MediaKind] = {file_field(kind): kind for kind in KINDS}
_BESIDE = ("fileName", "viewOnce")
"""Handed on as they are."""
_URL_LIMIT = 4_096


@dataclass(frozen=True, slots=True)
class OldRequest:
    """What is to be sent."""

    wish: Wish
    kind: str
    """The type of its row."""
    extra: dict[str, Any]
    """What is handed to upstream as it came."""
    file: tuple[str, MediaKind, str] | None
    """Field, kind and address of its file."""
    name: str | None
    """What the file is called."""


def read_request(body: Mapping[str, Any], client_id: str, now: datetime) -> OldRequest:
    """What the body of such a request asks for. Raises Invalid."""
    to = body.get("to")
    is_number = type(to) is int and to > 0  # some clients write a phone number as one
    if not is_number and (not isinstance(to, str) or not to.strip()):
        raise _wrong("to", "The to field is required.")
    files = [name for name in _FILES if body.get(name) is not None]
    if len(files) > 1:
        raise _wrong(files[1], "A message has one file.")
    extra = {name: body[name] for name in (*files, *_BESIDE) if body.get(name) is not None}
    for name in files:
        if not isinstance(extra[name], str) or not 0 < len(extra[name]) <= _URL_LIMIT:
            raise _wrong(name, "It must be the address of a file.")
    if body.get("poll") is not None:
        extra["poll"] = _poll(body["poll"])
    wanted = {
        name: body[name] for name in ("text", "location", "contact", "mentions") if body.get(name) is not None
    }
    if extra.keys() - set(_BESIDE) and "text" not in wanted:
        # What is checked is what the gateway understands; a file needs no text.
        wish = wish_of({"client_id": client_id, "text": "-"}, idempotency_key=None, now=now).without_text(
            extra
        )
    else:
        wish = wish_of({"client_id": client_id, **wanted}, idempotency_key=None, now=now).beside(extra)
    kind = _FILES[files[0]] if files else "poll" if "poll" in extra else wish.content.kind
    file = (files[0], _FILES[files[0]], str(extra[files[0]])) if files else None
    called = extra.get("fileName")
    return OldRequest(wish, kind, extra, file, called if isinstance(called, str) else None)


def _poll(value: Any) -> dict[str, Any]:
    poll = value if isinstance(value, dict) else {}
    question, options = poll.get("question"), poll.get("options")
    if (
        not isinstance(question, str)
        or not isinstance(options, list)
        or not 2 <= len(options) <= 12
        or not all(isinstance(option, str) and option for option in options)
    ):
        raise _wrong("poll", "A poll has a question, and 2 to 12 options.")
    return {"question": question, "options": options, "multiSelect": poll.get("multiSelect") is True}


def _wrong(field: str, sentence: str) -> Invalid:
    return Invalid(f"{field}: {sentence}", details={"errors": {field: [sentence]}})

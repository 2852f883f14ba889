"""A message as clients of WasenderAPI ask for it: other names for the same things, files by their address."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.domain.errors import Invalid
from gateway.domain.send_content import Wish, wish_of

_FILES = {
    "imageUrl": "image",
    "videoUrl": "video",
    "documentUrl": "document",
    "audioUrl": "audio",
    "stickerUrl": "sticker",
}
_BESIDE = ("fileName", "viewOnce")
"""Handed on as they are."""
_URL_LIMIT = 4_096


def read_request(body: Mapping[str, Any], client_id: str, now: datetime) -> tuple[Wish, str, dict[str, Any]]:
    """What is to be sent, the type of its row, and what is handed to upstream as it came. Raises Invalid."""
    to = body.get("to")
    if not isinstance(to, str) or not to.strip():
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
    return wish, kind, extra


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

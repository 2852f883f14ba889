"""What a WhatsApp message says of its file, out of the part that has the file's address, key and hashes.

The names are WAProto's. Senders write them: nothing here is believed before the file was checked against it.
"""

import base64
import io
import math
from typing import Any

from PIL import Image

from gateway.domain.media import MediaFacts, MediaKind, MediaSource, clean_name
from gateway.domain.message import mend_text
from gateway.wasender.values import bytes_of, text_at, whole

PREVIEW_LIMIT = 2048
"""Characters of a preview, as a data URL."""

_PREVIEW_HEAD = "data:image/jpeg;base64,"
_PREVIEW_BYTES = (PREVIEW_LIMIT - len(_PREVIEW_HEAD)) // 4 * 3
_MOST_THUMBNAIL = 64 * 1024
"""Of a sender's thumbnail: a larger one is no thumbnail, and would take its time here."""
_MOST_PIXELS = 512 * 512
_TRIES = ((72, 50), (48, 45), (32, 40), (24, 30))
"""Longest side and quality, until it is small enough."""

_KINDS: dict[str, MediaKind] = {
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
}
_MOST_MIME = 100
_MOST_NUMBER = 1 << 31
_KEY_BYTES = 64


def facts_of(part_name: str, part: dict[str, Any], url: str) -> MediaFacts | None:
    """The file that this part of a message tells of; None for a part that is none. Never raises."""
    kind = _KINDS.get(part_name)
    if kind is None:
        return None
    length = _count(part.get("fileLength"), 1 << 40)
    return MediaFacts(
        kind=kind,
        mime=_mime(part),
        name=clean_name(mend_text(text_at(part, "fileName", "title") or "")) if kind == "document" else None,
        bytes=length,
        source=MediaSource(
            url=mend_text(url),
            key=_base64(part.get("mediaKey")),
            sha256=_base64(part.get("fileSha256")),
            enc_sha256=_base64(part.get("fileEncSha256")),
            length=length,
        ),
        width=_size(part.get("width")),
        height=_size(part.get("height")),
        seconds=_count(part.get("seconds"), _MOST_NUMBER),
        pages=_size(part.get("pageCount")),
        waveform=_waveform(part.get("waveform")) if kind == "audio" else None,
        preview=preview_of(part.get("jpegThumbnail") or part.get("pngThumbnail")),
        part=part_name,
    )


def preview_of(value: Any) -> str | None:
    """The sender's thumbnail as a data URL of at most PREVIEW_LIMIT characters, made smaller if need be."""
    raw = bytes_of(value, _MOST_THUMBNAIL)
    if raw is None:
        return None
    if len(raw) <= _PREVIEW_BYTES and raw.startswith(b"\xff\xd8\xff"):
        return _PREVIEW_HEAD + base64.b64encode(raw).decode()
    try:
        with Image.open(io.BytesIO(raw), formats=("JPEG", "PNG", "WEBP")) as picture:
            if math.prod(picture.size) > _MOST_PIXELS:
                return None
            return _smaller(picture.convert("RGB"))
    except Exception:  # whatever a sender calls a picture, and whatever the decoder says of it
        return None


def _smaller(picture: Image.Image) -> str | None:
    for side, quality in _TRIES:
        small = picture.copy()
        small.thumbnail((side, side))
        held = io.BytesIO()
        small.save(held, "JPEG", quality=quality, optimize=True)
        if held.tell() <= _PREVIEW_BYTES:
            return _PREVIEW_HEAD + base64.b64encode(held.getvalue()).decode()
    return None


def _mime(part: dict[str, Any]) -> str | None:
    text = text_at(part, "mimetype")
    plain = mend_text(text).strip()[:_MOST_MIME] if text else ""
    return plain.lower() if plain.isascii() and plain.isprintable() and "/" in plain else None


def _count(value: Any, below: int) -> int | None:
    found = whole(value)
    return found if found is not None and 0 <= found < below else None


def _size(value: Any) -> int | None:
    return _count(value, _MOST_NUMBER) or None


def _base64(value: Any) -> str | None:
    raw = bytes_of(value, _KEY_BYTES)
    return base64.b64encode(raw).decode() if raw is not None else None


def _waveform(value: Any) -> tuple[int, ...] | None:
    """How loud a voice note is over its length: up to 64 numbers from 0 to 100."""
    raw = bytes_of(value, 64)
    return tuple(min(item, 100) for item in raw) if raw else None

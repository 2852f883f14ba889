"""Files of messages: what a message says of one, what is checked about it, how long it is tried for."""

from dataclasses import dataclass
from typing import Any, Literal

from gateway.domain.backoff import Backoff

MediaKind = Literal["image", "video", "audio", "document", "sticker"]
MediaState = Literal["pending", "stored", "lost"]

KINDS: tuple[MediaKind, ...] = ("image", "video", "audio", "document", "sticker")

MIB = 1024 * 1024
UPLOAD_LIMITS: dict[str, int] = {
    "image": 16 * MIB,
    "video": 50 * MIB,
    "audio": 16 * MIB,
    "sticker": 5 * MIB,
    "document": 100 * MIB,
}
"""The most bytes that WasenderAPI takes of each kind, for a send."""

MOST_FETCHED = 2048 * MIB
"""The largest file that WhatsApp itself carries."""

MOST_UNANNOUNCED = 128 * MIB
"""Of a file whose message does not say how large it is."""

GIVE_UP_S = 7 * 24 * 3600.0
"""So long a file is tried for, unless upstream says before that it cannot be had."""


@dataclass(frozen=True, slots=True)
class MediaSource:
    """Where a file lies, and what tells that it is the right one. Key and hashes in base64."""

    url: str
    key: str | None = None
    """Opens the file; without it the file lies there as it is."""
    sha256: str | None = None
    enc_sha256: str | None = None
    length: int | None = None
    """Bytes of the file itself, as the message says."""


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What a message says of its file."""

    kind: MediaKind
    mime: str | None
    name: str | None
    bytes: int | None
    source: MediaSource
    width: int | None = None
    height: int | None = None
    seconds: int | None = None
    pages: int | None = None
    waveform: tuple[int, ...] | None = None
    preview: str | None = None
    """The sender's own small picture, as a data URL."""
    part: str = ""
    """WAProto's name of the message that holds the file."""


_MOST_NAME = 255


def clean_name(text: str | None) -> str | None:
    """The last part of a file name, without what no name may hold; None if nothing is left."""
    last = (text or "").replace("\\", "/").rpartition("/")[2]
    clean = "".join(character for character in last if character.isprintable()).strip().strip(".")
    return clean[:_MOST_NAME] or None


def told_of(facts: MediaFacts, media_id: str) -> dict[str, Any]:
    """What the message's data say of a file that has still to be fetched, and under `source` where it lies."""
    said: dict[str, Any] = {
        "id": media_id,
        "state": "pending",
        "kind": facts.kind,
        "mime": facts.mime,
        "name": facts.name,
        "bytes": facts.bytes,
    }
    for field in ("width", "height", "seconds", "pages", "preview"):
        value = getattr(facts, field)
        if value is not None:
            said[field] = value
    if facts.waveform is not None:
        said["waveform"] = list(facts.waveform)
    said["source"] = {
        "url": facts.source.url,
        "key": facts.source.key,
        "sha256": facts.source.sha256,
        "enc_sha256": facts.source.enc_sha256,
        "length": facts.source.length,
        "part": facts.part,
    }
    return said


BACKOFF = Backoff(first_s=5.0, most_s=6 * 3600.0, factor=3.0)
"""Between two tries of one file."""

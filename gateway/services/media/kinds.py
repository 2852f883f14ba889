"""What a file is, by its bytes; and what of it a browser may show."""

import io
import re
import zipfile
from pathlib import Path

import puremagic

from gateway.domain.media import MediaKind

UNKNOWN = "application/octet-stream"
HEAD_BYTES = 4096
"""Enough of a file to tell what it is."""

MOST_NAMES_BYTES = 512 * 1024
"""Of the list of names in an archive: a document of an office has some hundred."""

SHOWN = frozenset(
    {
        "image/jpeg", "image/png", "image/gif", "image/webp",
        "audio/ogg", "audio/mpeg", "audio/mp4", "audio/aac", "audio/amr", "audio/wav", "audio/webm",
        "video/mp4", "video/3gpp", "video/webm",
    }
)  # fmt: skip
"""Types that a browser shows and does not run. Everything else it gets to save."""

PICTURES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})

_SIGNS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"MZ", "application/x-msdownload"),
    (0, b"\x7fELF", "application/x-executable"),
)
"""Those of which a library's guess differs from version to version."""

_BRANDS: tuple[tuple[bytes, str], ...] = (
    (b"3g", "video/3gpp"),
    (b"M4A", "audio/mp4"),
    (b"M4B", "audio/mp4"),
    (b"qt", "video/quicktime"),
    (b"heic", "image/heic"),
    (b"heix", "image/heic"),
    (b"mif1", "image/heic"),
    (b"avif", "image/avif"),
)
_OFFICE = (
    (re.compile(r"word/"), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (re.compile(r"xl/"), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (re.compile(r"ppt/"), "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)
_ALIASES = {
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "audio/x-aac": "audio/aac",
    "audio/aacp": "audio/aac",
    "audio/opus": "audio/ogg",
    "application/ogg": "audio/ogg",
    "video/3gpp2": "video/3gpp",
    "audio/3gpp": "video/3gpp",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "application/x-zip-compressed": "application/zip",
    "application/x-pdf": "application/pdf",
}
_SAME = ({"video/mp4", "audio/mp4", "video/3gpp", "video/quicktime"}, {"audio/webm", "video/webm"})
"""Containers that hold sound or pictures alike: their first bytes do not tell which."""


def type_of_file(path: Path) -> str:
    """The media type of a file on this disk, by its bytes. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        found = type_of(head)
        if found != "application/zip":
            return found
        file.seek(0)
        return _inside(file) or found


def type_of(head: bytes) -> str:
    """The media type of a file by its first bytes; UNKNOWN where they say nothing."""
    if not head:
        return UNKNOWN
    for at, sign, mime in _SIGNS:
        if head[at : at + len(sign)] == sign:
            return mime
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12], UNKNOWN)
    if head[4:8] == b"ftyp":
        return next((mime for brand, mime in _BRANDS if head[8:12].startswith(brand)), "video/mp4")
    if head[:4] == b"OggS":
        return "video/ogg" if b"theora" in head[:256] else "audio/ogg"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head[:4] == b"PK\x03\x04":
        return "application/zip"
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "audio/aac" if head[1] & 0x16 == 0x10 else "audio/mpeg"
    return _text_type(head) or _by_library(head)


def _text_type(head: bytes) -> str | None:
    """Text, and the kinds of it that a browser would run."""
    start = head[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"\x00" in head:
        return None
    if start.startswith((b"<!doctype html", b"<html", b"<script", b"<head", b"<body", b"<iframe")):
        return "text/html"
    if b"<svg" in start:
        return "image/svg+xml"
    if start.startswith(b"<?xml"):
        return "application/xml"
    if start.startswith(b"begin:vcard"):
        return "text/vcard"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as cut:
        if cut.start < len(head) - 3:
            return None
    return "text/plain" if all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in head) else None


def _by_library(head: bytes) -> str:
    try:
        found = puremagic.from_string(head, mime=True)
    except (puremagic.PureError, ValueError):
        return UNKNOWN
    return plain_type(found) or UNKNOWN


def _inside(file: io.BufferedReader) -> str | None:
    """What an archive is, by the names in it."""
    try:
        with zipfile.ZipFile(_Frugal(file)) as archive:
            names = [item.filename for item in archive.infolist()[:200]]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    if "[Content_Types].xml" not in names:
        return None
    return next((mime for name, mime in _OFFICE if any(name.match(item) for item in names)), None)


class _Frugal:
    """A file that gives no large piece: `zipfile` reads all names of an archive, and a stranger's may have millions."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Raises ValueError for more than a list of names that is worth reading."""
        if size > MOST_NAMES_BYTES:
            raise ValueError
        return self._file.read(MOST_NAMES_BYTES if size < 0 else size)

    def seek(self, at: int, whence: int = 0) -> int:
        return self._file.seek(at, whence)

    def tell(self) -> int:
        return self._file.tell()


def plain_type(mime: str | None) -> str | None:
    """A media type without parameters, in the spelling that counts here; None for what is none."""
    plain = (mime or "").partition(";")[0].strip().lower()
    if not re.fullmatch(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+", plain):
        return None
    return _ALIASES.get(plain, plain)


def kind_of(mime: str) -> MediaKind:
    """The kind of message that a file of this type becomes."""
    if mime == "image/webp":
        return "sticker"
    if mime in ("image/jpeg", "image/png"):
        return "image"
    if mime in ("video/mp4", "video/3gpp"):
        return "video"
    if mime in ("audio/aac", "audio/mpeg", "audio/ogg", "audio/amr", "audio/mp4"):
        return "audio"
    return "document"


def contradicts(declared: str | None, found: str) -> bool:
    """Whether a declared type is certainly not what the bytes are. `application/octet-stream` declares nothing."""
    said = plain_type(declared)
    if said is None or said in (UNKNOWN, "binary/octet-stream", "application/x-www-form-urlencoded"):
        return False
    if said == found or any({said, found} <= same for same in _SAME):
        return False
    family, found_family = said.partition("/")[0], found.partition("/")[0]
    if family in ("image", "audio", "video") or found_family in ("image", "audio", "video"):
        return True
    if found in ("text/html", "image/svg+xml"):
        return said not in ("text/plain", "application/xml", "text/xml")
    # Of documents the bytes rarely tell the whole: what they certainly are must not be called another.
    return found in ("application/pdf",) or (
        said in ("application/pdf", "application/zip") and found != UNKNOWN and said != found
    )

"""What a file is: by what its sender declares, and by its first bytes."""

MIB = 1024 * 1024
UNKNOWN = "application/octet-stream"
UPLOAD_LIMITS = {
    "image": 16 * MIB,
    "video": 50 * MIB,
    "audio": 16 * MIB,
    "sticker": 5 * MIB,
    "document": 100 * MIB,
}
_EXTENSIONS = {
    "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/gif": "gif", "video/mp4": "mp4",
    "video/3gpp": "3gp", "audio/ogg": "ogg", "audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/aac": "aac",
    "audio/amr": "amr", "application/pdf": "pdf", "text/plain": "txt", "text/csv": "csv", "application/zip": "zip",
}  # fmt: skip
_SIGNS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftyp3gp", "video/3gpp"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
)


def kind_of_mime(mime: str) -> str:
    """The kind of message that a file of this type becomes."""
    family = mime.partition("/")[0]
    if mime == "image/webp":
        return "sticker"
    return family if family in ("image", "video", "audio") else "document"


def extension_of(mime: str) -> str:
    """How the name of such a file ends; `bin` for types without one."""
    return _EXTENSIONS.get(mime.partition(";")[0].strip(), "bin")


def mime_of_bytes(head: bytes) -> str | None:
    """What the first bytes of a file say that it is; None if they say nothing."""
    return next((mime for at, sign, mime in _SIGNS if head[at : at + len(sign)] == sign), None)


def contradicts(declared: str, found: str | None) -> bool:
    """Whether the bytes are certainly something else. Families count: an MP4 may be sound or pictures.

    Only pictures, sound and films have to be what they are called; a document may be anything.
    """
    declared = declared.partition(";")[0].strip()
    family = declared.partition("/")[0]
    if family not in ("image", "video", "audio"):
        return False
    if found is None:
        return family == "image"
    if {declared, found} <= {"audio/mp4", "video/mp4", "video/3gpp", "audio/aac"}:
        return False
    return found != declared if family == "image" else found.partition("/")[0] != family

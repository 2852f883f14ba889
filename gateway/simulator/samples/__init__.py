"""Small real files of each kind: what is sent when a tester names only the kind."""

from importlib import resources

MIMES = {
    "image": "image/jpeg",
    "video": "video/mp4",
    "audio": "audio/ogg; codecs=opus",
    "document": "application/pdf",
    "sticker": "image/webp",
}
_NAMES = {
    "image": "image.jpg",
    "video": "video.mp4",
    "audio": "audio.ogg",
    "document": "document.pdf",
    "sticker": "sticker.webp",
}


def sample(kind: str) -> bytes:
    """The file of that kind."""
    return (resources.files(__package__) / _NAMES[kind]).read_bytes()


def thumbnail() -> bytes:
    """A JPEG of a few hundred bytes, as a payload carries it."""
    return (resources.files(__package__) / "thumbnail.jpg").read_bytes()

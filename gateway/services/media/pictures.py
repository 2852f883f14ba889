"""Small pictures of images, made outside the loop. A picture that would fill the memory is refused."""

import io
import math
import warnings
from pathlib import Path

from PIL import Image, ImageOps

SIDE = 320
"""Longest side of a small picture."""

MOST_PIXELS = 50_000_000
"""What a phone's camera makes at most. A file of 10 kB can hold a hundred times as many."""

MOST_BYTES = 16 * 1024 * 1024
"""WhatsApp's limit for images. A decoder may hold the whole file, and a stranger's may have two gigabytes."""

_TOO_MANY = "The picture has too many pixels to be made small."
_TOO_LARGE = f"The picture has more than {MOST_BYTES // 1024**2} MiB, which is too much to be made small."
_QUALITY = 80
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")


class NoPicture(Exception):
    """The file is no picture, is broken, or is too large to be opened; the text says which, as a sentence."""


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height, as the file's head says; None for what is no picture, and for what is too large to open."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        with Image.open(path, formats=_FORMATS) as picture:
            return picture.size
    except Exception:  # whatever a stranger's file makes a decoder raise
        return None


def is_broken(path: Path) -> bool:
    """Whether a picture ends too early, or is none behind its head. What is too large to be opened is not looked at."""
    if path.stat().st_size > MOST_BYTES:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as picture:
                if math.prod(picture.size) > MOST_PIXELS:
                    return False
                picture.draft("RGB", (SIDE, SIDE))
                picture.load()
    except Image.DecompressionBombError:
        return False
    except Exception:  # whatever a broken file makes a decoder raise
        return True
    return False


def small_picture(path: Path) -> bytes:
    """A JPEG of at most SIDE pixels, upright. Raises NoPicture."""
    if path.stat().st_size > MOST_BYTES:
        raise NoPicture(_TOO_LARGE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as picture:
                if math.prod(picture.size) > MOST_PIXELS:
                    raise NoPicture(_TOO_MANY)
                picture.draft("RGB", (SIDE * 2, SIDE * 2))
                return _encoded(ImageOps.exif_transpose(picture))
    except NoPicture:
        raise
    except Image.DecompressionBombError:
        raise NoPicture(_TOO_MANY) from None
    except Exception:
        raise NoPicture("The picture cannot be opened: the file is broken, or no picture.") from None


def _encoded(picture: Image.Image) -> bytes:
    picture.thumbnail((SIDE, SIDE))
    if picture.mode not in ("RGB", "L"):
        held = picture.convert("RGBA")
        flat = Image.new("RGB", held.size, "white")
        flat.paste(held, mask=held.getchannel("A"))
        picture = flat
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()

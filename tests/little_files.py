"""A little real file of each kind that people send, with what it is."""

import io
import zipfile
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from PIL import Image

from gateway.simulator import samples

OFFICE = "application/vnd.openxmlformats-officedocument"


@dataclass(frozen=True)
class Little:
    content: bytes
    mime: str
    kind: str
    is_shown: bool


def recording(container: str, codec: str = "libopus", seconds: float = 0.2) -> bytes:
    """Silence, as a browser records it."""
    held = io.BytesIO()
    rate = 48_000
    with av.open(held, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout="mono")
        samples_each = 960
        for number in range(int(seconds * rate / samples_each)):
            frame = av.AudioFrame(format="s16", layout="mono", samples=samples_each)
            frame.planes[0].update(bytes(samples_each * 2))
            frame.sample_rate, frame.pts, frame.time_base = rate, number * samples_each, Fraction(1, rate)
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return held.getvalue()


def picture(form: str, size: tuple[int, int] = (24, 16)) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", size, (200, 30, 60)).save(held, form)
    return held.getvalue()


def archive(*names: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        for name in names:
            made.writestr(name, "x")
    return held.getvalue()


LITTLE = {
    "a.jpg": Little(picture("JPEG"), "image/jpeg", "image", True),
    "a.png": Little(picture("PNG"), "image/png", "image", True),
    "a.webp": Little(picture("WEBP"), "image/webp", "sticker", True),
    "a.gif": Little(picture("GIF"), "image/gif", "document", True),
    "a.mp4": Little(samples.sample("video"), "video/mp4", "video", True),
    "a.ogg": Little(recording("ogg"), "audio/ogg", "audio", True),
    "a.mp3": Little(recording("mp3", "libmp3lame"), "audio/mpeg", "audio", True),
    "a.aac": Little(recording("adts", "aac"), "audio/aac", "audio", True),
    "a.m4a": Little(recording("ipod", "aac"), "audio/mp4", "audio", True),
    "a.pdf": Little(samples.sample("document"), "application/pdf", "document", False),
    "a.docx": Little(
        archive("[Content_Types].xml", "word/document.xml"),
        f"{OFFICE}.wordprocessingml.document", "document", False,
    ),
    "a.xlsx": Little(
        archive("[Content_Types].xml", "xl/workbook.xml"), f"{OFFICE}.spreadsheetml.sheet", "document", False
    ),
    "a.zip": Little(archive("a.txt"), "application/zip", "document", False),
    "a.exe": Little(
        b"MZ\x90\x00\x03" + bytes(60) + b"PE\x00\x00" + bytes(200), "application/x-msdownload", "document", False
    ),
    "a.svg": Little(b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "image/svg+xml", "document", False),
    "a.html": Little(b"<!DOCTYPE html><script>alert(1)</script>", "text/html", "document", False),
    "a.txt": Little("Grüße\n".encode(), "text/plain", "document", False),
    "a.vcf": Little(b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ann\r\nEND:VCARD\r\n", "text/vcard", "document", False),
}  # fmt: skip

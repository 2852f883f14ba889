"""Reads the QR code in a screenshot, as a phone would."""

import struct
import zlib
from typing import Any

import zxingcpp

_BYTES_PER_PIXEL = {0: 1, 2: 3, 6: 4}


def read_code(png: bytes) -> str:
    """The text of the one code in an 8-bit PNG."""
    width, height, pixels = grey_pixels(png)
    # Its stubs know arrays of numpy only, where numpy is installed.
    buffer: Any = pixels
    view = zxingcpp.ImageView(buffer, width, height, zxingcpp.ImageFormat.Lum)
    (found,) = zxingcpp.read_barcodes(view, zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode]))
    text: str = found.text
    return text


def grey_pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and one byte of light per pixel."""
    width, height, _, kind = struct.unpack(">IIBB", png[16:26])
    size = _BYTES_PER_PIXEL[kind]
    packed = b""
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            packed += png[at + 8 : at + 8 + length]
        at += 12 + length
    rows = _unfiltered(zlib.decompress(packed), width * size, height, size)
    return width, height, b"".join(row[::size] for row in rows)


def _unfiltered(raw: bytes, stride: int, height: int, size: int) -> list[bytes]:
    """Takes back the filter of each line (PNG specification, section 9)."""
    rows: list[bytes] = []
    before = bytearray(stride)
    for y in range(height):
        start = y * (stride + 1)
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + stride])
        for x in range(stride):
            left = row[x - size] if x >= size else 0
            up, corner = before[x], before[x - size] if x >= size else 0
            guess = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]
            row[x] = (row[x] + guess) & 255
        rows.append(bytes(row))
        before = row
    return rows


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    return min((left, up, corner), key=lambda value: abs(estimate - value))

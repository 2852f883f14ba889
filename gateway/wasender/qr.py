"""Pictures of linking codes: SVG for the page, PNG for other programs, both from one matrix of modules.

zxing-cpp (C++) works out the modules in half a millisecond. Its own SVG has fixed pixel sizes and no
`viewBox`, so it cannot be scaled by CSS; that is why both pictures are written here. White is always painted:
on the dark background of a night theme a transparent code cannot be scanned.
"""

import base64
import binascii
import re
import struct
import zlib

import zxingcpp

from gateway.domain.errors import UpstreamFailed

MIN_PNG_PX = 264
"""Width from which a phone reads the code from a screen at arm's length."""

_SVG_PX_PER_MODULE = 6
_DARK_RUN = re.compile(rb"\x00+")
# Only what cannot break out of an attribute is passed through as a ready picture.
_READY_PICTURE = re.compile(r"data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+={0,2}")
_READY_PNG = "data:image/png;base64,"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def svg(code: str) -> str:
    """The code as an SVG document that scales. Raises UpstreamFailed if the code fits into no QR symbol."""
    rows = _modules(code)
    width = len(rows)
    path = "".join(
        f"M{run.start()} {y}h{run.end() - run.start()}v1h-{run.end() - run.start()}z"
        for y, row in enumerate(rows)
        for run in _DARK_RUN.finditer(row)
    )
    px = width * _SVG_PX_PER_MODULE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{px}" height="{px}" viewBox="0 0 {width} {width}"'
        f' shape-rendering="crispEdges"><rect width="{width}" height="{width}" fill="#fff"/>'
        f'<path d="{path}" fill="#000"/></svg>'
    )


def svg_data_url(code: str) -> str:
    """The code as a `data:` URL, safe as the `src` of an `<img>`; one that is a picture already is kept."""
    if _READY_PICTURE.fullmatch(code):
        return code
    return "data:image/svg+xml;base64," + base64.b64encode(svg(code).encode()).decode()


def png(code: str) -> bytes:
    """The code as a PNG of at least MIN_PNG_PX pixels, every module the same whole number of pixels wide."""
    if code.startswith(_READY_PNG) and _READY_PICTURE.fullmatch(code):
        try:
            return base64.b64decode(code[len(_READY_PNG) :])
        except binascii.Error:
            raise UpstreamFailed("WasenderAPI sent a picture of a QR code that cannot be read.") from None
    rows = _modules(code)
    scale = -(-MIN_PNG_PX // len(rows))
    lines = []
    for row in rows:
        pixels = b"".join(row[x : x + 1] * scale for x in range(len(row)))
        lines.append((b"\x00" + pixels) * scale)  # each line starts with its filter type, 0 = none
    side = len(rows) * scale
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)  # 8 bits, greyscale, no interlace
    return (
        _PNG_SIGNATURE
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(b"".join(lines)))
        + _chunk(b"IEND", b"")
    )


def _modules(code: str) -> list[bytes]:
    """Rows of one byte per module (0 dark, 255 light), with the four light modules around it of ISO 18004."""
    try:
        # Level L has the fewest, largest modules; a screen is neither torn nor stained, as paper would be.
        symbol = zxingcpp.create_barcode(code, zxingcpp.BarcodeFormat.QRCode, ec_level="L")
        image = memoryview(symbol.to_image(scale=1, add_quiet_zones=True))  # type: ignore[arg-type]
    except (ValueError, RuntimeError):  # empty, too long, or not text at all
        raise UpstreamFailed("WasenderAPI sent a code that cannot be drawn as a QR code.") from None
    flat = bytes(image)
    width = image.shape[1] if image.shape else 0
    return [flat[start : start + width] for start in range(0, len(flat), width)]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

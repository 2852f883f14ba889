"""The pictures are read back: what matters is that a phone gets the string upstream gave."""

import base64
import re
import struct
import zlib

import pytest
import zxingcpp

from gateway.domain.errors import UpstreamFailed
from gateway.wasender import qr

CODES = [
    pytest.param(
        "2@" + "DTMUHeYfa9/RMXr8A2IP3Kd+" * 6 + "," + "aZ09+/" * 7 + "=," + "QqWw" * 11 + "=,1", id="upstream"
    ),
    pytest.param("2@a", id="short"),
    pytest.param("x" * 2900, id="long"),
    pytest.param("é, 😀 and 日本", id="not-ascii"),
]


QR = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])


def decoded(side: int, pixels: bytes) -> list[str]:
    view = memoryview(pixels).cast("B", (side, side))
    # A phone's camera looks for nothing else; among all formats some code in a thousand has a bar code in it.
    return [found.text for found in zxingcpp.read_barcodes(view, QR)]


def png_pixels(picture: bytes) -> tuple[int, bytes]:
    """Side and pixels, after checking every chunk's checksum."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(picture):
        (length,) = struct.unpack_from(">I", picture, at)
        kind, body = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", picture, at + 8 + length)[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    width, height, depth, colour = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    assert (width, depth, colour) == (height, 8, 0)
    lines = zlib.decompress(chunks[b"IDAT"])
    assert len(lines) == (width + 1) * height
    return width, b"".join(lines[y * (width + 1) + 1 : (y + 1) * (width + 1)] for y in range(height))


def svg_pixels(document: str, scale: int = 3) -> tuple[int, bytes]:
    """The SVG drawn by hand: its view box, its white ground, its path of unit-high bars."""
    box = re.search(r'viewBox="0 0 (\d+) (\d+)"', document)
    path = re.search(r'<path d="([^"]*)" fill="#000"/>', document)
    assert box
    assert path
    assert box[1] == box[2]
    modules = int(box[1])
    assert f'<rect width="{modules}" height="{modules}" fill="#fff"/>' in document
    ground = bytearray(b"\xff" * modules * modules)
    bars = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", path[1])
    assert "".join(f"M{x} {y}h{w}v1h-{w}z" for x, y, w, _ in bars) == path[1]
    for x, y, w, _ in bars:
        start = int(y) * modules + int(x)
        ground[start : start + int(w)] = bytes(int(w))
    pixels = b"".join(
        b"".join(ground[y * modules + x : y * modules + x + 1] * scale for x in range(modules)) * scale
        for y in range(modules)
    )
    return modules * scale, pixels


@pytest.mark.parametrize("code", CODES)
def test_the_svg_reads_back_as_the_code(code: str) -> None:
    assert decoded(*svg_pixels(qr.svg(code))) == [code]


@pytest.mark.parametrize("code", CODES)
def test_the_png_reads_back_as_the_code(code: str) -> None:
    assert decoded(*png_pixels(qr.png(code))) == [code]


@pytest.mark.parametrize("code", CODES)
def test_both_pictures_keep_a_light_border_of_exactly_four_modules(code: str) -> None:
    side, pixels = svg_pixels(qr.svg(code), scale=1)

    dark = [index for index, pixel in enumerate(pixels) if pixel == 0]
    assert min(index // side for index in dark) == 4
    assert min(index % side for index in dark) == 4
    assert max(index // side for index in dark) == side - 5
    assert max(index % side for index in dark) == side - 5


def test_a_png_is_at_least_264_pixels_wide_and_its_modules_are_whole_pixels() -> None:
    modules, _ = svg_pixels(qr.svg("2@a"), scale=1)
    side, _ = png_pixels(qr.png("2@a"))

    assert side >= 264
    assert side % modules == 0


def test_the_symbol_spends_as_little_as_possible_on_error_correction() -> None:
    side, pixels = png_pixels(qr.png("2@abcdef"))

    [found] = zxingcpp.read_barcodes(memoryview(pixels).cast("B", (side, side)), QR)
    assert found.ec_level == "L"


def test_a_data_url_holds_the_same_svg_and_nothing_that_could_leave_an_attribute() -> None:
    url = qr.svg_data_url("2@abc")

    head, _, body = url.partition(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(body, validate=True).decode() == qr.svg("2@abc")
    assert re.fullmatch(r"[\w:/+;,=-]+", url, re.ASCII)


def test_a_code_that_is_a_picture_already_is_passed_through() -> None:
    picture = "data:image/png;base64," + base64.b64encode(qr.png("2@abc")).decode()

    assert qr.svg_data_url(picture) == picture
    assert qr.png(picture) == qr.png("2@abc")


def test_a_picture_that_would_break_out_of_an_attribute_is_not_passed_through() -> None:
    hostile = 'data:image/png;base64,AAAA" onerror="alert(1)'

    assert qr.svg_data_url(hostile).startswith("data:image/svg+xml;base64,")


@pytest.mark.parametrize("code", ["", "x" * 3000, "\ud83d"], ids=["empty", "too-long", "half-a-character"])
def test_a_code_that_fits_no_symbol_is_upstreams_failure(code: str) -> None:
    with pytest.raises(UpstreamFailed, match="cannot be drawn"):
        qr.svg(code)
    with pytest.raises(UpstreamFailed, match="cannot be drawn"):
        qr.png(code)


def test_a_broken_ready_picture_is_upstreams_failure() -> None:
    with pytest.raises(UpstreamFailed, match="cannot be read"):
        qr.png("data:image/png;base64,AAAAA")

"""Reads QR codes back from the pictures that the gateway makes."""

import base64

from tests.unit.wasender.test_qr import decoded, svg_pixels


def decode_svg_data_url(url: str) -> str:
    """The text inside the QR code of a `data:image/svg+xml;base64,…` URL."""
    head, _, body = url.partition(",")
    assert head == "data:image/svg+xml;base64", head
    (text,) = decoded(*svg_pixels(base64.b64decode(body).decode()))
    return text

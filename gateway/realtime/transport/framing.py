"""JSON to WebSocket frames, made once and written to many.

A server's text frame without extensions is the same bytes for every client (RFC 6455 §5.1: "A server MUST NOT
mask any frames that it sends"), so one event becomes one `Frame` for all that receive it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.domain.streams import Place

MAX_FRAME_BYTES = 256 * 1024
"""No frame of ours carries more JSON than this."""

_FIN_TEXT = 0x81


class Frame:
    """One JSON text message: `string()` for any ASGI server, `wire` for a transport."""

    __slots__ = ("_string", "after", "text", "wire")

    def __init__(self, text: bytes, after: Place | None = None) -> None:
        """`after` is the event of another inbox that a client must have been told before this."""
        self.after = after
        self.text = text
        self.wire = _header(len(text)) + text
        self._string: str | None = None

    def string(self) -> str:
        """The text, decoded once for all who send it."""
        if self._string is None:
            self._string = self.text.decode()
        return self._string

    def __len__(self) -> int:
        return len(self.wire)


class Burst:
    """Frames that belong together, joined once for all who get all of them."""

    __slots__ = ("after", "frames", "wire")

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.after = tuple(frame.after for frame in frames if frame.after is not None)
        self.wire = frames[0].wire if len(frames) == 1 else b"".join([frame.wire for frame in frames])

    def __len__(self) -> int:
        return len(self.wire)


def _header(size: int) -> bytes:
    # RFC 6455 §5.2: 7 bits of length, or 126 and 16 bits, or 127 and 64 bits.
    if size < 126:
        return bytes((_FIN_TEXT, size))
    if size < 65536:
        return bytes((_FIN_TEXT, 126)) + size.to_bytes(2, "big")
    return bytes((_FIN_TEXT, 127)) + size.to_bytes(8, "big")


def frame(message: Mapping[str, Any], after: Place | None = None) -> Frame:
    """The frame of a message, never longer than a frame may be.

    If it would be too long, the longest values of `data` are left out (null) and named in `truncated`."""
    text = orjson.dumps(message)
    if len(text) > MAX_FRAME_BYTES and isinstance(message.get("data"), dict):
        text = orjson.dumps(_shortened(message, len(text)))
    return Frame(text, after)


def _shortened(message: Mapping[str, Any], size: int) -> dict[str, Any]:
    data = message["data"]
    sizes = {key: len(orjson.dumps(value)) for key, value in data.items()}
    dropped: list[str] = []
    for key in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        if size <= MAX_FRAME_BYTES:
            break
        dropped.append(key)
        # In its place stand `null`, and its name once more in the list.
        size += len(b"null") + len(orjson.dumps(key)) + len(b',"truncated":[]') - sizes[key]
    kept = {key: None if key in dropped else value for key, value in data.items()}
    return {**message, "data": kept, "truncated": sorted(dropped)}

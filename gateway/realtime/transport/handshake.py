"""The answer to the handshake that every client sends: it asks for a WebSocket, and for nothing else.

websockets takes any handshake apart, header by header, which costs a third of a connection. What is not plain here is
left to it, and so is the sentence in which it refuses.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
"""16 bytes in base64 as encoders write them."""

_ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
)
_SINGLE = frozenset({b"connection", b"upgrade", b"origin"})
"""Besides those that begin with sec-websocket-: a second one makes a handshake that is not plain."""


def plain_answer(headers: Sequence[tuple[bytes, bytes]], *, has_extensions: bool = False) -> bytes | None:
    """The answer to a plain handshake, without the empty line that ends it; None if the handshake is not plain.

    `headers` have names in small letters. A client may offer extensions that the server has none of.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in found and (name.startswith(b"sec-websocket-") or name in _SINGLE):
            return None
        found[name] = value
    if b"sec-websocket-protocol" in found or (has_extensions and b"sec-websocket-extensions" in found):
        return None
    key = found.get(b"sec-websocket-key", b"")
    if (
        found.get(b"upgrade", b"").lower() != b"websocket"
        or found.get(b"sec-websocket-version") != b"13"
        or not _is_upgrade(found.get(b"connection", b""))
        or not _KEY.fullmatch(key)
    ):
        return None
    return _ANSWER + base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()) + b"\r\n"


def _is_upgrade(connection: bytes) -> bool:
    value = connection.lower()
    return value == b"upgrade" or value == b"keep-alive, upgrade"


def socket_scope(
    request: Mapping[str, Any], url: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> dict[str, Any]:
    """ASGI's scope of a WebSocket, made of that of its handshake."""
    raw_path, _, query = url.partition(b"?")
    root = request["root_path"]
    path = raw_path.decode("ascii")
    return {
        "type": "websocket",
        "asgi": {"version": request["asgi"]["version"], "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if request["scheme"] == "https" else "ws",
        "server": request["server"],
        "client": request["client"],
        "root_path": root,
        "path": root + (unquote(path) if "%" in path else path),
        "raw_path": root.encode("ascii") + raw_path,
        "query_string": query,
        "headers": headers,
        "subprotocols": [],
        "state": request["state"],
        "extensions": {"websocket.http.response": {}},
    }

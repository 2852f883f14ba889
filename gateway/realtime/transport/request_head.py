"""What the guard has to know of a request before the app sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

WEBHOOKS = "/api/whatsapp/webhook"
"""In the addresses that webhooks come to."""

PROBES = ("/healthz", "/readyz")

_WEBHOOK = WEBHOOKS.encode()
_PROBES = tuple(probe.encode() for probe in PROBES)
_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"forwarded"})
LOGINS = frozenset({b"authorization", b"cookie"})
"""Headers that may say who is calling."""


@dataclass(slots=True)
class RequestHead:
    """Of one request, from its first line and its headers."""

    is_webhook: bool
    is_probe: bool
    body_bytes: int = 0
    is_chunked: bool = False
    is_forwarded: bool = False
    shows_login: bool = False


def read_head(method: bytes, url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> RequestHead:
    """The head of a request that the parser has found to be HTTP."""
    path = url.partition(b"?")[0]
    head = RequestHead(method == b"POST" and _WEBHOOK in path, path.endswith(_PROBES))
    for name, value in headers:
        if name == b"content-length":
            head.body_bytes = int(value)
        elif name == b"transfer-encoding":
            head.is_chunked = True
        elif name in _FORWARDED:
            head.is_forwarded = True
        elif name in LOGINS:
            head.shows_login = True
    return head


def handshake_fault(url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Why this cannot be the beginning of a WebSocket; None if it can."""
    if any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    ):
        return "The beginning of a WebSocket has no body."
    return None if url.isascii() else "An address has ASCII characters only."

"""Origins of web pages and apps, as browsers send them."""

import re

FILE, NULL = "file://", "null"

_PATTERN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[\w.-]+)(:\d+)?", re.ASCII)
_OF_SOCKETS = frozenset({"ws", "wss"})
"""Addresses of sockets. No browser sends them as an origin."""


def parse_origin(text: str) -> str | None:
    """The origin as browsers send it, in lower case and without a path; None if no browser could send it.

    Apps have schemes of their own (`capacitor://localhost`); pages opened from a disk have `file://` or `null`.
    """
    lowered = text.strip().lower()
    if lowered == NULL or lowered.startswith("file:"):
        return lowered if lowered in (NULL, FILE) else FILE if lowered.rstrip("/") == "file:" else None
    origin = lowered.rstrip("/")
    found = _PATTERN.fullmatch(origin)
    return origin if found is not None and found[1] not in _OF_SOCKETS else None


def sent_origins(allowed: tuple[str, ...]) -> tuple[str, ...]:
    """What browsers send from those pages; for a page on a disk some send `file://` and others `null`."""
    sent: list[str] = []
    for origin in allowed:
        sent += (FILE, NULL) if origin in (FILE, NULL) else (origin,)
    return tuple(dict.fromkeys(sent))


def frame_sources(allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Those pages as a Content-Security-Policy names them; `null` has no name there."""
    return tuple("file:" if origin == FILE else origin for origin in allowed if origin != NULL)

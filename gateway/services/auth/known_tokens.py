"""What tokens said that were verified before: a login comes with the same one again and again, and a signature costs
more than all else that is asked of it.

A token stays true to what it says until it expires. Whether it has been revoked since is asked elsewhere, each time
(`Revocations.current`).
"""

import hashlib
from collections.abc import Callable

from gateway.domain.access import Principal

MOST = 10_000
"""Tokens that are known at a time: 4 MB at most. The oldest one makes room."""


class KnownTokens:
    """Principals by the token that stood for them."""

    def __init__(self, clock: Callable[[], float], most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._found: dict[bytes, tuple[Principal, float]] = {}

    def find(self, token: str) -> Principal | None:
        """Whom this token stands for; None if it is unknown here, or has expired."""
        if not self._found or not isinstance(token, str):
            return None
        principal, until = self._found.get(_digest(token), (None, 0.0))
        return principal if self._clock() < until else None

    def keep(self, token: str, principal: Principal, life_s: float) -> Principal:
        """Keeps what a verified token says, for `life_s` seconds or until it expires. Returns the principal."""
        until = self._clock() + life_s
        key = _digest(token)
        if key not in self._found and len(self._found) >= self._most:
            del self._found[next(iter(self._found))]
        self._found[key] = principal, min(until, principal.expires_at or until)
        return principal


def _digest(token: str) -> bytes:
    # A table of digests is small, however long the tokens are, and shows none to a reader of the memory.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

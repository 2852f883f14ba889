"""The token a client shows: given once, or asked for again before it expires."""

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Awaitable, Callable

ASK_WITHIN_S = 30.0
EARLY_S = 60.0
"""How long before a token expires a new one is asked for; or in the last tenth of its life, if that is shorter."""
AGAIN_S = 10.0

TokenSource = str | Callable[[], Awaitable[str]]


class Login:
    """Keeps the token in force, and asks its source for the next one before it expires."""

    def __init__(self, source: TokenSource, now: Callable[[], float] = time.time) -> None:
        self._source = source
        self._now = now
        self._token: str | None = None
        self._renew_at: float | None = None

    @property
    def can_renew(self) -> bool:
        """Whether the source can be asked for another token."""
        return callable(self._source)

    @property
    def due_in_s(self) -> float | None:
        """When a new token should be asked for; negative if it is time; None if never."""
        return self._renew_at - self._now() if self.can_renew and self._renew_at is not None else None

    @property
    def is_due(self) -> bool:
        """Whether the token should be renewed now."""
        return self.due_in_s is not None and self.due_in_s <= 0

    async def token(self) -> str:
        """The token we have, or a new one if there is none or its time is over. Raises what the source raises."""
        if self._token is None or self.is_due:
            await self.renew()
        assert self._token is not None
        return self._token

    async def renew(self) -> str | None:
        """A new token, or None if the source still has the old one. Raises what the source raises."""
        before = self._token
        self.postpone()
        if callable(self._source):
            async with asyncio.timeout(ASK_WITHIN_S):
                token = await self._source()
        else:
            token = self._source
        self._token = token
        self._renew_at = self._due(token)
        return None if token == before else token

    def _due(self, token: str) -> float | None:
        expires_at = expiry_of(token)
        if expires_at is None:
            return None
        now = self._now()
        due = expires_at - min(EARLY_S, (expires_at - now) / 10)
        # A source that gives the same token again, or a clock that is wrong, must not make us ask all the time.
        return due if due > now + 1 else now + AGAIN_S

    def forget(self) -> None:
        """The server did not take it."""
        self._token = None

    def postpone(self) -> None:
        """The new token was refused, or is on its way: not asked for again before a while."""
        if self._renew_at is not None:
            self._renew_at = self._now() + AGAIN_S


def expiry_of(token: str) -> float | None:
    """`exp` of a JWT in unix seconds; None if it has none, or is no JWT. The signature is the server's business."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return None

"""The account token of WasenderAPI: from the environment, or from the `integrations` table.

A token in the table is read again when our copy is a minute old, and at once after upstream refused it, so a
changed token needs no restart.
"""

import time
from collections.abc import Callable
from typing import Protocol

from gateway.domain.errors import UpstreamUnauthorized

MAX_AGE_S = 30.0
"""Half of the promised 60 s, so that a call that starts just before still keeps it."""


class TokenStore(Protocol):
    """Where an account token stands that no setting gives."""

    async def account_token(self) -> str | None:
        """The token, or None if none is stored. Raises StoreUnavailable."""


class AccountToken:
    """The token in force: the fixed one, else the stored one, read again when it has become old."""

    def __init__(
        self, fixed: str | None, store: TokenStore, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fixed = fixed
        self._store = store
        self._clock = clock
        self._token: str | None = None
        self._read_at = float("-inf")

    async def __call__(self, refresh: bool = False) -> str:
        """The token to use now. Raises UpstreamUnauthorized if there is none."""
        if self._fixed:
            return self._fixed
        if refresh or self._token is None or self._clock() - self._read_at > MAX_AGE_S:
            self._token = await self._store.account_token()
            self._read_at = self._clock()
        if not self._token:
            raise UpstreamUnauthorized(
                "There is no WasenderAPI account token yet. "
                "Set WASENDER_TOKEN, or store it with `gateway integrations set wasender`."
            )
        return self._token

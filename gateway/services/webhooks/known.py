"""Keeps what the authenticator knows on this disk: a gateway that starts while Postgres is away goes by it.

Lifecycle: `run` lives as long as the gateway, `close` writes what has changed since.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import Protocol

from gateway.domain.session import SessionSecrets
from gateway.services.webhooks.authenticator import WebhookAuthenticator

logger = logging.getLogger(__name__)

PAUSE_S = 0.2
"""Changes that come one after the other are written together."""

AGAIN_S = 10.0
"""Between two tries on a disk that does not take it."""


class KnownFile(Protocol):
    """The file in the data folder."""

    def write(self, installation: str, sessions: Collection[SessionSecrets]) -> None:
        """Replaces it, whole or not at all. Raises OSError."""


class KnownSessionsKeeper:
    """Writes keys and secrets of all sessions to that file, whenever one has changed."""

    def __init__(self, authenticator: WebhookAuthenticator, file: KnownFile, installation: str) -> None:
        self._authenticator = authenticator
        self._file = file
        self._installation = installation
        self._written: tuple[SessionSecrets, ...] | None = None

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            self._authenticator.news.clear()
            await self._authenticator.catch_up()
            is_written = await self._write()
            try:
                async with asyncio.timeout(None if is_written else AGAIN_S):
                    await self._authenticator.news.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(PAUSE_S)

    async def close(self) -> None:
        """Writes what has not been written yet."""
        await self._write()

    async def _write(self) -> bool:
        known = self._authenticator.known
        if known is None or known == self._written:
            return True
        try:
            await asyncio.to_thread(self._file.write, self._installation, known)
        except OSError as error:
            logger.warning("known_sessions.not_written error=%s", error.strerror or error)
            return False
        self._written = known
        return True

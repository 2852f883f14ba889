"""WasenderAPI's `/decrypt-media` for clients that know only that: the files are ours already, or upstream is asked."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.domain.errors import NotFound, Unavailable, UpstreamFailed
from gateway.services.media.ports import FileHost, MediaRow, NotNow, NotThere, Wanted

WAIT_S = 20.0
LOOK_EVERY_S = 0.25


class KeyReads(Protocol):
    """Files by the WhatsApp id of their message, and the keys to ask upstream with. Raises StoreUnavailable."""

    async def id_of_key(self, session_id: int, key_id: str) -> str | None:
        """The file of the message with this WhatsApp id; None if there is none."""

    async def row(self, media_id: str) -> MediaRow | None:
        """A file as it stands; None if there is none of that id."""

    async def key_of(self, session_id: int) -> str | None:
        """The session's API key; None if there is none."""


@dataclass(frozen=True, slots=True)
class Decrypted:
    """Where the plain file is: a file of ours, or an address of upstream's."""

    media_id: str | None
    url: str | None = None


class Decryption:
    """Answers where the decrypted file of a message is."""

    def __init__(self, store: KeyReads, host: FileHost, read_request: Callable[[int, Any], Wanted]) -> None:
        """`read_request` says which file the body of such a request means; it raises Invalid."""
        self._store = store
        self._host = host
        self._read_request = read_request

    async def find(
        self, session_id: int, body: dict[str, Any], asking: AbstractContextManager[None]
    ) -> Decrypted:
        """The file that the body of such a request means. Raises Invalid, NotFound, Unavailable, UpstreamFailed.

        `asking` is entered while upstream is asked, and only then; what it raises is raised.
        """
        wanted = self._read_request(session_id, body)
        media_id = await self._store.id_of_key(session_id, wanted.key_id)
        if media_id is not None:
            return Decrypted(await self._settled(media_id))
        api_key = await self._store.key_of(session_id)
        if api_key is None:
            raise NotFound("Media not found or expired.")
        try:
            with asking:
                return Decrypted(None, await self._host.decrypted_url(api_key, wanted))
        except NotThere as gone:
            raise NotFound(str(gone)) from None
        except NotNow as late:
            raise UpstreamFailed(str(late)) from None

    async def _settled(self, media_id: str) -> str:
        """The same id, once the file is stored."""
        deadline = time.monotonic() + WAIT_S
        while True:
            row = await self._store.row(media_id)
            if row is None or row.state == "lost":
                raise NotFound((row.reason if row else None) or "Media not found or expired.")
            if row.state == "stored":
                return media_id
            if time.monotonic() > deadline:
                raise Unavailable("The file is still being fetched. Ask again in a moment.", retry_after_s=5)
            await asyncio.sleep(LOOK_EVERY_S)

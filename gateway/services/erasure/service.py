"""Erases a conversation and what else names its person in that session.

The tombstone stands first: from then on nothing that was received before is written any more. What was being written
at that moment is found by the second pass.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from gateway.domain.erasure import Digests
from gateway.domain.errors import Conflict
from gateway.domain.session import Actor
from gateway.services.sessions.audit_log import Log

STEP = 1000
"""Messages of one transaction: of more than 5,000 a stream tells nothing but a new epoch."""

SECOND_PASS_S = 1.0
"""A webhook that was in the hands of a writer is in the tables by then, or on its way into a spool."""


class ErasureStore(Protocol):
    """What names a person, in Postgres. Everything raises StoreUnavailable."""

    async def addresses(self, chat: str) -> list[str]:
        """Every JID under which the person of a conversation is known."""

    async def begin(self, session_id: int, chat: str, digests: list[bytes]) -> bool:
        """Cancels what is queued and sets the tombstone; False while a message is being sent."""

    async def erase_messages(self, session_id: int, addresses: list[str], most: int) -> tuple[int, list[str]]:
        """A step: how many messages went, and hashes of files that no message has any more."""

    async def erase_traces(self, session_id: int, addresses: list[str]) -> None:
        """Everything beside the messages; of events the id stays."""


class FileStore(Protocol):
    """Where the bytes of files are."""

    async def remove_unused(self, hashes: Sequence[str]) -> None:
        """Removes those of these files that no message has any more, with their small pictures. Raises Unavailable."""


class Erasure:
    """Erases people at an admin's word."""

    def __init__(self, store: ErasureStore, files: FileStore, digests: Digests, log: Log) -> None:
        self._store = store
        self._files = files
        self._digests = digests
        self._log = log

    async def erase(self, session_id: int, chat: str, actor: Actor) -> int:
        """How many messages went. Raises Conflict while a message is being sent."""
        addresses = await self._store.addresses(chat)
        digests = [self._digests.of(address) for address in addresses]
        if not await self._store.begin(session_id, chat, digests):
            raise Conflict("A message of this conversation is being sent. Try again in a moment.")
        erased = await self._pass(session_id, addresses)
        await asyncio.sleep(SECOND_PASS_S)
        erased += await self._pass(session_id, addresses)
        metadata = {
            **actor.described(),
            "messages": erased,
            "addresses": [digest.hex() for digest in digests],
        }
        await self._log(session_id, "conversation_erased", f"{actor.name} erased a conversation.", metadata)
        return erased

    async def _pass(self, session_id: int, addresses: list[str]) -> int:
        erased = 0
        while True:
            count, hashes = await self._store.erase_messages(session_id, addresses, STEP)
            await self._files.remove_unused(hashes)
            erased += count
            if not count:
                break
        await self._store.erase_traces(session_id, addresses)
        return erased

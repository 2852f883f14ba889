"""Erasing in Postgres: one step of each kind, and the tombstones that stay."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from gateway.domain.erasure import Digests, Tombstone
from gateway.postgres.connection.pool import mapped_errors
from gateway.services.webhooks.batch import InboundWebhook

FRESH = timedelta(seconds=1)
"""A webhook that is younger needs no look: an erasure passes twice."""

_OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
_TIMEOUT_S = 60.0
"""A journal of a month is read for texts that name a person."""

_MESSAGES = "SELECT erased, hashes FROM gateway.erase_messages_v1($1, $2, $3)"
_TRACES = "SELECT gateway.erase_traces_v1($1, $2)"
_SENDING = "SELECT gateway.erase_sending_v1($1, $2)"
_PRESENCE = "DELETE FROM gateway.presence WHERE session = $1 AND chat = ANY ($2::text[])"
_EVENTS = "SELECT gateway.erase_events_v1($1, $2)"
_WEBHOOKS_OUT = "SELECT gateway.erase_webhooks_out_v1($1, $2)"
_TOMBSTONES = "SELECT session, digest, at FROM gateway.tombstones WHERE at > $1 ORDER BY at"
_OF_SESSIONS = """
SELECT session, digest, at FROM gateway.tombstones WHERE session = ANY ($1::bigint[]) AND at > $2
"""


class ErasureTable:
    """Deletes what names a person."""

    def __init__(self, pool: asyncpg.Pool, digests: Digests) -> None:
        self._pool = pool
        self.digests = digests

    async def addresses(self, chat: str) -> list[str]:
        """Every JID under which the person of a conversation is known. Raises StoreUnavailable."""
        with mapped_errors():
            return list(await self._pool.fetchval("SELECT gateway.person_addresses_v1($1)", chat))

    async def begin(self, session_id: int, chat: str, digests: list[bytes]) -> bool:
        """Cancels what is queued and sets the tombstone; False while a message is being sent."""
        with mapped_errors():
            is_sending = await self._pool.fetchval(
                "SELECT gateway.begin_erasure_v1($1, $2, $3)", session_id, chat, digests
            )
        return not is_sending

    async def erase_messages(self, session_id: int, addresses: list[str], most: int) -> tuple[int, list[str]]:
        """A step: how many messages went, and hashes of files that no message has any more."""
        with mapped_errors():
            async with self._pool.acquire(timeout=_TIMEOUT_S) as connection:
                row = await connection.fetchrow(_MESSAGES, session_id, addresses, most, timeout=_TIMEOUT_S)
        assert row is not None  # the function answers with one row
        return row["erased"], list(row["hashes"])

    async def erase_traces(self, session_id: int, addresses: list[str]) -> None:
        """Everything beside the messages; of events the id stays. Raises StoreUnavailable."""
        with mapped_errors():
            async with self._pool.acquire(timeout=_TIMEOUT_S) as connection:
                for statement in (_TRACES, _SENDING, _PRESENCE, _EVENTS, _WEBHOOKS_OUT):
                    await connection.execute(statement, session_id, addresses, timeout=_TIMEOUT_S)

    async def tombstones(self, since: datetime | None) -> list[Tombstone]:
        """Those that were set after that moment, the oldest first; all without one. Raises StoreUnavailable."""
        with mapped_errors():
            rows = await self._pool.fetch(_TOMBSTONES, since or _OLDEST)
        return [Tombstone(row["session"], row["digest"], row["at"]) for row in rows]


class TombstoneFilter:
    """Keeps out of the tables what was received before its person was erased."""

    def __init__(self, digests: Digests) -> None:
        self._digests = digests

    async def unwanted(self, pool: asyncpg.Pool, batch: Sequence[InboundWebhook]) -> set[int]:
        """Places in the batch of webhooks that must not be written."""
        oldest = min((item.received_at for item in batch), default=None)
        if oldest is None or datetime.now(UTC) - oldest < FRESH:
            return set()
        rows = await pool.fetch(_OF_SESSIONS, sorted({item.session_id for item in batch}), oldest)
        if not rows:
            return set()
        return {
            place
            for place, item in enumerate(batch)
            if self._digests.names_one(
                item.body,
                [
                    row["digest"]
                    for row in rows
                    if row["session"] == item.session_id and item.received_at < row["at"]
                ],
            )
        }

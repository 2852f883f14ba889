"""Presence in Postgres: an unlogged table that every gateway of the database writes and reads."""

from collections.abc import Sequence

import asyncpg

from gateway.postgres.connection.pool import mapped_errors
from gateway.services.presence.presence import LIFE_S, Present, Word

_SAY = "SELECT gateway.say_presence_v1($1::jsonb, $2)"
_READ = "SELECT session, chat, sub, name, doing, left_s FROM gateway.presence_v1($1) ORDER BY session, chat, name, sub"


class PresenceTable:
    """Writes what connections do, and reads what all of them do."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def say(self, words: Sequence[Word]) -> None:
        """Notes the words; every gateway is told of what can be seen. Raises StoreUnavailable."""
        rows = [
            {
                "connection": word.connection,
                "session": word.inbox,
                "chat": word.chat,
                "sub": word.sub,
                "name": word.name,
                "doing": word.doing,
            }
            for word in words
        ]
        with mapped_errors():
            await self._pool.execute(_SAY, rows, LIFE_S)

    async def read(self) -> list[Present]:
        """All who are in a conversation now; what has run out is gone afterwards. Raises StoreUnavailable."""
        with mapped_errors():
            rows = await self._pool.fetch(_READ, LIFE_S)
        return [
            Present(row["session"], row["chat"], row["sub"], row["name"], row["doing"], row["left_s"])
            for row in rows
        ]

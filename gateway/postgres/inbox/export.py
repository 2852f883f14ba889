"""What an export needs beside the thread: how long it is, and which bytes a file of a message has."""

from collections.abc import AsyncIterator

import asyncpg

from gateway.postgres.connection.pool import mapped_errors
from gateway.services.media.files import MediaFiles

_FILE = """
SELECT b.sha256, b.bytes
FROM gateway.media AS f
JOIN gateway.blobs AS b ON b.sha256 = f.sha256
WHERE f.id = $1::text::uuid AND f.state = 'stored'
"""


class ExportTable:
    """Files by the ids that messages name."""

    def __init__(self, pool: asyncpg.Pool, files: MediaFiles | None) -> None:
        self._pool = pool
        self._files = files

    async def count(self, session_id: int, chat: str) -> int:
        """How many messages a conversation has. Raises StoreUnavailable."""
        with mapped_errors():
            return int(
                await self._pool.fetchval("SELECT gateway.messages_of_chat_v1($1, $2)", session_id, chat)
            )

    async def pieces(self, media_id: str) -> AsyncIterator[bytes] | None:
        """The file in pieces; None where it is not stored. Raises NotFound, StoreUnavailable, Unavailable."""
        if self._files is None:
            return None
        with mapped_errors():
            row = await self._pool.fetchrow(_FILE, media_id)
        return None if row is None else await self._files.read(row["sha256"], 0, row["bytes"])

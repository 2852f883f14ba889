"""`services.media.keeper.KeepStore` in Postgres, and what the command line does with files."""

import uuid
from collections.abc import Sequence
from typing import Any

import asyncpg

from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.webhooks.batches import mapped_write_errors

PATIENCE = "400ms"

_COUNTS = """
SELECT f.state, count(*) AS files, coalesce(sum(b.bytes), 0)::bigint AS bytes, min(f.made_at) AS oldest
FROM gateway.media AS f LEFT JOIN gateway.blobs AS b ON b.sha256 = f.sha256
GROUP BY f.state ORDER BY f.state
"""
_REASONS = """
SELECT coalesce(reason, error) AS reason, count(*) AS files FROM gateway.media
WHERE state <> 'stored' AND coalesce(reason, error) IS NOT NULL
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10
"""


class MediaKeepTable:
    """Files that go, and files that are counted."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def drop_unused(self, most: int) -> int:
        """Removes uploads that no message took; how many."""
        with mapped_errors():
            return int(await self._pool.fetchval("SELECT gateway.drop_unused_media_v1($1)", most))

    async def drop_orphaned(self, after: str, most: int) -> tuple[str | None, int]:
        """Of the files behind that id, removes those whose message is gone: the last id looked at, and how many."""
        with mapped_errors():
            row = await self._pool.fetchrow(
                "SELECT last::text, gone FROM gateway.drop_orphaned_media_v1($1, $2)", uuid.UUID(after), most
            )
        return (None, 0) if row is None else (row["last"], row["gone"])

    async def expire(self, days: float, most: int) -> int:
        """Ends files that are older; their messages say so. How many."""
        why = f"The file was removed after {days:g} days, as long as this shop keeps files."
        with mapped_write_errors():
            return int(
                await self._pool.fetchval(
                    "SELECT gateway.expire_media_v1($1, make_interval(secs => $2), $3, $4)",
                    PATIENCE,
                    days * 86_400,
                    why,
                    most,
                )
            )

    async def take_unused_blobs(self, among: Sequence[str] | None, most: int) -> list[str]:
        """Hashes of files that no message has, marked for removal; of those given, or of all."""
        wanted = None if among is None else list(among)
        with mapped_errors():
            rows = await self._pool.fetch(
                "SELECT sha256 FROM gateway.take_unused_blobs_v2($1, $2) AS sha256", wanted, most
            )
        return [row["sha256"] for row in rows]

    async def forget_blob(self, sha256: str) -> None:
        """Its bytes are gone."""
        with mapped_errors():
            await self._pool.execute("DELETE FROM gateway.blobs WHERE sha256 = $1 AND is_going", sha256)

    async def erase(self, ids: Sequence[str]) -> list[str]:
        """Erases files of messages; the hashes of their bytes."""
        with mapped_errors():
            hashes = await self._pool.fetchval("SELECT gateway.erase_media_v1($1)", _ids(ids))
        return list(hashes or ())

    # ------------------------------------------------------------------------------------------ the command line

    async def retry(self, ids: Sequence[str] | None) -> int:
        """Asks for lost files once more: these, or all whose source is known. How many."""
        with mapped_write_errors():
            return int(
                await self._pool.fetchval(
                    "SELECT gateway.retry_media_v1($1, $2)", PATIENCE, None if ids is None else _ids(ids)
                )
            )

    async def counts(self) -> list[dict[str, Any]]:
        """Files by state: how many, their bytes, when the oldest came."""
        with mapped_errors():
            return [dict(row) for row in await self._pool.fetch(_COUNTS)]

    async def reasons(self) -> list[tuple[str, int]]:
        """Why files are not stored, the most frequent reason first."""
        with mapped_errors():
            return [(row["reason"], row["files"]) for row in await self._pool.fetch(_REASONS)]

    async def blobs(self, after: str, most: int) -> list[tuple[str, int]]:
        """Hashes and sizes of stored files behind that hash, in its order."""
        with mapped_errors():
            rows = await self._pool.fetch(
                "SELECT sha256, bytes FROM gateway.blobs WHERE is_stored AND sha256 > $1 ORDER BY sha256 LIMIT $2",
                after,
                most,
            )
        return [(row["sha256"], row["bytes"]) for row in rows]

    async def total(self) -> tuple[int, int]:
        """Number and bytes of the stored files, each counted once."""
        with mapped_errors():
            row = await self._pool.fetchrow(
                "SELECT count(*) AS files, coalesce(sum(bytes), 0)::bigint AS bytes FROM gateway.blobs WHERE is_stored"
            )
        return (0, 0) if row is None else (row["files"], row["bytes"])

    async def store_url(self) -> str | None:
        """Where the gateways of this database keep their files; None if none has run."""
        with mapped_errors():
            url = await self._pool.fetchval(
                "SELECT value ->> 'url' FROM gateway.settings WHERE key = 'media_store'"
            )
        return None if url is None else str(url)


def _ids(ids: Sequence[str]) -> list[uuid.UUID]:
    return [uuid.UUID(item) for item in ids]

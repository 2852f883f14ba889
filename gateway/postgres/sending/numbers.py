"""Whether numbers have WhatsApp, as WasenderAPI said."""

from datetime import datetime

import asyncpg

from gateway.postgres.connection.pool import mapped_errors

_KNOWN = """
SELECT n.is_there, n.asked_at FROM gateway.number_checks AS n
WHERE n.jid = $1 AND n.asked_at > now() - make_interval(days => CASE WHEN n.is_there THEN $2::int ELSE $3::int END)
"""
_LATELY = """
SELECT count(*) FILTER (WHERE n.asked_at > now() - interval '1 minute') AS minute, count(*) AS day
FROM gateway.number_checks AS n
WHERE n.session = $1 AND n.asked_at > now() - interval '1 day'
"""
_KEEP = """
INSERT INTO gateway.number_checks AS n (session, jid, is_there) VALUES ($1, $2, $3)
ON CONFLICT (jid) DO UPDATE SET session = excluded.session, is_there = excluded.is_there, asked_at = excluded.asked_at
RETURNING n.asked_at
"""


class NumberTable:
    """Remembers answers about numbers. Everything raises StoreUnavailable."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def known_number(
        self, jid: str, known_days: int, missing_days: int
    ) -> tuple[bool, datetime] | None:
        """What was said lately, and when."""
        with mapped_errors():
            row = await self._pool.fetchrow(_KNOWN, jid, known_days, missing_days)
        return None if row is None else (row["is_there"], row["asked_at"])

    async def asked_lately(self, session_id: int) -> tuple[int, int]:
        """How often the session asked in the last minute, and in the last day."""
        with mapped_errors():
            (row,) = await self._pool.fetch(_LATELY, session_id)
        return row["minute"], row["day"]

    async def keep_number(self, session_id: int, jid: str, is_there: bool) -> datetime:
        """Remembers an answer; when it was given."""
        with mapped_errors():
            at: datetime = await self._pool.fetchval(_KEEP, session_id, jid, is_there)
        return at

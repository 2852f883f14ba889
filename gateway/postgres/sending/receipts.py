"""`services.sending.receipts.ReceiptStore` in Postgres."""

import asyncpg

from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.sending.rows import moment_of
from gateway.services.sending.receipts import Receipt

BLOCKED_S = 1.0
"""Between two looks whether the messages that go first have gone."""

# A first contact that waits for the end of a restriction holds up nothing.
_BEGIN = """
WITH next AS (
    SELECT r.key_id, r.due_at <= clock_timestamp() AND NOT EXISTS (
            SELECT FROM public.whatsapp_outgoing_messages AS m
            WHERE m.wasender_session_id = $1 AND m.send_no IS NOT NULL AND m.status = 'queued'
                AND m.due_at <= clock_timestamp()
                AND (extract(epoch FROM clock_timestamp()) >= coalesce((
                        SELECT (q.queue ->> 'restricted_until')::float8 FROM gateway.send_queues AS q
                        WHERE q.session = $1), 0)
                    OR EXISTS (SELECT FROM gateway.send_lanes AS l WHERE l.session = $1 AND l.chat = m.chat))
        ) AS may_go,
        extract(epoch FROM r.due_at - clock_timestamp())::float8 AS wait_s
    FROM gateway.read_receipts AS r
    JOIN public.whatsapp_sessions AS s ON s.wasender_session_id = r.session AND lower(s.status) = 'connected'
    WHERE r.session = $1 AND r.told_at IS NULL
    ORDER BY r.due_at, r.key_id
    LIMIT 1
), begun AS (
    UPDATE gateway.read_receipts AS r SET told_at = clock_timestamp()
    FROM next AS n
    WHERE n.may_go AND r.session = $1 AND r.key_id = n.key_id AND r.told_at IS NULL
    RETURNING r.key_id, r.key, r.tries
)
SELECT b.key_id, b.key, b.tries, n.wait_s FROM next AS n LEFT JOIN begun AS b ON true
"""
_TAKE_BACK = """
UPDATE gateway.read_receipts AS r SET told_at = NULL, due_at = $3, tries = r.tries + 1
WHERE r.session = $1 AND r.key_id = $2
"""


class ReceiptTable:
    """Messages whose senders are to be shown that they were read. Everything raises StoreUnavailable."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def begin(self, session_id: int) -> Receipt | float | None:
        """The next one, whose call begins with this commit; or seconds until the next look, None if nothing is left."""
        with mapped_errors():
            row = await self._pool.fetchrow(_BEGIN, session_id)
        if row is None:
            return None
        if row["key_id"] is None:
            return max(BLOCKED_S, float(row["wait_s"]))
        return Receipt(row["key_id"], row["key"], row["tries"])

    async def take_back(self, session_id: int, key_id: str, due_at: float) -> None:
        """The call was in vain: it is to be made again then."""
        with mapped_errors():
            await self._pool.execute(_TAKE_BACK, session_id, key_id, moment_of(due_at))

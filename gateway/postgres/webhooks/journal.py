"""The journal of webhooks, and one of them written once more."""

from typing import Any

from gateway.postgres.connection.driver import Pool
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.webhooks.batches import WebhookTable, mapped_write_errors
from gateway.services.webhooks.batch import InboundWebhook, Outcome
from gateway.services.webhooks.journal import OUTCOMES, SETTLED, Entry, Wanted

_COLUMNS = """
    id, received_at, wasender_session_id, event, outcome, reason, note, retries, retried_at, retried_by,
    body IS NOT NULL AS has_body
"""

_ENTRY = """
SELECT id, received_at, wasender_session_id, event, outcome, reason, note, retries, retried_at, retried_by,
    body IS NOT NULL AS has_body, body
FROM gateway.journal WHERE id = $1
"""

_AGAIN = """
UPDATE gateway.journal
SET note = 'before: ' || outcome || coalesce(' (' || reason || ')', ''),
    outcome = $2, reason = $3, event = coalesce($4, event),
    retries = retries + 1, retried_at = now(), retried_by = $5
WHERE id = $1
"""


class JournalTable:
    """`services.webhooks.journal.JournalStore` in Postgres."""

    def __init__(self, pool: Pool, webhooks: WebhookTable) -> None:
        self._pool = pool
        self._webhooks = webhooks

    async def entries(self, wanted: Wanted, limit: int) -> list[Entry]:
        """Entries of that kind, newest first, without bodies; at most `limit`. Raises StoreUnavailable."""
        conditions = [
            "($1::bigint IS NULL OR id < $1)",
            "($2::bigint[] IS NULL OR wasender_session_id = ANY($2))",
        ]
        if wanted.outcomes is not None:
            # As text, so that the index of troubles can be used; the words are ours, never from outside.
            words = ", ".join(f"'{word}'" for word in OUTCOMES if word in wanted.outcomes)
            conditions.append(f"outcome IN ({words})" if words else "false")
        sql = f"SELECT {_COLUMNS} FROM gateway.journal WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT $3"
        sessions = None if wanted.sessions is None else sorted(wanted.sessions)
        with mapped_errors():
            rows = await self._pool.fetch(sql, wanted.before, sessions, limit)
        return [_entry_of(row) for row in rows]

    async def entry(self, number: int) -> Entry | None:
        """The entry of that number with its body, or None. Raises StoreUnavailable."""
        with mapped_errors():
            row = await self._pool.fetchrow(_ENTRY, number)
        return _entry_of(row) if row else None

    async def write_again(self, number: int, inbound: InboundWebhook, by: str) -> Outcome:
        """Rows and entry in one transaction, unless it is settled meanwhile; the outcome now."""
        with mapped_write_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                await self._webhooks.prepare(connection, [inbound])
                lock = "SELECT outcome FROM gateway.journal WHERE id = $1 FOR UPDATE"
                now: Outcome = await connection.fetchval(lock, number)
                if now in SETTLED:
                    return now  # another caller was quicker
                ((outcome, reason),) = await self._webhooks.write_rows(connection, [inbound])
                await connection.execute(_AGAIN, number, outcome, reason, inbound.reading.event or None, by)
        return outcome

    async def note_failure(self, number: int, reason: str, by: str) -> None:
        """Notes that processing it again, by this person, failed. Raises StoreUnavailable."""
        with mapped_errors():
            await self._pool.execute(_AGAIN, number, "failed", reason, None, by)


def _entry_of(row: Any) -> Entry:
    return Entry(
        id=row["id"],
        received_at=row["received_at"],
        session_id=row["wasender_session_id"],
        event=row["event"],
        outcome=row["outcome"],
        reason=row["reason"],
        note=row["note"],
        retries=row["retries"],
        retried_at=row["retried_at"],
        retried_by=row["retried_by"],
        has_body=row["has_body"],
        body=row.get("body"),
    )

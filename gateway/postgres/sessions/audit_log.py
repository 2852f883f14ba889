"""The audit log: who did what to which session, and what upstream and the phone did."""

from datetime import datetime
from typing import Any

from gateway.postgres.connection.driver import Connection, Pool
from gateway.postgres.connection.pool import mapped_errors
from gateway.services.sessions.audit_log import AuditNote, AuditRow

# What remains of a deleted session names it in its metadata: its rows went with it.
_READ = """
SELECT l.id, l.event_type, l.message, l.metadata, told.at AS created_at
FROM public.whatsapp_session_logs l
LEFT JOIN public.whatsapp_sessions s ON s.id = l.session_id
-- A time that no client has (infinity, the year 20000) is none: pages are cut at times, too.
CROSS JOIN LATERAL (
    SELECT CASE WHEN l.created_at BETWEEN '0001-01-02' AND '9999-12-30' THEN l.created_at::timestamptz END AS at
) AS told
WHERE (s.wasender_session_id = $1::bigint
       OR (l.session_id IS NULL AND l.metadata ->> 'session_id' = $1::bigint::text))
  AND ($2::text IS NULL OR l.event_type = $2)
  AND ($3::timestamptz IS NULL OR (coalesce(told.at, 'epoch'), l.id) < ($3, $4::bigint))
ORDER BY coalesce(told.at, 'epoch') DESC, l.id DESC
LIMIT $5
"""


_WRITE = """
INSERT INTO public.whatsapp_session_logs (session_id, event_type, message, metadata, created_at, written_by)
SELECT id, $2, $3, $4, now(), 'gateway' FROM public.whatsapp_sessions WHERE wasender_session_id = $1::bigint
"""


async def write_row(connection: Connection | Pool, session_id: int, note: AuditNote) -> None:
    """One row, also as part of a transaction; nothing when the session is not known here."""
    await connection.execute(_WRITE, session_id, note.event, note.sentence, note.metadata)


class AuditLogTable:
    """Writes and reads the audit log of sessions."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def log(self, session_id: int, event_type: str, message: str, metadata: dict[str, Any]) -> None:
        """One row; nothing when the session is not known here."""
        with mapped_errors():
            await write_row(self._pool, session_id, AuditNote(event_type, message, metadata))

    async def read(
        self, session_id: int, event_type: str | None, limit: int, before: tuple[datetime, int] | None
    ) -> list[AuditRow]:
        """Newest first; `before` is time and id of the last row already seen."""
        at, number = before or (None, None)
        with mapped_errors():
            rows = await self._pool.fetch(_READ, session_id, event_type, at, number, limit)
        return [
            AuditRow(
                row["id"], row["event_type"], row["message"], row["metadata"], row["created_at"], "gateway"
            )
            for row in rows
        ]

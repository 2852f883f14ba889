"""Statuses of sessions, written into rows that may be somebody else's. For use inside a transaction."""

from collections.abc import Collection, Mapping

import asyncpg

from gateway.domain.session import StatusSource, normalise_status

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_CHANGE = """
WITH stale AS (
    SELECT s.wasender_session_id AS session, said.status
    FROM public.whatsapp_sessions s
    JOIN unnest($1::bigint[], $2::text[]) AS said (session, status) ON said.session = s.wasender_session_id
    WHERE CASE lower(coalesce(s.status, ''))
        WHEN 'qr_ready' THEN 'need_scan' WHEN '' THEN 'disconnected' ELSE lower(s.status)
    END <> said.status
    ORDER BY s.wasender_session_id
    FOR UPDATE OF s
)
UPDATE public.whatsapp_sessions s SET status = stale.status
FROM stale WHERE s.wasender_session_id = stale.session
RETURNING s.wasender_session_id::bigint AS session_id
"""

_CHECKED = """
INSERT INTO gateway.session_state AS st (wasender_session_id, checked_at, source)
SELECT session, now(), $2 FROM unnest($1::bigint[]) AS session ORDER BY session
ON CONFLICT (wasender_session_id) DO UPDATE SET checked_at = now(), source = $2
WHERE st.checked_at IS NULL OR st.checked_at < now() - interval '1 minute' OR st.source IS DISTINCT FROM $2
   OR st.wasender_session_id = ANY($3::bigint[])
"""

_MISSED = """
UPDATE gateway.session_state SET webhook_missed_at = now() WHERE wasender_session_id = ANY($1::bigint[])
"""


async def write_status(connection: Connection, session_id: int, status: str, source: StatusSource) -> None:
    """A status, unless the row says the same already in whatever casing; and when it was learned."""
    await write_statuses(connection, {session_id: status}, source)


async def write_statuses(connection: Connection, statuses: Mapping[int, str], source: StatusSource) -> None:
    """As `write_status`, for many sessions at once; their rows are locked in the order of their ids."""
    words = [normalise_status(status) for status in statuses.values()]
    changed = [row["session_id"] for row in await connection.fetch(_CHANGE, list(statuses), words)]
    await mark_checked(connection, statuses, source, changed=changed)
    if changed and source in ("poll", "probe"):
        # Found by asking: a webhook should tell of it within moments, or none arrives here at all.
        await connection.execute(_MISSED, changed)


async def mark_checked(
    connection: Connection,
    session_ids: Collection[int],
    source: StatusSource,
    *,
    changed: Collection[int] = (),
) -> None:
    """Notes that the statuses were confirmed now: once a minute and source, `changed` ones always. Rings nothing."""
    await connection.execute(_CHECKED, list(session_ids), source, list(changed))


def same_statuses(status: str) -> list[str]:
    """The words, in lower case, that mean this status in somebody's rows."""
    word = normalise_status(status)
    return [item for item in (word, "qr_ready", "") if normalise_status(item) == word]

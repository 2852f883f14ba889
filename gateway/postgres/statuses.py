"""Statuses of sessions, written into rows that may be somebody else's. For use inside a transaction."""

import asyncpg

from gateway.domain.session import StatusSource, normalise_status

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


async def write_status(connection: Connection, session_id: int, status: str, source: StatusSource) -> None:
    """A status, unless the row says the same already in whatever casing; and when it was learned."""
    tag = await connection.execute(
        """
        UPDATE public.whatsapp_sessions SET status = $2
        WHERE wasender_session_id = $1 AND lower(coalesce(status, '')) <> ALL($3::text[])
        """,
        session_id,
        status,
        same_statuses(status),
    )
    is_changed = not tag.endswith(" 0")
    await mark_checked(connection, session_id, source, at_once=is_changed)
    if source in ("poll", "probe") and is_changed:
        # Found by asking: a webhook should tell of it within moments, or none arrives here at all.
        await connection.execute(
            "UPDATE gateway.session_state SET webhook_missed_at = now() WHERE wasender_session_id = $1",
            session_id,
        )


async def mark_checked(
    connection: Connection, session_id: int, source: StatusSource, *, at_once: bool = False
) -> None:
    """Notes that the status was confirmed now: once a minute and source, or `at_once`. Rings nothing."""
    await connection.execute(
        """
        INSERT INTO gateway.session_state AS st (wasender_session_id, checked_at, source)
        VALUES ($1, now(), $2)
        ON CONFLICT (wasender_session_id) DO UPDATE SET checked_at = now(), source = $2
        WHERE st.checked_at IS NULL OR st.checked_at < now() - interval '1 minute' OR st.source IS DISTINCT FROM $2
           OR $3
        """,
        session_id,
        source,
        at_once,
    )


def same_statuses(status: str) -> list[str]:
    """The words, in lower case, that mean this status in somebody's rows."""
    word = normalise_status(status)
    return [item for item in (word, "qr_ready", "") if normalise_status(item) == word]

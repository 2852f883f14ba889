"""Statuses of sessions, written into rows that may be the shop's own. For use inside a transaction.

Every status has the time that it holds for: the older of two never replaces the newer one, in whatever order
they are written. A turn worth telling of is a row of the audit log in the same transaction.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from asyncpg import exceptions as pg

from gateway.domain.session import Heard, StatusSource, normalise_status, turn_to
from gateway.postgres.connection.driver import Connection

logger = logging.getLogger(__name__)

# What a rule of the shop says about a row of its log, or of its sessions: then it says so once more without the log.
_REFUSED = (
    pg.IntegrityConstraintViolationError,
    pg.DataError,
    pg.PLPGSQLError,
    pg.InsufficientPrivilegeError,
)


@dataclass(frozen=True, slots=True)
class Said:
    """A status that upstream or a webhook has told."""

    session_id: int
    status: str
    as_of: datetime
    """When the webhook came, or the question was begun that upstream answered; by Postgres' clock."""
    reason: str | None = None
    own: datetime | None = None
    """The time that the webhook itself names: of two webhooks the later one by it counts."""
    is_doubtful: bool = False
    """WasenderAPI has not confirmed it."""


# The session's row is locked before its state, as everywhere. Which turns are told is `turn_to`'s to say, and here:
# a link that is lost, one that comes while no attempt runs, and a session that is gone.
_SAY = """
WITH said AS MATERIALIZED (
    SELECT *
    FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $10::timestamptz[],
            $11::boolean[])
        AS said (session, status, as_of, reason, event, sentence, own, is_doubtful)
    WHERE $8::uuid IS NULL OR EXISTS (
        SELECT FROM gateway.whatsapp_link_attempts a
        WHERE a.wasender_session_id = said.session AND a.ended_at IS NULL AND a.holder = $8)
), changing AS (
    SELECT s.id, said.*, lower(coalesce(s.status, '')) AS before
    FROM said
    JOIN public.whatsapp_sessions s ON s.wasender_session_id = said.session
    JOIN gateway.session_state st ON st.wasender_session_id = said.session
    WHERE CASE lower(coalesce(s.status, ''))
            WHEN 'qr_ready' THEN 'need_scan' WHEN '' THEN 'disconnected' ELSE lower(s.status)
        END <> said.status
      AND (st.checked_at IS NULL OR st.checked_at <= said.as_of)
      AND (st.said_at IS NULL OR said.own IS NULL OR st.said_at <= said.own)
    ORDER BY said.session
    FOR UPDATE OF s, st
), changed AS (
    UPDATE public.whatsapp_sessions s SET status = changing.status
    FROM changing WHERE s.id = changing.id
    RETURNING changing.session, s.xmin::text::bigint AS row_version
), told AS (
    INSERT INTO public.whatsapp_session_logs (session_id, event_type, message, metadata, created_at, written_by)
    SELECT id, event, sentence,
           jsonb_build_object('status', status, 'before', before, 'reason', reason, 'source', $7::text), now(),
           'gateway'
    FROM changing
    WHERE event IS NOT NULL AND $9 AND CASE status
        WHEN 'gone' THEN true
        WHEN 'connected' THEN NOT EXISTS (
            SELECT FROM gateway.whatsapp_link_attempts a
            WHERE a.wasender_session_id = changing.session AND a.ended_at IS NULL)
        WHEN 'disconnected' THEN before = 'connected'
        ELSE before IN ('connected', 'connecting')
    END
), noted AS (
    INSERT INTO gateway.session_state AS st (
        wasender_session_id, checked_at, source, said_at, is_doubtful, webhook_missed_at)
    SELECT said.session, said.as_of, $7, said.own, said.is_doubtful,
           -- Found by asking: a webhook should tell of it within moments, or none arrives here at all.
           CASE WHEN changed.session IS NOT NULL AND $7 IN ('poll', 'probe') THEN now() END
    FROM said LEFT JOIN changed ON changed.session = said.session
    WHERE EXISTS (SELECT FROM public.whatsapp_sessions s WHERE s.wasender_session_id = said.session)
    ORDER BY said.session
    ON CONFLICT (wasender_session_id) DO UPDATE
    SET checked_at = excluded.checked_at,
        source = excluded.source,
        said_at = coalesce(excluded.said_at, st.said_at),
        is_doubtful = excluded.is_doubtful,
        webhook_missed_at = coalesce(excluded.webhook_missed_at, st.webhook_missed_at)
    WHERE st.checked_at IS NULL OR (
        st.checked_at <= excluded.checked_at
        AND (st.said_at IS NULL OR excluded.said_at IS NULL OR st.said_at <= excluded.said_at)
        -- A poller asks every two seconds: an unchanged status is noted once a minute.
        AND ($7 <> 'poll' OR st.source IS DISTINCT FROM $7
             OR st.checked_at < excluded.checked_at - interval '1 minute'
             OR st.is_doubtful
             OR EXISTS (SELECT FROM changed WHERE changed.session = excluded.wasender_session_id)))
)
SELECT said.session, changed.session IS NOT NULL AS is_changed, changed.row_version,
       coalesce(st.checked_at > said.as_of, false) OR coalesce(st.said_at > said.own, false) AS is_old
FROM said
LEFT JOIN changed ON changed.session = said.session
LEFT JOIN gateway.session_state st ON st.wasender_session_id = said.session
"""


async def write_statuses(
    connection: Connection,
    said: Sequence[Said],
    source: StatusSource,
    *,
    holder: str | None = None,
    is_told: bool = True,
) -> dict[int, Heard]:
    """Statuses of different sessions; a row that says the same already, in whatever casing, is left as it is.

    `holder` fences: what a poller says of an attempt that is no longer its own is missing from the answer.
    `is_told` is False where the caller writes the row of the audit log itself. A row that the shop's own rules refuse
    costs no status.
    """
    words = [normalise_status(item.status) for item in said]
    turns = [turn_to(word) or (None, None) for word in words]
    arguments = (
        [item.session_id for item in said],
        words,
        [item.as_of for item in said],
        [item.reason for item in said],
        [event for event, _ in turns],
        [sentence for _, sentence in turns],
        source,
        holder,
    )
    own = [item.own for item in said], [item.is_doubtful for item in said]
    if not is_told or not any(event for event, _ in turns):
        return _heard(await connection.fetch(_SAY, *arguments, False, *own))
    try:
        async with connection.transaction():
            return _heard(await connection.fetch(_SAY, *arguments, True, *own))
    except _REFUSED as error:
        logger.warning("statuses.not_told error=%s", error)
    return _heard(await connection.fetch(_SAY, *arguments, False, *own))


def _heard(rows: list[asyncpg.Record]) -> dict[int, Heard]:
    return {row["session"]: Heard(row["is_changed"], row["is_old"], row["row_version"]) for row in rows}


def same_statuses(status: str) -> list[str]:
    """The words, in lower case, that mean this status in rows of any writer."""
    word = normalise_status(status)
    return [item for item in (word, "qr_ready", "") if normalise_status(item) == word]


# What is known of sessions, for statuses that may be older than that.
_KNOWN = """
SELECT s.wasender_session_id::bigint AS session, s.status, st.checked_at, st.source
FROM public.whatsapp_sessions s
LEFT JOIN gateway.session_state st ON st.wasender_session_id = s.wasender_session_id
WHERE s.wasender_session_id = ANY ($1::bigint[])
"""


@dataclass(frozen=True, slots=True)
class Known:
    """The status that is stored of a session, since when, and who told it."""

    status: str
    checked_at: datetime | None
    source: StatusSource | None


async def known_statuses(connection: Connection, session_ids: Sequence[int]) -> dict[int, Known]:
    """What is stored of these sessions' statuses, by number."""
    rows = await connection.fetch(_KNOWN, session_ids)
    return {
        row["session"]: Known(normalise_status(row["status"]), row["checked_at"], row["source"])
        for row in rows
    }

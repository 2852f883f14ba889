"""QR attempts: one row each, and the rules that need Postgres to keep them.

A poller writes with its holder token, so one that lost its lease without noticing writes nothing. A webhook
brings no token: it may land on any gateway. Postgres' clock decides all times.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg

from gateway.domain.linking import FIRST_CODE_S, LEARNT_S, NEXT_CODE_S, Attempt
from gateway.domain.session import Heard, StatusSource
from gateway.postgres.connection.clock import DatabaseClock
from gateway.postgres.connection.driver import Connection, Pool
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.sessions.statuses import Said, write_statuses

_NEWEST = """
SELECT to_jsonb(a.*) AS attempt
FROM gateway.whatsapp_link_attempts a
WHERE a.wasender_session_id = $1
ORDER BY a.id DESC
LIMIT 1
"""

# The seq numbers the codes of a session, and is given out here, for a poller's code and a webhook's alike. Many
# sessions in one statement: when many phones are linked at once, one after the other held their rows, and the
# pollers, for seconds.
# A code lives as long as WhatsApp's clock says, or as long as the one before it did: not the first, whose clock is
# another, and not one that was replaced while upstream failed, when codes may have been missed.
_RECORD_CODES = """
WITH running AS (
    SELECT a.id, a.wasender_session_id AS session, brought.code, brought.as_of,
        -- A webhook may have waited; what a poller brings was made while upstream answered.
        CASE WHEN $3::uuid IS NULL THEN least(brought.as_of, clock_timestamp()) ELSE clock_timestamp() END AS seen_at
    FROM gateway.whatsapp_link_attempts a
    JOIN unnest($1::bigint[], $2::text[], $4::timestamptz[]) AS brought (session, code, as_of)
      ON brought.session = a.wasender_session_id
    WHERE a.ended_at IS NULL
      AND a.code IS DISTINCT FROM brought.code
      -- A caller may come later with what is older: a webhook that waited for a row, an answer that was overtaken.
      AND (a.code_at IS NULL OR a.code_at <= brought.as_of)
      AND CASE
          -- A webhook may come late: one that brings a former code again is old news. A poller has just asked.
          WHEN $3::uuid IS NULL THEN md5(brought.code) <> ALL (a.seen)
          ELSE a.holder = $3
      END
    ORDER BY a.wasender_session_id
    FOR UPDATE OF a
), numbered AS (
    INSERT INTO gateway.session_state AS st (wasender_session_id, code_seq)
    SELECT session, 1 FROM running ORDER BY session
    ON CONFLICT (wasender_session_id) DO UPDATE SET code_seq = st.code_seq + 1
    RETURNING wasender_session_id AS session, code_seq
)
UPDATE gateway.whatsapp_link_attempts a
SET code = running.code,
    code_at = running.as_of,
    seen = a.seen || md5(running.code),
    seq = numbered.code_seq,
    attempt = a.attempt + 1,
    issued_at = running.seen_at,
    expires_at = running.seen_at + CASE
        WHEN a.attempt = 0 THEN make_interval(secs => $5)
        WHEN a.attempt = 1 THEN make_interval(secs => $6)
        WHEN a.trouble IS NOT NULL THEN a.expires_at - a.issued_at
        ELSE greatest(make_interval(secs => $7), least(make_interval(secs => $8), running.seen_at - a.issued_at))
    END,
    moved_at = clock_timestamp(),
    scanned_at = NULL
FROM running JOIN numbered USING (session)
WHERE a.id = running.id
RETURNING to_jsonb(a.*) AS attempt
"""


class AttemptTable:
    """Keeps attempts to link a phone: one that runs per session, moved by its holder alone."""

    def __init__(self, pool: Pool, clock: DatabaseClock | None = None) -> None:
        self._pool = pool
        self._clock = clock or DatabaseClock()

    async def begin(self, session_id: int, holder: str, actor: str) -> tuple[Attempt, bool]:
        """The running attempt, and whether it was begun just now: the unique index lets one caller win."""
        with mapped_errors():
            for _ in range(3):
                row = await self._pool.fetchrow(
                    """
                    INSERT INTO gateway.whatsapp_link_attempts AS a
                        (wasender_session_id, holder, actor, started_at, moved_at)
                    VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp())
                    ON CONFLICT (wasender_session_id) WHERE ended_at IS NULL DO NOTHING
                    RETURNING to_jsonb(a.*) AS attempt
                    """,
                    session_id,
                    holder,
                    actor,
                )
                if row is not None:
                    return attempt_of(row["attempt"]), True
                running = await self._fetch(_NEWEST, session_id)
                if running is not None and running.ended_at is None:
                    return running, False
        raise AssertionError("an attempt of this session was begun and ended three times while we looked")

    async def current(self, session_id: int) -> Attempt | None:
        """The newest attempt, running or ended."""
        with mapped_errors():
            return await self._fetch(_NEWEST, session_id)

    async def running(self) -> list[Attempt]:
        """Attempts that have not ended, of all gateways. Raises StoreUnavailable."""
        with mapped_errors():
            rows = await self._pool.fetch(
                "SELECT to_jsonb(a.*) AS attempt FROM gateway.whatsapp_link_attempts a WHERE ended_at IS NULL"
            )
        return [attempt_of(row["attempt"]) for row in rows]

    async def take(self, session_id: int, holder: str) -> Attempt | None:
        """Becomes the holder of the running attempt; None if none runs."""
        return await self._update(
            """
            UPDATE gateway.whatsapp_link_attempts a SET holder = $2
            WHERE wasender_session_id = $1 AND ended_at IS NULL
            RETURNING to_jsonb(a.*) AS attempt
            """,
            session_id,
            holder,
        )

    async def record_code(
        self, session_id: int, code: str, holder: str | None, *, as_of: float | None = None
    ) -> Attempt | None:
        """The attempt with this code, or with a newer one; None if none runs, or if it is no longer `holder`'s."""
        with mapped_errors():
            async with self._pool.acquire() as connection:
                brought = (code, await self._clock.when(connection, as_of))
                written = await write_codes(connection, {session_id: brought}, holder)
                # Written by one statement, it needs no transaction, and is not read again.
                row = written[0] if written else await connection.fetchrow(_NEWEST, session_id)
        attempt = attempt_of(row["attempt"]) if row else None
        if attempt is None or attempt.ended_at is not None or (holder and attempt.holder != holder):
            return None
        return attempt

    async def note_trouble(
        self, session_id: int, trouble: dict[str, Any] | None, holder: str
    ) -> Attempt | None:
        """Notes why upstream fails; None if the attempt is not running or not this holder's."""
        return await self._update(
            """
            UPDATE gateway.whatsapp_link_attempts a
            SET trouble = $3,
                trouble_at = CASE
                    WHEN (a.trouble IS NULL) = ($3::jsonb IS NULL) THEN a.trouble_at
                    ELSE clock_timestamp()
                END
            WHERE wasender_session_id = $1 AND ended_at IS NULL AND holder = $2
            RETURNING to_jsonb(a.*) AS attempt
            """,
            session_id,
            holder,
            trouble,
        )

    async def mark_scanned(self, session_id: int, holder: str) -> Attempt | None:
        """Notes the scan; None if the attempt is not running or not this holder's. Raises StoreUnavailable."""
        return await self._update(
            """
            UPDATE gateway.whatsapp_link_attempts a
            SET scanned_at = coalesce(scanned_at, clock_timestamp()), moved_at = clock_timestamp()
            WHERE wasender_session_id = $1 AND ended_at IS NULL AND holder = $2
            RETURNING to_jsonb(a.*) AS attempt
            """,
            session_id,
            holder,
        )

    async def touch(self, session_id: int, holder: str) -> Attempt | None:
        """Something moved: the idle clock of the attempt starts anew."""
        return await self._update(
            """
            UPDATE gateway.whatsapp_link_attempts a SET moved_at = clock_timestamp()
            WHERE wasender_session_id = $1 AND ended_at IS NULL AND holder = $2
            RETURNING to_jsonb(a.*) AS attempt
            """,
            session_id,
            holder,
        )

    async def end(
        self, session_id: int, holder: str | None, reason: str, error: dict[str, Any] | None
    ) -> bool:
        """Ends the running attempt (only `holder`'s own, if given); False if there was none to end."""
        ended = await self._update(
            """
            UPDATE gateway.whatsapp_link_attempts a
            SET ended_at = clock_timestamp(), reason = $3, error = $4, code = NULL
            WHERE wasender_session_id = $1 AND ended_at IS NULL AND ($2::uuid IS NULL OR holder = $2)
            RETURNING to_jsonb(a.*) AS attempt
            """,
            session_id,
            holder,
            reason,
            error,
        )
        return ended is not None

    async def record_status(
        self,
        session_id: int,
        status: str,
        source: StatusSource,
        holder: str | None = None,
        *,
        as_of: float | None = None,
    ) -> Heard | None:
        """Stores a status that was seen while linking; None if `holder` holds no running attempt."""
        with mapped_errors():
            async with self._pool.acquire() as connection:
                said = Said(session_id, status, await self._clock.when(connection, as_of))
                heard = await write_statuses(connection, [said], source, holder=holder)
        return heard.get(session_id)

    async def _update(self, sql: str, *arguments: object) -> Attempt | None:
        with mapped_errors():
            return await self._fetch(sql, *arguments)

    async def _fetch(self, sql: str, *arguments: object) -> Attempt | None:
        row = await self._pool.fetchrow(sql, *arguments)
        return attempt_of(row["attempt"]) if row else None


async def write_codes(
    connection: Connection,
    codes: Mapping[int, tuple[str, datetime]],
    holder: str | None = None,
) -> list[asyncpg.Record]:
    """Gives running attempts these codes, with the next seq where it is another one than before; those rows.

    A code comes with the time it is the truth of: one that is older than the one on show is not written. The rows
    are locked in the order of their ids.
    """
    words, times = [code for code, _ in codes.values()], [as_of for _, as_of in codes.values()]
    lives = (FIRST_CODE_S, NEXT_CODE_S, *LEARNT_S)
    return await connection.fetch(_RECORD_CODES, list(codes), words, holder, times, *lives)


def attempt_of(row: dict[str, Any]) -> Attempt:
    """An attempt's row, as `to_jsonb` shows it, as a value; times are unix seconds."""
    return Attempt(
        id=row["id"],
        session_id=row["wasender_session_id"],
        holder=row["holder"],
        actor=row["actor"] or "",
        started_at=_seconds(row["started_at"]) or 0.0,
        moved_at=_seconds(row["moved_at"]) or 0.0,
        code=row["code"],
        seq=row["seq"] or 0,
        number=row["attempt"] or 0,
        issued_at=_seconds(row["issued_at"]),
        expires_at=_seconds(row["expires_at"]),
        scanned_at=_seconds(row["scanned_at"]),
        ended_at=_seconds(row["ended_at"]),
        reason=row["reason"],
        error=row["error"],
        trouble=row.get("trouble"),
        trouble_at=_seconds(row.get("trouble_at")),
    )


def _seconds(moment: str | None) -> float | None:
    return None if moment is None else datetime.fromisoformat(moment).timestamp()

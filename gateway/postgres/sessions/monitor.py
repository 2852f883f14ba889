"""What looking after sessions needs to know and to remember."""

from collections.abc import Collection, Mapping

from gateway.domain.session import Heard, SessionSecrets, StatusSource
from gateway.domain.webhook_health import WebhookFacts, WebhookState
from gateway.postgres.connection.driver import Pool
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.sessions.rows import events_of
from gateway.postgres.sessions.sessions import SessionTable
from gateway.services.sessions.webhook_watch import SessionFacts

_QUIET = """
SELECT s.wasender_session_id::bigint AS session_id
FROM public.whatsapp_sessions s
LEFT JOIN gateway.session_state st ON st.wasender_session_id = s.wasender_session_id
WHERE lower(coalesce(s.status, '')) IN ('connected', 'connecting', 'need_scan', 'qr_ready', 'need_passkey')
  AND NOT EXISTS (
      SELECT FROM gateway.whatsapp_link_attempts a
      WHERE a.wasender_session_id = s.wasender_session_id AND a.ended_at IS NULL)
  AND coalesce(greatest(st.probed_at, st.webhook_seen_at), '-infinity') < now() - make_interval(secs => $1)
ORDER BY greatest(st.probed_at, st.webhook_seen_at) NULLS FIRST
LIMIT $2
"""

_FACTS = """
SELECT s.wasender_session_id::bigint AS session_id, s.webhook_url, s.webhook_enabled, s.webhook_events,
       coalesce(s.webhook_secret, '') <> '' AS has_secret,
       extract(epoch FROM st.webhook_seen_at)::float8 AS seen_at,
       extract(epoch FROM st.webhook_missed_at)::float8 AS missed_at,
       coalesce(st.webhooks_refused, 0) AS refused, st.webhook_state
FROM public.whatsapp_sessions s
LEFT JOIN gateway.session_state st ON st.wasender_session_id = s.wasender_session_id
WHERE lower(coalesce(s.status, '')) <> 'gone'
"""

# The addresses under which webhooks may be registered, this one included: noted before the first is moved, so that
# a second move finds the sessions of the first one, too.
_NOTE_URL = """
INSERT INTO gateway.settings AS known (key, value) VALUES ('public_url', jsonb_build_array($1::text))
ON CONFLICT (key) DO UPDATE
SET value = CASE jsonb_typeof(known.value) WHEN 'array' THEN known.value ELSE jsonb_build_array(known.value) END
            - $1::text || excluded.value
RETURNING value - $1::text AS former
"""

_FORGET_URLS = """
INSERT INTO gateway.settings (key, value) VALUES ('public_url', jsonb_build_array($1::text))
ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""


class MonitorTable:
    """Reads and notes what the monitor judges sessions by. Everything raises StoreUnavailable."""

    def __init__(self, pool: Pool, sessions: SessionTable) -> None:
        self._pool = pool
        self._sessions = sessions

    async def quiet_sessions(self, quiet_s: float, limit: int) -> list[int]:
        """Sessions that should live and were not heard of for `quiet_s` seconds, longest first."""
        with mapped_errors():
            rows = await self._pool.fetch(_QUIET, quiet_s, limit)
        return [row["session_id"] for row in rows]

    async def note_probe(self, session_id: int) -> None:
        """Notes that the session has just been asked, so that no gateway asks it again soon."""
        with mapped_errors():
            await self._pool.execute(
                "INSERT INTO gateway.session_state AS st (wasender_session_id, probed_at) VALUES ($1, now())"
                " ON CONFLICT (wasender_session_id) DO UPDATE SET probed_at = now()",
                session_id,
            )

    async def facts(self) -> list[SessionFacts]:
        """The facts of every session, from which its webhook's health is judged."""
        with mapped_errors():
            rows = await self._pool.fetch(_FACTS)
        return [
            SessionFacts(
                session_id=row["session_id"],
                webhook=WebhookFacts(
                    url=row["webhook_url"],
                    is_enabled=row["webhook_enabled"],
                    events=events_of(row["webhook_events"]),
                    has_secret=row["has_secret"],
                    seen_at=row["seen_at"],
                    missed_at=row["missed_at"],
                    refused=row["refused"],
                ),
                shown=row["webhook_state"],
            )
            for row in rows
        ]

    async def note_refused(self, taken: Collection[int], refused: Mapping[int, int]) -> list[int]:
        """Counts refused webhooks; what came before a webhook that was taken counts no more."""
        with mapped_errors():
            rows = await self._pool.fetch(
                "SELECT session FROM gateway.note_refused_webhooks_v1($1, $2, $3) AS session",
                list(taken), list(refused), list(refused.values()),
            )  # fmt: skip
        return [row["session"] for row in rows]

    async def show_webhook(self, session_id: int, state: WebhookState, note: str) -> None:
        """Stores the webhook's state and its reason, and writes them into the audit log."""
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "INSERT INTO gateway.session_state AS st (wasender_session_id, webhook_state, webhook_note)"
                    " VALUES ($1, $2, $3)"
                    " ON CONFLICT (wasender_session_id) DO UPDATE SET webhook_state = $2, webhook_note = $3",
                    session_id,
                    state,
                    note,
                )
                await connection.execute("SELECT gateway.touch_sessions_v1(ARRAY[$1::bigint])", session_id)

    async def former_urls(self, now: str) -> list[str]:
        """Addresses this gateway had before the one of now, which is noted."""
        with mapped_errors():
            former: list[str] = await self._pool.fetchval(_NOTE_URL, now)
        return former

    async def note_url(self, now: str) -> None:
        """Notes that webhooks may be registered under this address."""
        await self.former_urls(now)

    async def forget_former_urls(self, now: str) -> None:
        """Forgets all addresses but the one of now."""
        with mapped_errors():
            await self._pool.execute(_FORGET_URLS, now)

    async def secrets(self, session_id: int) -> SessionSecrets | None:
        """API key and webhook secret as they are stored; None for an unknown session."""
        return await self._sessions.secrets(session_id)

    async def record_status(self, session_id: int, status: str, source: StatusSource, as_of: float) -> Heard:
        """Stores a status unless a newer one is known; `as_of` is when it was asked for, unix seconds."""
        return await self._sessions.record_status(session_id, status, source, as_of)

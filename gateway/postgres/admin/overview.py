"""The cluster as Postgres knows it: what waits, what has failed, which gateways run, what is wrong with numbers."""

from typing import Any

import asyncpg

from gateway.postgres.connection.pool import mapped_errors
from gateway.services.admin.alerts import Alert
from gateway.services.admin.overview import GatewayRow, SessionHealth

_GATEWAYS = """
SELECT g.id::text AS id, g.host, g.version, g.started_at, g.seen_at, g.facts,
    extract(epoch FROM clock_timestamp() - g.seen_at)::float8 AS silent_s,
    (SELECT count(*) FROM pg_locks AS l WHERE l.locktype = 'advisory' AND l.granted AND l.pid = g.backend_pid) AS leases
FROM gateway.gateways AS g
ORDER BY g.started_at
"""

_SESSIONS = """
SELECT s.wasender_session_id::bigint AS id, s.name, lower(coalesce(s.status, '')) AS status, st.webhook_state,
    st.webhook_note, st.webhook_seen_at, coalesce(st.webhooks_refused, 0) AS webhooks_refused,
    coalesce((q.shown ->> 'queued')::int, 0) AS queued, q.shown ->> 'reason' AS paused
FROM public.whatsapp_sessions AS s
LEFT JOIN gateway.session_state AS st ON st.wasender_session_id = s.wasender_session_id
LEFT JOIN gateway.send_queues AS q ON q.session = s.wasender_session_id
WHERE lower(coalesce(s.status, '')) <> 'gone'
ORDER BY coalesce(st.webhook_state, 'ok') = 'ok', s.name
LIMIT $1
"""

_ALERTS = """
SELECT id, kind, wasender_session_id AS session_id, note, opened_at, ended_at
FROM gateway.alerts WHERE ended_at IS NULL ORDER BY opened_at DESC LIMIT 200
"""

_LOST_MEDIA = """
SELECT coalesce(reason, error, 'unknown') AS reason, count(*) AS files
FROM gateway.media WHERE state = 'lost' GROUP BY 1 ORDER BY 2 DESC LIMIT 20
"""


class OverviewTable:
    """Reads what operators look at. Everything raises StoreUnavailable."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def counts(self) -> dict[str, Any]:
        """What `gateway.overview_v1` says."""
        with mapped_errors():
            found: dict[str, Any] = await self._pool.fetchval("SELECT gateway.overview_v1()")
        return found

    async def media_totals(self) -> dict[str, Any]:
        """What `gateway.media_totals_v1` says; it reads whole tables."""
        with mapped_errors():
            found: dict[str, Any] = await self._pool.fetchval("SELECT gateway.media_totals_v1()")
        return found

    async def lost_media(self) -> list[dict[str, Any]]:
        """Files that cannot be had, counted by reason."""
        with mapped_errors():
            rows = await self._pool.fetch(_LOST_MEDIA)
        return [dict(row) for row in rows]

    async def gateways(self) -> list[GatewayRow]:
        """Every gateway that runs, and those that ended without a word a moment ago."""
        with mapped_errors():
            rows = await self._pool.fetch(_GATEWAYS)
        return [GatewayRow(**row) for row in rows]

    async def sessions(self, limit: int) -> list[SessionHealth]:
        """Sessions with their webhooks' health, those in trouble first."""
        with mapped_errors():
            rows = await self._pool.fetch(_SESSIONS, limit)
        return [SessionHealth(**row) for row in rows]

    async def judge_alerts(self) -> list[Alert]:
        """Opens and ends alerts as the numbers stand; those that changed."""
        with mapped_errors():
            rows = await self._pool.fetch(
                "SELECT id, kind, wasender_session_id AS session_id, note, opened_at, ended_at"
                " FROM gateway.judge_alerts_v1()"
            )
        return [Alert(**row) for row in rows]

    async def open_alerts(self) -> list[Alert]:
        """Alerts that are not over, the newest first."""
        with mapped_errors():
            rows = await self._pool.fetch(_ALERTS)
        return [Alert(**row) for row in rows]

    async def probe(self, gateway_id: str, number: int) -> None:
        """Commits one event of the latency probe."""
        with mapped_errors():
            await self._pool.execute("SELECT gateway.probe_v1($1::text::uuid, $2)", gateway_id, number)

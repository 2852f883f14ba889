"""Sessions, their secrets and their log, in the shop's own tables.

The tables may be the shop's: its casing of statuses, its naive timestamps (`::timestamptz` reads and writes them
in the connection's time zone, GATEWAY_TIMEZONE) and its rows are left as they are.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from gateway.domain.session import (
    Actor,
    Session,
    SessionId,
    SessionSecrets,
    StatusSource,
    UpstreamSession,
    normalise_status,
)
from gateway.postgres.attempts import attempt_of
from gateway.postgres.pool import mapped_errors
from gateway.postgres.search import like, number_part
from gateway.postgres.statuses import mark_checked, same_statuses, write_status
from gateway.postgres.vault import Vault
from gateway.services.sessions import SessionQuery
from gateway.services.states import StateRow

Pool = asyncpg.Pool
Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_SESSION = """
    s.wasender_session_id::bigint AS session_id, s.name, s.phone_number, s.status, s.account_protection,
    s.log_messages, s.webhook_url, s.webhook_enabled, s.webhook_events, s.user_info,
    s.last_connected_at::timestamptz AS last_connected_at, s.created_at::timestamptz AS created_at,
    s.updated_at::timestamptz AS updated_at, st.checked_at, st.source, coalesce(st.version, 0) AS version,
    st.webhook_state, st.webhook_note
"""

_SELECT = f"""
SELECT {_SESSION}
FROM public.whatsapp_sessions s
LEFT JOIN gateway.session_state st ON st.wasender_session_id = s.wasender_session_id
"""

# One snapshot of the row, its version and its newest attempt, for every session asked for.
_STATES = f"""
SELECT ids.session_id AS asked, s.id IS NOT NULL AS exists, {_SESSION}, to_jsonb(a) AS attempt
FROM unnest($1::bigint[]) AS ids(session_id)
LEFT JOIN public.whatsapp_sessions s ON s.wasender_session_id = ids.session_id
LEFT JOIN gateway.session_state st ON st.wasender_session_id = ids.session_id
LEFT JOIN LATERAL (
    SELECT * FROM gateway.whatsapp_link_attempts a
    WHERE a.wasender_session_id = ids.session_id
    ORDER BY a.id DESC
    LIMIT 1
) a ON true
"""

_SORTS = {
    "name": "lower(s.name)",
    "created_at": "s.created_at",
    "updated_at": "s.updated_at",
    "status": "s.status",
    "phone_number": "s.phone_number",
    "last_connected_at": "s.last_connected_at",
    "id": "s.wasender_session_id",
}

# Columns of WasenderAPI's session object that the shop's table has, under the same names.
_MUTABLE = (
    "name", "phone_number", "account_protection", "log_messages", "webhook_url", "webhook_enabled",
    "webhook_events", "api_key", "webhook_secret",
)  # fmt: skip


class SessionTable:
    def __init__(self, pool: Pool, vault: Vault) -> None:
        self._pool = pool
        self._vault = vault

    # ------------------------------------------------------------------------------------------ reading

    async def get_session(self, session_id: int) -> Session | None:
        with mapped_errors():
            row = await self._pool.fetchrow(_SELECT + "WHERE s.wasender_session_id = $1::bigint", session_id)
        return session_of(row) if row else None

    async def known_ids(self) -> set[int]:
        with mapped_errors():
            rows = await self._pool.fetch(
                "SELECT wasender_session_id::bigint AS id FROM public.whatsapp_sessions"
            )
        return {row["id"] for row in rows}

    async def is_remembered(self, session_id: int) -> bool:
        # The state's row stays when the session's row is deleted.
        with mapped_errors():
            found: bool = await self._pool.fetchval(
                "SELECT EXISTS (SELECT FROM gateway.session_state WHERE wasender_session_id = $1)"
                " OR EXISTS (SELECT FROM public.whatsapp_sessions WHERE wasender_session_id = $1::bigint)",
                session_id,
            )
        return found

    async def list_sessions(self, query: SessionQuery) -> tuple[list[Session], bool]:
        digits = number_part(query.search)
        # Column names come from the table above, never from outside.
        order = ", ".join(
            f"{_SORTS[name]} {'DESC' if down else 'ASC'} NULLS LAST" for name, down in query.sort
        )
        sql = f"""{_SELECT}
            WHERE ($1::bigint[] IS NULL OR s.wasender_session_id = ANY($1))
              AND ($2::text[] IS NULL OR lower(coalesce(s.status, '')) = ANY($2))
              AND ($3::text IS NULL
                   OR s.name ILIKE '%' || $3 || '%'
                   OR ($4 <> '' AND regexp_replace(s.phone_number, '\\D', '', 'g') LIKE '%' || $4 || '%'))
              AND ($5 OR lower(coalesce(s.status, '')) <> 'gone')
            ORDER BY {order}, s.wasender_session_id
            LIMIT $6 OFFSET $7"""
        only = None if query.only is None else sorted(query.only)
        status = None if query.status is None else same_statuses(query.status)
        search = like(query.search) if query.search else None
        is_gone_wanted = query.include_gone or query.status == "gone"
        with mapped_errors():
            rows = await self._pool.fetch(
                sql, only, status, search, digits, is_gone_wanted, query.limit + 1, query.offset
            )
        return [session_of(row) for row in rows[: query.limit]], len(rows) > query.limit

    async def read_states(self, session_ids: Sequence[int] | None) -> list[StateRow]:
        with mapped_errors():
            wanted = sorted(await self.known_ids()) if session_ids is None else list(session_ids)
            rows = await self._pool.fetch(_STATES, wanted)
        return [
            StateRow(
                session_id=row["asked"],
                version=row["version"],
                session=session_of(row) if row["exists"] else None,
                attempt=attempt_of(row["attempt"]) if row["attempt"] else None,
            )
            for row in rows
        ]

    async def secrets(self, session_id: int) -> SessionSecrets | None:
        found = await self.all_secrets(session_id)
        return found[0] if found else None

    async def all_secrets(self, session_id: int | None = None) -> list[SessionSecrets]:
        """Key and webhook secret of one session, or of all."""
        with mapped_errors():
            rows = await self._pool.fetch(
                """
                SELECT wasender_session_id::bigint AS id, api_key, webhook_secret
                FROM public.whatsapp_sessions
                WHERE $1::bigint IS NULL OR wasender_session_id = $1::bigint
                """,
                session_id,
            )
        return [
            SessionSecrets(
                SessionId(row["id"]),
                self._vault.open(row["api_key"]),
                self._vault.open(row["webhook_secret"]),
            )
            for row in rows
        ]

    # ------------------------------------------------------------------------------------------ writing

    async def save_session(self, upstream: UpstreamSession, source: StatusSource) -> tuple[Session, str]:
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                before = await connection.fetchrow(
                    "SELECT * FROM public.whatsapp_sessions WHERE wasender_session_id = $1::bigint FOR UPDATE",
                    upstream.id,
                )
                if before is None:
                    word = await self._insert(connection, upstream)
                else:
                    word = await self._update(connection, upstream, before)
                await mark_checked(connection, [upstream.id], source)
                row = await connection.fetchrow(
                    _SELECT + "WHERE s.wasender_session_id = $1::bigint", upstream.id
                )
        assert row is not None
        return session_of(row), word

    async def _insert(self, connection: Connection, upstream: UpstreamSession) -> str:
        is_new = await connection.fetchval(
            """
            INSERT INTO public.whatsapp_sessions (
                wasender_session_id, name, phone_number, status, account_protection, log_messages,
                webhook_url, webhook_enabled, webhook_events, api_key, webhook_secret, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce($12::timestamptz, now()), now())
            ON CONFLICT (wasender_session_id) DO NOTHING
            RETURNING true
            """,
            upstream.id,
            upstream.name or f"Session {upstream.id}",
            upstream.phone_number or "",
            normalise_status(upstream.status),
            upstream.account_protection,
            upstream.log_messages,
            upstream.webhook_url,
            upstream.webhook_enabled,
            upstream.webhook_events,
            self._vault.seal(upstream.api_key),
            self._vault.seal(upstream.webhook_secret),
            upstream.created_at,
        )
        return "created" if is_new else "unchanged"

    async def _update(self, connection: Connection, upstream: UpstreamSession, before: asyncpg.Record) -> str:
        """Writes the columns that differ, and no others: foreign rows keep what says the same in other words."""
        changes: dict[str, Any] = {}
        for column in _MUTABLE:
            value, old = getattr(upstream, column), before[column]
            is_secret = column in ("api_key", "webhook_secret")
            if value is not None and value != (self._vault.open(old) if is_secret else old):
                changes[column] = self._vault.seal(value) if is_secret else value
        if upstream.status is not None and normalise_status(before["status"]) != normalise_status(
            upstream.status
        ):
            changes["status"] = normalise_status(upstream.status)
        if not changes:
            return "unchanged"
        # Column names come from the tuple above, never from outside.
        assignments = ", ".join(f"{column} = ${number}" for number, column in enumerate(changes, start=2))
        await connection.execute(
            f"UPDATE public.whatsapp_sessions SET {assignments} WHERE wasender_session_id = $1::bigint",
            upstream.id,
            *changes.values(),
        )
        return "updated"

    async def record_status(self, session_id: int, status: str, source: StatusSource) -> None:
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                await write_status(connection, session_id, status, source)

    async def record_connected(
        self, session_id: int, api_key: str | None, user_info: dict[str, Any] | None
    ) -> None:
        with mapped_errors():
            await self._pool.execute(
                """
                UPDATE public.whatsapp_sessions
                SET last_connected_at = now(),
                    api_key = coalesce($2, api_key),
                    user_info = coalesce($3, user_info)
                WHERE wasender_session_id = $1::bigint
                """,
                session_id,
                self._vault.seal(api_key),
                user_info,
            )

    async def record_key(self, session_id: int, api_key: str) -> None:
        with mapped_errors():
            await self._pool.execute(
                "UPDATE public.whatsapp_sessions SET api_key = $2 WHERE wasender_session_id = $1::bigint",
                session_id,
                self._vault.seal(api_key),
            )

    async def delete_session(self, session_id: int, actor: Actor) -> None:
        """The row goes and its logs with it; its messages stay, and one log row says who did it."""
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(
                    "DELETE FROM public.whatsapp_sessions WHERE wasender_session_id = $1::bigint"
                    " RETURNING name, phone_number",
                    session_id,
                )
                if row is None:
                    return
                metadata = {
                    "session_id": session_id,
                    "name": row["name"],
                    "phone_number": row["phone_number"],
                    "actor": actor.name,
                    "sub": actor.sub,
                }
                await connection.execute(
                    "INSERT INTO public.whatsapp_session_logs"
                    " (session_id, event_type, message, metadata, created_at, written_by)"
                    " VALUES (NULL, 'session_deleted', $1, $2, now(), 'gateway')",
                    f"{actor.name} deleted the session {row['name']}.",
                    metadata,
                )


def session_of(row: asyncpg.Record) -> Session:
    return Session(
        id=SessionId(row["session_id"]),
        name=row["name"],
        phone_number=row["phone_number"],
        status=normalise_status(row["status"]),
        account_protection=row["account_protection"],
        log_messages=row["log_messages"],
        webhook_url=row["webhook_url"],
        webhook_enabled=row["webhook_enabled"],
        webhook_events=events_of(row["webhook_events"]),
        user_info=row["user_info"] if isinstance(row["user_info"], dict) else None,
        last_connected_at=row["last_connected_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        checked_at=row["checked_at"],
        source=row["source"],
        version=row["version"],
        webhook_state=row["webhook_state"],
        webhook_note=row["webhook_note"],
    )


def events_of(value: object) -> list[str] | None:
    """A list of event names; some writers store it as a JSON string inside the JSON column."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return [str(value)]
    return [str(item) for item in value] if isinstance(value, list) else None

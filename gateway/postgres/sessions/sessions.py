"""Sessions and their secrets, in the shop's own tables.

The tables may be the shop's: its casing of statuses, its naive timestamps and its rows are left as they are. Every
write that comes from upstream says which moment it holds for (unix seconds), and yields to what is newer.
"""

from collections.abc import Callable, Sequence
from typing import Any

import asyncpg

from gateway.domain.session import (
    Actor,
    Heard,
    Session,
    SessionId,
    SessionSecrets,
    StatusSource,
    UpstreamSession,
    normalise_status,
)
from gateway.postgres.connection.clock import DatabaseClock
from gateway.postgres.connection.driver import Connection, Pool
from gateway.postgres.connection.pool import borrowed, mapped_errors
from gateway.postgres.sessions.audit_log import write_row
from gateway.postgres.sessions.link_attempts import attempt_of
from gateway.postgres.sessions.lists import list_sessions
from gateway.postgres.sessions.rows import SELECT_SESSION, SESSION, session_of
from gateway.postgres.sessions.statuses import Said, write_statuses
from gateway.postgres.sessions.vault import Vault
from gateway.services.live.state_values import StateRow
from gateway.services.sessions.audit_log import AuditNote
from gateway.services.sessions.cache import SessionPage, SessionQuery

_IDS = "SELECT wasender_session_id::bigint AS id FROM public.whatsapp_sessions"

_SECRETS = """
SELECT wasender_session_id::bigint AS id, api_key, webhook_secret
FROM public.whatsapp_sessions
WHERE $1::bigint[] IS NULL OR wasender_session_id = ANY($1::bigint[])
"""

# One snapshot of the row, its version and its newest attempt, for every session asked for.
_STATES = f"""
SELECT ids.session_id AS asked, s.id IS NOT NULL AS exists, {SESSION}, to_jsonb(a.*) AS attempt,
       s.xmin::text::bigint AS row_version, q.shown AS sending
FROM unnest($1::bigint[]) AS ids(session_id)
LEFT JOIN gateway.send_queues q ON q.session = ids.session_id
LEFT JOIN public.whatsapp_sessions s ON s.wasender_session_id = ids.session_id
LEFT JOIN gateway.session_state st ON st.wasender_session_id = ids.session_id
LEFT JOIN LATERAL (
    SELECT a.* FROM gateway.whatsapp_link_attempts a
    WHERE a.wasender_session_id = ids.session_id
    ORDER BY a.id DESC
    LIMIT 1
) a ON true
"""

# Columns of WasenderAPI's session object that the shop's table has, under the same names.
_MUTABLE = (
    "name", "phone_number", "account_protection", "log_messages", "webhook_url", "webhook_enabled",
    "webhook_events", "api_key", "webhook_secret",
)  # fmt: skip


_LOCK = """
SELECT s.name, s.phone_number, s.account_protection, s.log_messages, s.webhook_url, s.webhook_enabled,
    s.webhook_events, s.api_key, s.webhook_secret
FROM public.whatsapp_sessions s WHERE s.wasender_session_id = $1::bigint FOR UPDATE
"""

# A statement of its own, after the lock: one that waits for the lock still sees the state from before the wait.
_IS_OVERTAKEN = """
SELECT EXISTS (
    SELECT FROM gateway.session_state WHERE wasender_session_id = $1 AND saved_at > $2::timestamptz)
"""

_SAVED = """
INSERT INTO gateway.session_state AS st (wasender_session_id, saved_at) VALUES ($1, clock_timestamp())
ON CONFLICT (wasender_session_id) DO UPDATE SET saved_at = clock_timestamp()
"""

# A send was told that there is no such session, and there is: its sender goes on.
_WAKE_GONE = """
SELECT gateway.wake_sender_v1(q.session) FROM gateway.send_queues AS q
WHERE q.session = $1 AND q.queue ->> 'reason' = 'gone'
"""


class SessionTable:
    """Stores sessions and their secrets, newest word first. Everything raises StoreUnavailable."""

    def __init__(
        self,
        pool: Pool,
        vault: Vault,
        clock: DatabaseClock | None = None,
        on_keys: Callable[[Sequence[int]], None] = lambda session_ids: None,
    ) -> None:
        """`on_keys` is called with sessions whose keys this gateway has changed, once that is committed."""
        self._pool = pool
        self._clock = clock or DatabaseClock()
        self._on_keys = on_keys
        self._vault = vault

    # ------------------------------------------------------------------------------------------ reading

    async def get_session(self, session_id: int) -> Session | None:
        """The session as it is stored, or None."""
        with mapped_errors():
            row = await self._pool.fetchrow(
                SELECT_SESSION + "WHERE s.wasender_session_id = $1::bigint", session_id
            )
        return session_of(row) if row else None

    async def known_ids(self) -> set[int]:
        """Numbers of all stored sessions."""
        with mapped_errors():
            async with borrowed(self._pool) as connection:
                rows = await connection.fetch(_IDS)
        return {row["id"] for row in rows}

    async def is_remembered(self, session_id: int) -> bool:
        """Whether the session is stored, or was before it was deleted."""
        # The state's row stays when the session's row is deleted.
        with mapped_errors():
            found: bool = await self._pool.fetchval(
                "SELECT EXISTS (SELECT FROM gateway.session_state WHERE wasender_session_id = $1)"
                " OR EXISTS (SELECT FROM public.whatsapp_sessions WHERE wasender_session_id = $1::bigint)",
                session_id,
            )
        return found

    async def list_sessions(self, query: SessionQuery) -> SessionPage:
        """One page of the sessions that the query names."""
        return await list_sessions(self._pool, query)

    async def read_states(self, session_ids: Sequence[int] | None) -> list[StateRow]:
        """The rows of these sessions, deleted ones included, or of all that exist."""
        with mapped_errors():
            wanted = sorted(await self.known_ids()) if session_ids is None else list(session_ids)
            async with borrowed(self._pool) as connection:
                rows = await connection.fetch(_STATES, wanted)
        return [
            StateRow(
                session_id=row["asked"],
                version=row["version"],
                session=session_of(row) if row["exists"] else None,
                attempt=attempt_of(row["attempt"]) if row["attempt"] else None,
                row_version=row["row_version"],
                sending=row["sending"],
            )
            for row in rows
        ]

    async def refused_webhooks(self, session_id: int) -> int:
        """Webhooks of the session that were refused for their secret since one was taken. Raises StoreUnavailable."""
        with mapped_errors():
            found: int | None = await self._pool.fetchval(
                "SELECT webhooks_refused FROM gateway.session_state WHERE wasender_session_id = $1",
                session_id,
            )
        return found or 0

    async def secrets(self, session_id: int) -> SessionSecrets | None:
        """API key and webhook secret, opened; None for an unknown session."""
        found = await self.all_secrets([session_id])
        return found[0] if found else None

    async def all_secrets(self, session_ids: Sequence[int] | None = None) -> list[SessionSecrets]:
        """Key and webhook secret of these sessions, or of all."""
        with mapped_errors():
            async with borrowed(self._pool) as connection:
                rows = await connection.fetch(_SECRETS, session_ids)
        return [
            SessionSecrets(
                SessionId(row["id"]),
                self._vault.open(row["api_key"]),
                self._vault.open(row["webhook_secret"]),
            )
            for row in rows
        ]

    # ------------------------------------------------------------------------------------------ writing

    async def save_session(
        self, upstream: UpstreamSession, source: StatusSource, as_of: float
    ) -> tuple[Session, str]:
        """Stores a session as upstream had it at `as_of`; the row now, and what became of it in a word."""
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                word = await self._save(connection, upstream, source, as_of)
                row = await connection.fetchrow(
                    SELECT_SESSION + "WHERE s.wasender_session_id = $1::bigint", upstream.id
                )
        if word not in ("unchanged", "overtaken"):
            self._on_keys([int(upstream.id)])
        assert row is not None
        return session_of(row), word

    async def _save(
        self, connection: Connection, upstream: UpstreamSession, source: StatusSource, as_of: float
    ) -> str:
        session_id, moment = int(upstream.id), await self._clock.when(connection, as_of)
        before = await connection.fetchrow(_LOCK, session_id)
        if before is None:
            word = await self._insert(connection, upstream)
        elif await connection.fetchval(_IS_OVERTAKEN, session_id, moment):
            word = "overtaken"
        else:
            word = await self._update(connection, upstream, before)
        if word != "overtaken":
            await connection.execute(_SAVED, session_id)
            await connection.execute(_WAKE_GONE, session_id)
        if upstream.status is not None:
            said = Said(session_id, upstream.status, moment)
            heard = await write_statuses(connection, [said], source)
            if heard[session_id].is_changed and word == "unchanged":
                word = "updated"
        return word

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

    async def record_status(
        self,
        session_id: int,
        status: str,
        source: StatusSource,
        as_of: float,
        note: AuditNote | None = None,
        *,
        is_doubtful: bool = False,
    ) -> Heard:
        """Stores a status unless a newer one is known, with `note` in the audit log if there is one."""
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                moment = await self._clock.when(connection, as_of)
                said = Said(session_id, status, moment, is_doubtful=is_doubtful)
                heard = await write_statuses(connection, [said], source, is_told=note is None)
                if note is not None:
                    await write_row(connection, session_id, note)
        return heard[session_id]

    async def status(self, session_id: int) -> str | None:
        """The status as it is stored; None for a session that is not here."""
        with mapped_errors():
            word: str | None = await self._pool.fetchval(
                "SELECT coalesce(status, '') FROM public.whatsapp_sessions WHERE wasender_session_id = $1::bigint",
                session_id,
            )
        return None if word is None else normalise_status(word)

    async def record_connected(self, session_id: int, user_info: dict[str, Any] | None) -> None:
        """Notes that the session is linked now, and to which WhatsApp user if that is known."""
        with mapped_errors():
            await self._pool.execute(
                """
                UPDATE public.whatsapp_sessions
                SET last_connected_at = now(), user_info = coalesce($2, user_info)
                WHERE wasender_session_id = $1::bigint
                """,
                session_id,
                user_info,
            )

    async def record_key(self, session_id: int, api_key: str, as_of: float) -> bool:
        """Stores a new API key unless a newer word of upstream's is stored; whether it was."""
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                moment = await self._clock.when(connection, as_of)
                before = await connection.fetchrow(_LOCK, session_id)
                if before is None or await connection.fetchval(_IS_OVERTAKEN, session_id, moment):
                    return False
                if self._vault.open(before["api_key"]) == api_key:
                    return True
                await connection.execute(
                    "UPDATE public.whatsapp_sessions SET api_key = $2 WHERE wasender_session_id = $1::bigint",
                    session_id,
                    self._vault.seal(api_key),
                )
                await connection.execute(_SAVED, session_id)
        self._on_keys([session_id])
        return True

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
                await connection.execute("SELECT gateway.cancel_queue_v1($1)", session_id)
                await connection.execute(
                    "INSERT INTO public.whatsapp_session_logs"
                    " (session_id, event_type, message, metadata, created_at, written_by)"
                    " VALUES (NULL, 'session_deleted', $1, $2, now(), 'gateway')",
                    f"{actor.name} deleted the session {row['name']}.",
                    metadata,
                )
        self._on_keys([session_id])

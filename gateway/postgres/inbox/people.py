"""What is done about people in Postgres: moving their messages, and what has still to be asked upstream."""

from collections.abc import Sequence

import asyncpg

from gateway.domain.people import ContactFact
from gateway.domain.session import SessionSecrets
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.sessions.sessions import SessionTable
from gateway.postgres.webhooks.people import people_columns
from gateway.postgres.webhooks.statements import TELL_PEOPLE
from gateway.services.webhooks.people import Lookup

_CLAIM_LOOKUPS = """
UPDATE gateway.lid_lookups AS l
SET due_at = now() + least(interval '10 minutes' * power(6, l.tries), interval '7 days'), tries = l.tries + 1
WHERE l.lid IN (
    SELECT due.lid
    FROM gateway.lid_lookups AS due
    JOIN public.whatsapp_sessions AS s ON s.wasender_session_id = due.session AND lower(s.status) = 'connected'
    WHERE due.due_at <= now()
    ORDER BY due.due_at
    LIMIT $1
    FOR UPDATE OF due SKIP LOCKED)
RETURNING l.lid, l.session
"""

_DEVICE = "coalesce(to_jsonb(s.*) -> 'user_info' ->> 'id', '-')"

_CLAIM_ADDRESS_BOOK = f"""
UPDATE gateway.session_state AS st
SET contacts_of = {_DEVICE}
FROM public.whatsapp_sessions AS s
WHERE st.wasender_session_id = (
        SELECT due.wasender_session_id
        FROM gateway.session_state AS due
        JOIN public.whatsapp_sessions AS s ON s.wasender_session_id = due.wasender_session_id
        WHERE lower(s.status) = 'connected' AND due.contacts_of IS DISTINCT FROM {_DEVICE}
        LIMIT 1
        FOR UPDATE OF due SKIP LOCKED)
    AND s.wasender_session_id = st.wasender_session_id
RETURNING st.wasender_session_id
"""


class PeopleTable:
    """`services.webhooks.people.PeopleStore` in Postgres."""

    def __init__(self, pool: asyncpg.Pool, sessions: SessionTable) -> None:
        self._pool = pool
        self._sessions = sessions

    async def move_some(self, most: int) -> int:
        with mapped_errors():
            moved: int = await self._pool.fetchval("SELECT gateway.step_moves_v1($1)", most)
        return moved

    async def find_moves(self) -> None:
        with mapped_errors():
            await self._pool.execute("SELECT gateway.find_moves_v1()")

    async def claim_lookups(self, most: int) -> list[Lookup]:
        with mapped_errors():
            rows = await self._pool.fetch(_CLAIM_LOOKUPS, most)
        return [Lookup(row["lid"], row["session"]) for row in rows]

    async def put_off_lookup(self, lid: str, seconds: float) -> None:
        with mapped_errors():
            await self._pool.execute(
                "UPDATE gateway.lid_lookups SET due_at = now() + make_interval(secs => $2) WHERE lid = $1",
                lid,
                seconds,
            )

    async def claim_address_book(self) -> int | None:
        with mapped_errors():
            session_id: int | None = await self._pool.fetchval(_CLAIM_ADDRESS_BOOK)
        return session_id

    async def release_address_book(self, session_id: int) -> None:
        with mapped_errors():
            await self._pool.execute(
                "UPDATE gateway.session_state SET contacts_of = NULL WHERE wasender_session_id = $1",
                session_id,
            )

    async def tell(self, session_id: int, facts: Sequence[ContactFact]) -> None:
        if facts:
            with mapped_errors():
                await self._pool.execute(TELL_PEOPLE, *people_columns([(session_id, facts)]))

    async def secrets(self, session_id: int) -> SessionSecrets | None:
        return await self._sessions.secrets(session_id)

"""What is done about people in Postgres: moving their messages, and what has still to be asked upstream."""

from collections.abc import Sequence

import asyncpg

from gateway.domain.contacts import ContactFact
from gateway.domain.session import SessionSecrets
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.contacts.columns import contact_columns
from gateway.postgres.sessions.sessions import SessionTable
from gateway.postgres.webhooks.statements import TELL_PEOPLE
from gateway.services.contacts.service import AddressBook, Lookup

_CLAIM_LOOKUPS = """
UPDATE gateway.lid_lookups AS l
SET due_at = now() + least(interval '10 minutes' * power(6, least(l.tries, 5)), interval '7 days'), tries = l.tries + 1
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

# What a gateway that stops in the middle leaves is due again, as is what could not be read: after 10 minutes, an hour,
# then every 6 hours.
_CLAIM_ADDRESS_BOOK = """
WITH due AS MATERIALIZED (
    SELECT st.wasender_session_id, linked.device
    FROM gateway.session_state AS st
    JOIN public.whatsapp_sessions AS s ON s.wasender_session_id = st.wasender_session_id
    CROSS JOIN LATERAL (
        SELECT coalesce(
            gateway.record_of_v1(s.*, 'public.whatsapp_sessions'::regclass) -> 'user_info' ->> 'id', '-') AS device
    ) AS linked
    WHERE lower(s.status) = 'connected' AND st.contacts_of IS DISTINCT FROM linked.device
        AND coalesce(st.contacts_due_at, '-infinity') <= now()
    ORDER BY st.contacts_due_at NULLS FIRST, st.wasender_session_id
    LIMIT 1
    FOR UPDATE OF st SKIP LOCKED
)
UPDATE gateway.session_state AS st
SET contacts_due_at = now() + interval '10 minutes' * least(power(6, least(st.contacts_tries, 5)), 36),
    contacts_tries = st.contacts_tries + 1
FROM due
WHERE st.wasender_session_id = due.wasender_session_id
RETURNING st.wasender_session_id AS session, due.device
"""

_END_ADDRESS_BOOK = """
UPDATE gateway.session_state
SET contacts_of = $2, contacts_due_at = NULL, contacts_tries = 0
WHERE wasender_session_id = $1
"""


class ContactTable:
    """`services.contacts.service.ContactStore` in Postgres."""

    def __init__(self, pool: asyncpg.Pool, sessions: SessionTable) -> None:
        self._pool = pool
        self._sessions = sessions

    async def move_some(self, most: int) -> int:
        """Moves at most so many messages to the conversations of their people; how many it moved."""
        with mapped_errors():
            moved: int = await self._pool.fetchval("SELECT gateway.step_moves_v1($1)", most)
        return moved

    async def find_moves(self) -> None:
        """Notes what stands outside the conversation of its person."""
        with mapped_errors():
            await self._pool.execute("SELECT gateway.find_moves_v1()")

    async def claim_lookups(self, most: int) -> list[Lookup]:
        """At most so many hidden addresses that this gateway has to ask for now."""
        with mapped_errors():
            rows = await self._pool.fetch(_CLAIM_LOOKUPS, most)
        return [Lookup(row["lid"], row["session"]) for row in rows]

    async def put_off_lookup(self, lid: str, seconds: float) -> None:
        """Has the address asked for again after so many seconds."""
        with mapped_errors():
            await self._pool.execute(
                "UPDATE gateway.lid_lookups SET due_at = now() + make_interval(secs => $2) WHERE lid = $1",
                lid,
                seconds,
            )

    async def claim_address_book(self) -> AddressBook | None:
        """The address book that this gateway has to read now, or None. It is due again later, until it is read."""
        with mapped_errors():
            row = await self._pool.fetchrow(_CLAIM_ADDRESS_BOOK)
        return None if row is None else AddressBook(row["session"], row["device"])

    async def end_address_book(self, book: AddressBook) -> None:
        """Notes that the address book was read to its end: it is due no more while the device is linked."""
        with mapped_errors():
            await self._pool.execute(_END_ADDRESS_BOOK, book.session_id, book.device)

    async def tell(self, session_id: int, facts: Sequence[ContactFact]) -> None:
        """Stores what the session's contacts say of people."""
        if facts:
            with mapped_errors():
                async with self._pool.acquire() as connection, connection.transaction():
                    # It holds rows that webhooks need: it gives up before they would have to.
                    await connection.execute("SET LOCAL lock_timeout = '400ms'")
                    await connection.execute(TELL_PEOPLE, *contact_columns([(session_id, facts)]))

    async def secrets(self, session_id: int) -> SessionSecrets | None:
        """API key and webhook secret as they are stored; None for an unknown session."""
        return await self._sessions.secrets(session_id)

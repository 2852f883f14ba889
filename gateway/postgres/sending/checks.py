"""`services.sending.checks.CheckStore` in Postgres: rows whose fate is open, and keys that are held."""

from datetime import UTC, datetime

import asyncpg

from gateway.domain import sending
from gateway.domain.message import DeliveryMoved, DeliveryState
from gateway.domain.sending import SendStatus
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.sending.evidence import HOLD_S, lock_chat_of, settle_chat
from gateway.postgres.sending.moves import move
from gateway.postgres.sending.rows import SEND, moment_of, send_of
from gateway.postgres.webhooks.moves import write_moves
from gateway.services.sending.checks import Check

SOONEST_S = 1.0

_NEXT = f"""
SELECT extract(epoch FROM c.due_at)::float8 AS due, c.tries, c.told, m.to_phone, m.message_text, {SEND}
FROM gateway.send_checks AS c
JOIN public.whatsapp_outgoing_messages AS m ON m.send_no = c.send_no
WHERE c.session = $1 AND m.status IN ('accepted', 'unknown') AND m.wa_key_id IS NULL
ORDER BY c.due_at
LIMIT 1
"""

# Webhooks may have settled it, or it is gone: there is nothing to ask any more.
_DONE = """
DELETE FROM gateway.send_checks AS c
WHERE c.session = $1 AND NOT EXISTS (
    SELECT FROM public.whatsapp_outgoing_messages AS m
    WHERE m.send_no = c.send_no AND m.status IN ('accepted', 'unknown') AND m.wa_key_id IS NULL)
"""

_KNOWN = """
SELECT m.msg_id FROM public.whatsapp_outgoing_messages AS m
WHERE m.wasender_session_id = $1 AND m.msg_id = ANY ($2::bigint[]) AND m.wa_key_id IS NOT NULL
"""

_HEAR = """
INSERT INTO gateway.sent_echoes AS e (session, key_id, chat, look, at, is_named, msg_id)
VALUES ($1, $2, $3, $4, $5, true, $6)
ON CONFLICT (session, key_id) DO UPDATE
SET is_named = true, msg_id = coalesce(e.msg_id, excluded.msg_id), at = least(e.at, excluded.at)
"""

_HELD = """
SELECT e.chat, extract(epoch FROM clock_timestamp() - min(e.came_at))::float8 AS age
FROM gateway.sent_echoes AS e
WHERE e.session = $1 AND e.claimed_by IS NULL AND e.message IS NOT NULL
GROUP BY e.chat
"""


class CheckTable:
    """Rows whose fate is open."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def next_check(self, session_id: int) -> Check | None:
        """The one that is due first. Raises StoreUnavailable."""
        with mapped_errors():
            async with self._pool.acquire() as connection:
                row = await connection.fetchrow(_NEXT, session_id)
                if row is None:
                    await connection.execute(_DONE, session_id)
                    return None
        return Check(
            send=send_of(row),
            to=row["to_phone"] or row["chat"],
            text=row["message_text"],
            due_at=row["due"],
            tries=row["tries"],
            told=row["told"],
        )

    async def known_numbers(self, session_id: int, msg_ids: list[int]) -> set[int]:
        """Those of upstream's numbers whose keys rows have already. Raises StoreUnavailable."""
        with mapped_errors():
            return {row["msg_id"] for row in await self._pool.fetch(_KNOWN, session_id, msg_ids)}

    async def learn(
        self, session_id: int, check: Check, msg_id: int, key_id: str, state: DeliveryState, at: float | None
    ) -> None:
        """Upstream has named this key for a send that looks like that row. Raises StoreUnavailable."""
        now = datetime.now(UTC)
        taken = moment_of(None if at is None else at + 1.0) or now
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                send = check.send
                await connection.execute(
                    _HEAR, session_id, key_id, send.chat, send.content, min(taken, now), msg_id
                )
                await settle_chat(connection, session_id, send.chat)
                moved = DeliveryMoved(key_id, state, now)
                await write_moves(connection, [(session_id, moved)], may_wait=False)

    async def fail(self, check: Check, error: str) -> None:
        """Upstream says that the accepted one failed. Raises StoreUnavailable."""
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                place = await lock_chat_of(connection, check.send.id)
                if place is None:
                    return
                after = sending.reported(check.send, SendStatus.FAILED, error=error)
                await move(connection, check.send, after)
                await settle_chat(connection, *place)

    async def postpone(self, send_id: int, due_at: float | None) -> None:
        """Ask again then, or (None) no more. Raises StoreUnavailable."""
        with mapped_errors():
            if due_at is None:
                await self._pool.execute("DELETE FROM gateway.send_checks WHERE send_no = $1", send_id)
            else:
                await self._pool.execute(
                    "UPDATE gateway.send_checks AS c SET due_at = $2, tries = c.tries + 1 WHERE c.send_no = $1",
                    send_id,
                    moment_of(due_at),
                )

    async def sweep_echoes(self, session_id: int) -> float | None:
        """Lets go held messages whose time is over; seconds until the next one, if any is held."""
        with mapped_errors():
            async with self._pool.acquire() as connection:
                held = await connection.fetch(_HELD, session_id)
                for row in held:
                    async with connection.transaction():
                        await settle_chat(connection, session_id, row["chat"])
                if held:
                    held = await connection.fetch(_HELD, session_id)
        ages = [row["age"] for row in held]
        return max(SOONEST_S, HOLD_S - max(ages)) if ages else None

"""Webhooks into rows and journal: one transaction per batch.

The wait for a row that somebody else holds ends before Postgres would look for a deadlock, so that we yield and
never the shop.
"""

import logging
import time
from collections.abc import Sequence

import asyncpg
from asyncpg import exceptions as pg

from gateway.domain.errors import RowLocked, RowRefused, TableLocked
from gateway.postgres import delivery_statements as sql
from gateway.postgres.clock import DatabaseClock
from gateway.postgres.delivery_batch import Batch, Connection
from gateway.postgres.pool import mapped_errors
from gateway.services.deliveries import Delivery, Outcome

Pool = asyncpg.Pool

logger = logging.getLogger(__name__)

SEEN_EVERY_S = 60.0
LOCK_TIMEOUT = "400ms"
"""Below deadlock_timeout (1 s): we give up before Postgres has to choose a victim."""

LOCK_TIMEOUT_ALONE = "100ms"
"""For one webhook by itself, which is tried again: it should not hold a connection while it waits."""

# Cut off in the middle, we cannot end the transaction, and its locks would keep out whoever writes the same again.
_NOT_LEFT_OPEN = "SET LOCAL idle_in_transaction_session_timeout = '3s'"

# What a trigger of the shop says with RAISE, also under a code of its own.
_RAISED_BY_TRIGGERS = (pg.PLPGSQLError, pg.UnknownPostgresError)


class DeliveryTable:
    """`services.ingest.DeliveryStore` in Postgres."""

    def __init__(self, pool: Pool, gateway_id: str, clock: DatabaseClock | None = None) -> None:
        self._pool = pool
        self._clock = clock or DatabaseClock()
        self._gateway_id = gateway_id
        self._seen_at: dict[int, float] = {}
        """When we last noted that a session's webhooks come, by our own clock."""

    async def write(self, batch: Sequence[Delivery]) -> list[Outcome]:
        with mapped_errors():
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    patience = LOCK_TIMEOUT if len(batch) > 1 else LOCK_TIMEOUT_ALONE
                    await connection.execute(f"SET LOCAL lock_timeout = '{patience}'; {_NOT_LEFT_OPEN}")
                    written = Batch(connection, batch, self._clock)
                    await written.write_changes()
                    outcomes = [written.outcome_of(number) for number in range(len(batch))]
                    await self._write_journal(
                        connection, batch, outcomes, [written.reason_of(n) for n in range(len(batch))]
                    )
            except (pg.LockNotAvailableError, pg.DeadlockDetectedError) as error:
                raise _held(error) from None
            except pg.PostgresError as error:
                if isinstance(error, _RAISED_BY_TRIGGERS):
                    raise RowRefused(f"The database refuses this row: {error}") from error
                raise
            await self._note_seen({item.session_id for item in batch})
        return outcomes

    async def _note_seen(self, session_ids: set[int]) -> None:
        """Once a minute, and after the commit: nothing that is noted here may cost a webhook its answer."""
        now = time.monotonic()
        due = [item for item in session_ids if now - self._seen_at.get(item, float("-inf")) > SEEN_EVERY_S]
        if not due:
            return
        self._seen_at |= dict.fromkeys(due, now)
        try:
            await self._pool.execute(sql.SEEN, due)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            logger.warning("deliveries.not_noted error=%s", type(error).__name__)

    async def journal_failure(self, delivery: Delivery, reason: str) -> None:
        with mapped_errors():
            async with self._pool.acquire() as connection:
                await self._write_journal(connection, [delivery], ["failed"], [reason])

    async def _write_journal(
        self,
        connection: Connection,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        reasons: Sequence[str | None],
    ) -> None:
        await connection.execute(
            sql.JOURNAL,
            [item.received_at for item in batch],
            [item.session_id for item in batch],
            [item.reading.event for item in batch],
            outcomes,
            reasons,
            [item.body for item in batch],
            self._gateway_id,
        )


def _held(error: pg.PostgresError) -> RowLocked:
    # Postgres names a context where it waits for a row ("while updating tuple …"), and none where it waits for a
    # table. While its changes are numbered, a transaction holds the whole inbox.
    context = error.context or ""
    if isinstance(error, pg.LockNotAvailableError) and (not context or "number_changes" in context):
        return TableLocked("Another transaction has locked a table or an inbox that this webhook needs.")
    return RowLocked("Another transaction holds a row that this webhook needs.")

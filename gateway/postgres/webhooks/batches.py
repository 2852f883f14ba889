"""Webhooks into rows and journal: one transaction per batch.

The wait for a row that another transaction holds ends before Postgres would look for a deadlock, so that we yield and
never the shop.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import asyncpg
import orjson
from asyncpg import exceptions as pg

from gateway.domain.errors import RowLocked, RowRefused, TableLocked
from gateway.domain.message import MessageDeleted, MessageReceived
from gateway.domain.streams import OwnWrite
from gateway.postgres.connection.clock import DatabaseClock
from gateway.postgres.connection.driver import Connection, Pool
from gateway.postgres.connection.pool import CONNECT_ERRORS, mapped_errors
from gateway.postgres.erasure.erasure import TombstoneFilter
from gateway.postgres.streams import own_write_of
from gateway.postgres.webhooks import statements as sql
from gateway.postgres.webhooks.columns import received_columns
from gateway.postgres.webhooks.disguises import undisguised
from gateway.postgres.webhooks.moves import write_early_moves
from gateway.postgres.webhooks.raw import raw_columns
from gateway.postgres.webhooks.writes import (
    Batch,
    Unseal,
    amendment_of,
    each,
    forget_sealed,
    is_all_messages,
    open_sealed,
    outcome_of_nothing,
    write_amendments,
)
from gateway.services.webhooks.batch import InboundWebhook, Outcome

logger = logging.getLogger(__name__)

SEEN_EVERY_S = 60.0
SWEPT_AT_ONCE = 500
CROSSED = timedelta(), timedelta(minutes=2)
"""Age of the changes that may have crossed their message a moment ago: the youngest and the oldest."""

WAITING = timedelta(seconds=5), timedelta(days=400)
"""The same of all; the youngest are left to the process that writes their message."""

LOCK_TIMEOUT = "400ms"
"""Below deadlock_timeout (1 s): we give up before Postgres has to choose a victim."""

LOCK_TIMEOUT_ALONE = "100ms"
"""For one webhook by itself, which is tried again: it should not hold a connection while it waits."""

# Cut off in the middle, we cannot end the transaction, and its locks would keep out the next writer of the same row.
_PREPARE = """
SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', '3s', true)
"""

# What a trigger of the shop says with RAISE, also under a code of its own.
_RAISED_BY_TRIGGERS = (pg.PLPGSQLError, pg.UnknownPostgresError)


class Watch(NamedTuple):
    """Hears of writes; the process of the connection at the server tells them apart."""

    began: Callable[[int], None]
    ended: Callable[[int, OwnWrite | None], None]
    """With what the write brought back; None if it failed."""


class WebhookTable:
    """`services.webhooks.batch.WebhookStore` in Postgres."""

    def __init__(
        self,
        pool: Pool,
        gateway_id: str | None,
        clock: DatabaseClock | None = None,
        unseal: Unseal = lambda sealed, original, author, changer: None,
        tombstones: TombstoneFilter | None = None,
        watch: Watch | None = None,
    ) -> None:
        """`unseal` opens encrypted changes with the message they are about.

        `watch` hears of writes whose events may come back; None where a connection is not one process at the server.
        """
        self._tombstones = tombstones
        self._watch = watch
        self._pool = pool
        self._unseal = unseal
        self._clock = clock or DatabaseClock()
        self._gateway_id = gateway_id
        self.left_early = asyncio.Event()
        """A change was left to wait for its message, which another process may be writing right now."""
        self._seen_at: dict[int, float] = {}
        """When we last noted that a session's webhooks come, by our own clock."""

    async def write(self, batch: Sequence[InboundWebhook]) -> list[Outcome]:
        """Rows and journal of the whole batch in one transaction; the outcome of each, in order."""
        with mapped_write_errors():
            batch = await undisguised(self._pool, batch)
            unwanted = await self._unwanted(batch)
            if unwanted:
                return await self._write_others(batch, unwanted)
            async with self._pool.acquire() as connection:
                if batch and is_all_messages(batch):
                    outcomes, sealed = await self._write_at_once(connection, batch)
                else:
                    outcomes, sealed = await self._write_in_steps(connection, batch)
                if sealed:
                    await self._open_early(connection, sealed)
            await self._note_seen({item.session_id for item in batch})
        return outcomes

    async def _unwanted(self, batch: Sequence[InboundWebhook]) -> set[int]:
        return set() if self._tombstones is None else await self._tombstones.unwanted(self._pool, batch)

    async def _write_others(self, batch: Sequence[InboundWebhook], unwanted: set[int]) -> list[Outcome]:
        """What names a person who was erased since leaves no trace, in the journal neither."""
        kept = [item for place, item in enumerate(batch) if place not in unwanted]
        outcomes = iter(await self.write(kept) if kept else [])
        return ["ignored" if place in unwanted else next(outcomes) for place in range(len(batch))]

    async def _write_at_once(
        self, connection: Connection, batch: Sequence[InboundWebhook]
    ) -> tuple[list[Outcome], list[Any]]:
        """In one statement: Postgres works while we read the next webhooks, and asks nothing in between."""
        otherwise = [outcome_of_nothing(item.reading) for item in batch]
        written = await self._receive(
            connection,
            lock_timeout_of(batch),
            *received_columns(each(batch, MessageReceived)),
            *_journal_columns(batch, otherwise, [item.reading.reason for item in batch]),
            self._gateway_id,
            *(raw_columns(batch) if any(item.raw for item in batch) else ()),
        )
        stored, other = set(written["stored"]), set(written["other"])
        outcomes: list[Outcome] = [
            "stored" if number in stored else "ignored" if number in other else outcome
            for number, outcome in enumerate(otherwise)
        ]
        return outcomes, written["sealed"] or []

    async def _receive(self, connection: Connection, *arguments: object) -> asyncpg.Record:
        """Writes them; tells the watch what the stream holds of it once that is committed."""
        is_kept = len(arguments) > sql.RECEIVE_ARGUMENTS
        if self._watch is None:
            (written,) = await connection.fetch(
                sql.RECEIVE_AND_KEEP if is_kept else sql.RECEIVE_AND_JOURNAL, *arguments
            )
            return written
        writer, own = connection.get_server_pid(), None
        self._watch.began(writer)
        try:
            (written,) = await connection.fetch(
                sql.RECEIVE_TELL_AND_KEEP if is_kept else sql.RECEIVE_AND_TELL, *arguments
            )
            own = own_write_of(written)
        finally:
            self._watch.ended(writer, own)
        return written

    async def _write_in_steps(
        self, connection: Connection, batch: Sequence[InboundWebhook]
    ) -> tuple[list[Outcome], list[Any]]:
        written = self._batch(connection, batch)
        try:
            async with connection.transaction():
                await self.prepare(connection, batch)
                await written.write_changes()
                numbers = range(len(batch))
                outcomes = [written.outcome_of(number) for number in numbers]
                reasons = [written.reason_of(number) for number in numbers]
                await self._write_journal(connection, batch, outcomes, reasons)
                await self._keep_raw(connection, batch)
        finally:
            # Also where the answer to the commit was lost: the change is there then, and the second try finds it kept.
            if written.has_left_early:
                self.left_early.set()
        return outcomes, written.sealed

    def _batch(self, connection: Connection, batch: Sequence[InboundWebhook]) -> Batch:
        return Batch(connection, batch, self._clock, lock_timeout_of(batch), self._unseal)

    async def sweep(self, *, is_recent: bool = False) -> None:
        """Applies what came while another process was writing its message, or could not be opened then.

        `is_recent`: only what came within the last two minutes."""
        youngest, oldest = CROSSED if is_recent else WAITING
        with mapped_write_errors():
            async with self._pool.acquire() as connection:
                sealed = await connection.fetchval(
                    sql.SWEEP_EARLY, LOCK_TIMEOUT_ALONE, SWEPT_AT_ONCE, youngest, oldest
                )
                if sealed:
                    await self._open_early(connection, sealed)
                async with connection.transaction():
                    await self.prepare(connection, ())
                    early = await connection.fetch(
                        sql.SWEEP_EARLY_DELIVERIES, SWEPT_AT_ONCE, youngest, oldest
                    )
                    await write_early_moves(connection, early)

    async def _open_early(self, connection: Connection, sealed: Sequence[Any]) -> None:
        """Encrypted changes that waited for messages which are committed now. What stays closed is marked already.

        They are kept until they were tried: a failure of Postgres leaves them to `sweep`.
        """
        try:
            items = await open_sealed(connection, [amendment_of(item) for item in sealed], self._unseal)
            opened = [
                item for item in items if not isinstance(item[1], MessageDeleted) and item[1].sealed is None
            ]
            if opened:
                await write_amendments(connection, LOCK_TIMEOUT_ALONE, opened)
            await forget_sealed(connection, items)
        except CONNECT_ERRORS as error:
            logger.warning("webhooks.not_opened error=%s", type(error).__name__)

    async def prepare(self, connection: Connection, batch: Sequence[InboundWebhook]) -> None:
        """Sets how long this transaction may wait for others."""
        await connection.execute(_PREPARE, lock_timeout_of(batch))

    async def write_rows(
        self, connection: Connection, batch: Sequence[InboundWebhook]
    ) -> list[tuple[Outcome, str | None]]:
        """The rows of the batch, in a transaction of the caller's: outcome and reason of each."""
        written = self._batch(connection, batch)
        await written.write_changes()
        return [(written.outcome_of(number), written.reason_of(number)) for number in range(len(batch))]

    async def _note_seen(self, session_ids: set[int]) -> None:
        """Once a minute, and after the commit: nothing that is noted here may cost a webhook its answer."""
        now = time.monotonic()
        due = [item for item in session_ids if now - self._seen_at.get(item, float("-inf")) > SEEN_EVERY_S]
        if not due:
            return
        self._seen_at |= dict.fromkeys(due, now)
        try:
            await self._pool.execute(sql.SEEN, due)
        except CONNECT_ERRORS as error:
            logger.warning("webhooks.not_noted error=%s", type(error).__name__)

    async def journal_failure(self, inbound: InboundWebhook, reason: str) -> None:
        """Writes a webhook that could not be processed into the journal, with the reason."""
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                await self._write_journal(connection, [inbound], ["failed"], [reason])
                await self._keep_raw(connection, [inbound])

    async def _keep_raw(self, connection: Connection, batch: Sequence[InboundWebhook]) -> None:
        """As the last of a transaction: its place is given at commit, after those of the events."""
        if any(item.raw for item in batch):
            await connection.execute(sql.KEEP_RAW, *raw_columns(batch))

    async def _write_journal(
        self,
        connection: Connection,
        batch: Sequence[InboundWebhook],
        outcomes: Sequence[Outcome],
        reasons: Sequence[str | None],
    ) -> None:
        columns = _journal_columns(batch, outcomes, reasons)
        await connection.execute(sql.JOURNAL, *columns, self._gateway_id)


def lock_timeout_of(batch: Sequence[InboundWebhook]) -> str:
    """How long a batch waits for a row that another transaction holds, as Postgres reads it."""
    return LOCK_TIMEOUT if len(batch) > 1 else LOCK_TIMEOUT_ALONE


def _journal_columns(
    batch: Sequence[InboundWebhook], outcomes: Sequence[Outcome], reasons: Sequence[str | None]
) -> list[Sequence[Any]]:
    return [
        [item.received_at for item in batch],
        [item.session_id for item in batch],
        [item.reading.event for item in batch],
        outcomes,
        reasons,
        [
            # As text: a body that is a list would become another dimension of the array.
            orjson.dumps(item.body).decode() if is_worth_keeping(item, outcome, reason) else None
            for item, outcome, reason in zip(batch, outcomes, reasons, strict=True)
        ],
    ]


def is_worth_keeping(inbound: InboundWebhook, outcome: Outcome, reason: str | None) -> bool:
    """Whether the journal keeps the body: what became rows is in their `raw_data`, and what is never shown is noise."""
    if inbound.reading.is_noise:
        return False
    return outcome in ("failed", "unknown") or reason is not None


@contextlib.contextmanager
def mapped_write_errors() -> Iterator[None]:
    """`mapped_errors`, which also tells a lock from an outage, and a trigger's refusal from a bug."""
    with mapped_errors():
        try:
            yield
        except (pg.LockNotAvailableError, pg.DeadlockDetectedError) as error:
            raise _held(error) from None
        except pg.PostgresError as error:
            if isinstance(error, _RAISED_BY_TRIGGERS):
                raise RowRefused(f"The database refuses this row: {error}") from error
            raise


# The innermost line of a context that names a row, in whatever language: "while updating tuple (0,7) in relation …".
_NAMES_A_ROW = re.compile(r".*\(\d+,\d+\)")


def _held(error: pg.PostgresError) -> RowLocked:
    # Where it waits for a row, Postgres names it first; where it waits for a table, only the function that wants it.
    # While its changes are numbered, a transaction holds the whole inbox.
    context = error.context or ""
    if isinstance(error, pg.LockNotAvailableError) and (
        not _NAMES_A_ROW.match(context) or "number_changes" in context
    ):
        return TableLocked("Another transaction has locked a table or an inbox that this webhook needs.")
    return RowLocked("Another transaction holds a row that this webhook needs.")

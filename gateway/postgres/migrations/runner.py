"""Brings a database to the state of the files in `sql/`; the shop's tables may be in it, and in use, already.

Each file runs in a transaction and is then noted with its checksum. Locks on the shop's tables are waited for
briefly and repeatedly: a lock request that waits makes every writer behind it wait too. Files marked
`-- migrate: no transaction` hold index builds that must not block writers; they run statement by statement.

What exists before and after each file is compared: `gateway.owned_objects` is what `remove` may remove.
"""

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg

from gateway.domain.backoff import Backoff
from gateway.domain.errors import ConfigError, DatabaseAway
from gateway.postgres.connection.away import read_only_fault
from gateway.postgres.connection.pool import (
    CONNECT_ERRORS,
    CONNECT_TIMEOUT_S,
    connect_direct,
    connect_fault,
    mapped_errors,
)
from gateway.postgres.migrations import adoption
from gateway.postgres.migrations import repair as repairing
from gateway.postgres.migrations.files import Migration, read_migrations, sql_folder
from gateway.postgres.migrations.versions import check_served, read_books
from gateway.services.deadlines import Deadline

logger = logging.getLogger(__name__)

Report = Callable[[str], None]

OLDEST_SERVER = 150000
"""The tests pass on PostgreSQL 15 and 18; 14, the first with all that `sql/` uses, is past its end of life."""

TURN_KEY = 0x7761_6761_7465  # any number, but always the same
_BACKOFF = Backoff(first_s=0.3, most_s=4.5, factor=1.6)
_UNLESS = re.compile(r"^-- unless: (.+)$", re.MULTILINE)
_INDEX_NAME = re.compile(r"INDEX CONCURRENTLY IF NOT EXISTS (\w+)\s+ON (\S+)")


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a migration waits for others."""

    lock_ms: int = 1500
    """For a lock on a table, before it lets go and tries again: every writer of the table waits behind it."""

    patience_s: float = 180.0
    """For such a lock in all."""

    quiet_s: float = 5.0
    """For an index build, before the operator is told what it waits for."""

    connect_s: float = CONNECT_TIMEOUT_S
    look_s: float = 30.0
    """For each look at what the database is and has. What changes it takes as long as its tables are large."""


USUAL_WAITS = Waits()

# A database that an older gateway migrated has the table of owned objects under its old name.
_BOOKS = """
CREATE TABLE IF NOT EXISTS gateway.migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE gateway.migrations IS 'Files of sql/ that were applied to this database.';
COMMENT ON COLUMN gateway.migrations.name IS 'Name of the file.';
COMMENT ON COLUMN gateway.migrations.checksum IS 'SHA-256 of the file as it was applied.';
COMMENT ON COLUMN gateway.migrations.applied_at IS 'When it was applied.';
ALTER TABLE IF EXISTS gateway.ours RENAME TO owned_objects;
ALTER INDEX IF EXISTS gateway.ours_pkey RENAME TO owned_objects_pkey;
CREATE TABLE IF NOT EXISTS gateway.owned_objects (
    kind text NOT NULL,
    tbl text NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (kind, tbl, name)
);
"""


async def migrate(
    dsn: str,
    *,
    report: Report,
    folder: Path | None = None,
    waits: Waits = USUAL_WAITS,
    oldest_server: int = OLDEST_SERVER,
) -> list[str]:
    """Applies what is missing; returns the names of the files it applied. Safe when two run at once.

    `report` gets sentences for people. Raises ConfigError when the database cannot be reached, is too old,
    holds something we cannot adopt, needs a newer gateway, or when an applied file was edited
    since.
    """
    connection = await _connect(dsn, waits.connect_s)
    try:
        with mapped_errors():
            async with Deadline(connection, waits.look_s):
                await _check_server(connection, oldest_server)
            await _take_turn(connection, report, waits.look_s)
            return await _Run(connection, report, waits).apply(read_migrations(folder or sql_folder()))
    finally:
        await connection.close(timeout=5)


async def remove(dsn: str, *, report: Report) -> None:
    """Drops what is ours: triggers, columns and tables we made, schema gateway. Tables with rows are kept."""
    connection = await _connect(dsn)
    try:
        with mapped_errors():
            await _take_turn(connection, report, USUAL_WAITS.look_s)
            run = _Run(connection, report, USUAL_WAITS)
            async with Deadline(connection, USUAL_WAITS.look_s):
                is_there = await connection.fetchval("SELECT to_regclass('gateway.migrations') IS NOT NULL")
            if not is_there:
                report("There is nothing of the gateway in this database.")
                return
            await run.open_books()
            with _explained("gateway migrate --remove"):
                await run.patiently("remove", partial(adoption.remove_ours, connection, report))
            report("Everything of the gateway is removed.")
    finally:
        await connection.close(timeout=5)


async def begin_anew(dsn: str, *, report: Report) -> None:
    """After a restore that the database itself does not show: every client loads again, and what waited is not sent."""
    connection = await _connect(dsn)
    try:
        with mapped_errors():
            async with Deadline(connection, USUAL_WAITS.patience_s):  # as long as the queues are
                await connection.execute("SELECT gateway.declare_restored_v1()")
            report("All streams begin anew: every browser loads its inbox again.")
            report(
                "Messages that waited may have been sent since the backup: they are unknown now, and people decide."
            )
    finally:
        await connection.close(timeout=5)


async def _connect(dsn: str, connect_s: float = CONNECT_TIMEOUT_S) -> asyncpg.Connection:
    try:
        return await connect_direct(dsn, name="whatsapp-gateway migrate", connect_s=connect_s)
    except CONNECT_ERRORS as error:
        raise connect_fault(dsn, error) from None


async def _check_server(connection: asyncpg.Connection, oldest: int) -> None:
    version = int(await connection.fetchval("SHOW server_version_num"))
    if version < oldest:
        raise ConfigError(
            f"This is PostgreSQL {version // 10000}, and the gateway needs {oldest // 10000} "
            "or newer: upgrade it, or use another server."
        )
    if (fault := await read_only_fault(connection)) is not None:
        raise DatabaseAway(fault)
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise ConfigError(
            f"The database's encoding is {encoding}, and messages need UTF8: use a UTF8 database."
        )


async def _take_turn(connection: asyncpg.Connection, report: Report, look_s: float) -> None:
    # Never waits inside Postgres: a waiting statement holds a snapshot, and an index build of the one whose
    # turn it is waits for all snapshots. Neither would ever end.
    said = False
    while True:
        if await try_turn(connection, look_s):
            return
        if not said:
            report("Another gateway is migrating this database; waiting for it.")
            said = True
        await asyncio.sleep(0.1 + random.random() * 0.2)


async def try_turn(connection: asyncpg.Connection, look_s: float = USUAL_WAITS.look_s) -> bool:
    """Whether this connection alone may change the schema, from now on until it is closed."""
    async with Deadline(connection, look_s):
        return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", TURN_KEY))


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """A refusal of Postgres as one sentence; trouble that passes is left to `mapped_errors`."""
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigError(
            f"The database user may not do what {name} needs ({error}): "
            "run `gateway migrate` as the owner of the database and its tables."
        ) from None
    except (
        asyncpg.SyntaxOrAccessError,
        asyncpg.FeatureNotSupportedError,
        asyncpg.DuplicateObjectError,
    ) as error:
        raise ConfigError(f"{name} cannot be applied to this database: {error}.") from error


class _Run:
    """One migration run, on a connection that has its turn."""

    def __init__(self, connection: asyncpg.Connection, report: Report, waits: Waits) -> None:
        self._connection = connection
        self._report = report
        self._waits = waits

    async def apply(self, migrations: list[Migration]) -> list[str]:
        async with Deadline(self._connection, self._waits.look_s):
            applied = await read_books(self._connection)
            newer = await check_served(self._connection, applied, migrations)
        if newer is not None:
            self._report(f"The database is of a newer gateway ({newer}), which this one may serve beside.")
            return []
        await self._repair([migration for migration in migrations if migration.name in applied])
        missing = [migration for migration in migrations if migration.name not in applied]
        if missing:
            await adoption.check_tables(self._connection)
            await self.open_books()
        for migration in missing:
            started = time.monotonic()
            with _explained(migration.name):
                if migration.in_transaction:
                    await self.patiently(migration.name, partial(self._apply, migration))
                else:
                    await self._apply_statements(migration)
            self._report(f"{migration.name}: applied.")
            logger.info(
                "migration.applied name=%s ms=%d", migration.name, (time.monotonic() - started) * 1000
            )
        return [migration.name for migration in missing]

    async def open_books(self) -> None:
        """Makes the tables in which a run notes what it did. Needs CREATE on the database only without the schema."""
        if not await self._connection.fetchval("SELECT to_regnamespace('gateway') IS NOT NULL"):
            await self._connection.execute("CREATE SCHEMA gateway")
        await self._connection.execute(_BOOKS)

    async def patiently(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Does `work` in a transaction; when a lock is not to be had soon, lets go of all and tries again."""
        deadline = time.monotonic() + self._waits.patience_s
        failures = 0
        while True:
            try:
                async with self._connection.transaction():
                    await self._connection.execute(
                        "SELECT set_config('lock_timeout', $1, true)", f"{self._waits.lock_ms}ms"
                    )
                    await work()
                return
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                if time.monotonic() > deadline:
                    blockers = await adoption.describe_blockers(self._connection)
                    raise ConfigError(
                        f"{name} could not lock a table within {self._waits.patience_s:.0f} s{blockers}: "
                        "end what holds it, and run `gateway migrate` again."
                    ) from None
                failures += 1
                if failures == 1:
                    self._report(f"{name}: a table is in use; trying again until it is free for a moment.")
            await asyncio.sleep(_BACKOFF.pause_s(failures, random.random()))

    async def _apply(self, migration: Migration) -> None:
        before = await adoption.inventory(self._connection)
        # A column of the shop may have a name of ours and another type. A function that names it is made to fit by a
        # later line of the same file; Postgres would refuse it before that.
        await self._connection.execute("SET LOCAL check_function_bodies = off")
        await self._connection.execute(migration.text)
        await self._note_ours(before)
        await repairing.note_triggers(self._connection)
        await self._note(migration)

    async def _repair(self, applied: list[Migration]) -> None:
        async with Deadline(self._connection, self._waits.look_s):
            faults = await repairing.find_faults(self._connection)
        if not faults:
            return
        with _explained("Repairing the gateway's triggers"):
            work = partial(repairing.repair, self._connection, applied, faults, self._report)
            await self.patiently("repair", work)
            missing = await repairing.missing_indexes(self._connection)
            for migration in applied:
                for statement in () if migration.in_transaction else migration.statements():
                    found = _INDEX_NAME.search(statement)
                    if found and found.group(1) in missing:
                        await self._apply_statement(statement)
        logger.warning("migration.repaired faults=%d", len(faults))

    async def _apply_statements(self, migration: Migration) -> None:
        # lock_timeout stays off: a concurrent build waits for old transactions, but no transaction waits for it.
        for statement in migration.statements():
            await self._apply_statement(statement)
        await self._note(migration)

    async def _apply_statement(self, statement: str) -> None:
        unless = _UNLESS.search(statement)
        if unless and await self._connection.fetchval(unless.group(1)):
            return
        before = await adoption.inventory(self._connection)
        await self._build_index(statement)
        await self._note_ours(before)

    async def _build_index(self, statement: str) -> None:
        found = _INDEX_NAME.search(statement)
        if found is None:
            raise ConfigError(f"Only index builds can run without a transaction: {statement[:60]}")
        name = found.group(1)
        invalid = await self._connection.fetchval(
            "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", f"public.{name}"
        )
        if invalid:
            self._report(f"The index {name} was left unfinished; building it again.")
            await self._connection.execute(f'DROP INDEX CONCURRENTLY public."{name}"')
        build = asyncio.ensure_future(self._connection.execute(statement))
        try:
            done, _ = await asyncio.wait([build], timeout=self._waits.quiet_s)
            if not done:
                self._report(f"Building the index {name}; this waits for transactions that are open now.")
            await build
        except asyncpg.UniqueViolationError as error:
            await self._connection.execute(f'DROP INDEX CONCURRENTLY IF EXISTS public."{name}"')
            raise ConfigError(
                f"{found.group(2)} holds a value twice that has to be unique ({error.detail or error}): "
                "mend the rows, and run `gateway migrate` again."
            ) from None
        finally:
            if not build.done():
                build.cancel()

    async def _note_ours(self, before: set[tuple[str, str, str]]) -> None:
        made = sorted(await adoption.inventory(self._connection) - before)
        await self._connection.executemany(
            "INSERT INTO gateway.owned_objects (kind, tbl, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            made,
        )

    async def _note(self, migration: Migration) -> None:
        await self._connection.execute(
            "INSERT INTO gateway.migrations (name, checksum) VALUES ($1, $2)",
            migration.name,
            migration.checksum,
        )

"""A dump of the database, and the database brought back to it while gateways and clients live.

An operator does it in one of two ways: into another database of the server, which then takes the name; or over the
tables that are there, in one transaction. What was written between is lost by that, which is the operator's choice.
"""

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from tests.faults import oracle
from tests.faults.ledger import OVER, Ledger, Restore
from tests.faults.server import Server
from tests.faults.stories import Stories
from tests.faults.town import Town
from tests.postgres_programs import complaint_of, run

TRIES = 2
"""A restore over tables that are written to may meet a deadlock each time, and while it waits nothing is committed."""
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Dump:
    path: Path
    began: float
    keys: frozenset[str]
    true_stories: frozenset[int]


@dataclass
class Restores:
    """The dumps of a town, and what they hold of what was written."""

    town: Town
    folder: Path
    ledger: Ledger
    stories: Stories
    complaints: list[str] = field(default_factory=list)
    dumps: list[Dump] = field(default_factory=list)

    async def dump(self) -> Dump:
        """Dumps the database as it is now."""
        path = self.folder / f"dump-{next(_numbers)}"
        began = time.monotonic()
        expected = self.ledger.kept_before(began)
        connection = await asyncpg.connect(self.town.dsn)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
                dumping = asyncio.create_task(
                    run("pg_dump", "-Fc", "-f", str(path), "--snapshot", snapshot, self.town.dsn)
                )
                truth = await oracle.read(connection)
                await dumping
            waits = expected - truth.stored() and self._spooled()
            stored = truth.stored() | (await oracle.look(connection)).stored()
        finally:
            connection.terminate()
        self.complaints += [
            f"acknowledged, neither in the dump nor in a spool: {key}"
            for key in sorted((expected & self.ledger.kept_before(began)) - stored)
            if not any(f'"{key}"' in body for body in waits)
        ]
        made = Dump(path, began, frozenset(truth.stored()), self.stories.true_in(truth.facts))
        self.dumps.append(made)
        return made

    def _spooled(self) -> list[str]:
        return [body for house in self.town.houses for body in spooled(house.child.folder)]

    async def restore(self, dump: Dump, *, over: bool) -> bool:
        """Whether it succeeded: a restore over the tables may meet a deadlock with a writer each time."""
        name = self.town.database
        if over:
            self.ledger.events[OVER] += 1
            if not await _restore_over(self.town.dsn, dump.path):
                return False
            dropped_at = time.monotonic()
        else:
            dropped_at = await _restore_beside(self.town.server, name, dump.path)
        self.ledger.restores.append(Restore(dump.began, dump.keys, dump.true_stories, dropped_at))
        return True


async def _restore_over(dsn: str, path: Path) -> bool:
    for _ in range(TRIES):
        said = await complaint_of(
            "pg_restore", "--clean", "--if-exists", "--single-transaction", "-d", dsn, str(path)
        )
        if said is None:
            return True
        assert "deadlock detected" in said, said
    return False


async def _restore_beside(server: Server, database: str, path: Path) -> float:
    """The moment from which nothing was committed to the database that went."""
    copy, gone = (f"{database}_{word}_{next(_numbers)}" for word in ("copy", "gone"))
    await server.say(f"CREATE DATABASE {copy}")
    await run("pg_restore", "-d", server.dsn_of(copy), str(path))
    await server.say(
        f"ALTER DATABASE {database} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'",
    )
    dropped_at = time.monotonic()
    await server.say(
        f"ALTER DATABASE {database} RENAME TO {gone}",
        f"ALTER DATABASE {copy} RENAME TO {database}",
        f"DROP DATABASE {gone}",
    )
    return dropped_at


def spooled(data_dir: Path) -> Sequence[str]:
    """The webhooks that wait in the spool of this data folder."""
    bodies: list[str] = []
    for path in (data_dir / "spool").rglob("*"):
        if not path.is_file() or path.read_bytes()[:15] != b"SQLite format 3":
            continue
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            bodies += [
                bytes(body).decode("utf-8", "replace")
                for (body,) in connection.execute("SELECT body FROM entries")
            ]
        finally:
            connection.close()
    return bodies

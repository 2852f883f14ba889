"""A Postgres of one's own that may be mistreated: killed and started again, away for a while, read-only.

A crash of the server loses nothing that was committed: `synchronous_commit` is on. (`fsync` is off, which only a
crash of the machine would notice.)
"""

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil

from gateway.embedded_postgres.server import EmbeddedPostgres
from tests.postgres_fixtures import FAST, serving_cluster

_names = itertools.count(1)


class Server:
    """It is reached through its Unix socket, or through a proxy in front of that."""

    def __init__(self, embedded: EmbeddedPostgres) -> None:
        self._embedded = embedded

    @property
    def socket(self) -> str:
        """Path of its Unix socket."""
        query = parse_qs(urlsplit(self._embedded.dsn).query)
        return f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"

    def dsn_of(self, database: str) -> str:
        return self._embedded.dsn_of(database)

    def through(self, port: int, database: str) -> str:
        """Address of a database by way of a proxy."""
        user = urlsplit(self._embedded.dsn).username
        return f"postgresql://{user}@127.0.0.1:{port}/{database}?sslmode=disable"

    async def crash(self) -> None:
        """As `pg_ctl restart -m immediate`: every backend dies where it stands, then crash recovery."""
        try:
            await self.fall()
        finally:
            await self.rise()

    async def fall(self) -> None:
        """`pg_ctl stop -m immediate`."""
        pid = self._embedded.pid
        assert pid is not None
        os.kill(pid, signal.SIGQUIT)
        await self.stop()

    async def rise(self) -> None:
        if self._embedded.pid is None:
            await _to_the_end(self._embedded.start_now)

    async def stop(self) -> None:
        """A fast shutdown; nobody is asked whether it suits them."""
        await _to_the_end(self._embedded.stop_now)

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Not there while the block runs."""
        try:
            await self.stop()
            yield
        finally:
            await self.rise()

    @contextlib.contextmanager
    def frozen(self, backend: int | None = None) -> Iterator[None]:
        """All its processes stand still while the block runs (SIGSTOP), or only that backend: sockets stay open."""
        postmaster = self._embedded.pid
        assert postmaster is not None
        # The parent first: it makes no more children then.
        os.kill(postmaster if backend is None else backend, signal.SIGSTOP)
        stopped = [backend] if backend is not None else [postmaster, *children_of(postmaster)]
        try:
            for pid in stopped[1:]:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in reversed(stopped):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextlib.asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        """Every new transaction is read-only while the block runs, as on a standby after a failover."""
        await self.say("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        try:
            yield
        finally:
            await self.say(
                "SET default_transaction_read_only = off",
                "ALTER SYSTEM RESET default_transaction_read_only",
                "SELECT pg_reload_conf()",
            )

    @contextlib.asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """Name of a fresh, migrated database."""
        name = f"fault_{next(_names)}"
        await self.say(f"CREATE DATABASE {name} TEMPLATE migrated STRATEGY FILE_COPY")
        try:
            yield name
        finally:
            await self.say(f"DROP DATABASE {name} WITH (FORCE)")

    @contextlib.asynccontextmanager
    async def backup_of(self, database: str) -> AsyncIterator[str]:
        """Name of a copy. Whoever is connected loses the connection."""
        name = f"{database}_backup"
        # Nobody may be connected to what is copied, and who comes back at once would be in the way again.
        await self.say(
            f"ALTER DATABASE {database} ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'",
            f"CREATE DATABASE {name} TEMPLATE {database}",
            f"ALTER DATABASE {database} ALLOW_CONNECTIONS true",
        )
        try:
            yield name
        finally:
            await self.say(f"DROP DATABASE {name} WITH (FORCE)")

    async def restore(self, database: str, backup: str) -> None:
        """The database is what the backup is; nobody is asked."""
        await self.say(
            f"DROP DATABASE {database} WITH (FORCE)", f"CREATE DATABASE {database} TEMPLATE {backup}"
        )

    async def say(self, *statements: str) -> None:
        # A connection of its own each time: none survives what is done here.
        admin = await asyncpg.connect(self.dsn_of("postgres"))
        try:
            for statement in statements:
                await admin.execute(statement)
        finally:
            await admin.close()


def children_of(pid: int) -> list[int]:
    """Process ids of a process' children."""
    return [child.pid for child in psutil.Process(pid).children()]


async def _to_the_end(work: Callable[[], object]) -> None:
    """In a thread, which cannot be interrupted: who is cancelled meanwhile waits for it, too."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


@contextlib.contextmanager
def own_server() -> Iterator[Server]:
    """A running server, with a migrated template in it."""
    with serving_cluster({**FAST, "synchronous_commit": "on"}) as embedded:
        yield Server(embedded)

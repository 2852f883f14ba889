"""The spool on the disk: one SQLite file, written by any number of processes of this machine.

Every write is on the disk when it returns (WAL, `synchronous=FULL`). A file that is damaged is set aside with what
belongs to it, what can still be read of it is carried over, and a new one is begun: it never blocks a start.
"""

import contextlib
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.domain.errors import ConfigError, Unavailable

logger = logging.getLogger(__name__)

Job = Callable[[sqlite3.Connection], Any]
"""Part of a transaction. It may raise WriteRefused, if it has changed nothing by then."""

Row = tuple[int, int, bytes, Collection[str]]
"""Session, time in µs since 1970, body, and the ordering keys that it holds."""

BUSY_S = 0.7
"""How long another process may keep us from writing."""

VERSION = 1
"""Of the schema, as `user_version`."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_REASONS = {
    sqlite3.SQLITE_FULL: "its disk is full",
    sqlite3.SQLITE_IOERR: "its disk fails",
    sqlite3.SQLITE_BUSY: "another process holds it",
    sqlite3.SQLITE_READONLY: "it cannot be written to",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
}

_SCHEMA = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    body BLOB NOT NULL,
    size INTEGER NOT NULL
);
CREATE TABLE lanes (session INTEGER, lane TEXT, entry INTEGER, PRIMARY KEY (session, lane, entry)) WITHOUT ROWID;
CREATE INDEX lanes_of_entry ON lanes (entry);
CREATE TABLE totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0);
CREATE TRIGGER counted AFTER INSERT ON entries BEGIN
    UPDATE totals SET entries = entries + 1, bytes = bytes + NEW.size;
END;
CREATE TRIGGER uncounted AFTER DELETE ON entries BEGIN
    UPDATE totals SET entries = entries - 1, bytes = bytes - OLD.size;
    DELETE FROM lanes WHERE entry = OLD.id;
END;
"""

_FROM_THE_FRONT = "SELECT id, session, received_at, body FROM entries ORDER BY id"
_FROM_THE_BACK = "SELECT id, session, received_at, body FROM entries ORDER BY id DESC"


class WriteRefused(Unavailable):
    """The spool does not take it: its disk does not, or it is full."""


class Full(WriteRefused):
    """As much waits as may."""


class SpoolFile:
    """Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._guard = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)

    def run(self, jobs: Sequence[Job]) -> list[Any]:
        """What the jobs return, or the WriteRefused that one raised, once all is on the disk.

        Raises WriteRefused if nothing could be written."""
        for _ in range(2):
            try:
                with self._sharing():
                    return self._transaction(self._connection(), jobs)
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code not in _DAMAGED and not isinstance(error, _Foreign):
                    raise _refused(_REASONS.get(code, str(error))) from error
                self._replace(str(error))
            except OSError as error:
                raise _refused(error.strerror or str(error)) from error
        raise _refused("it is damaged, and so is the new one")

    def tidy(self) -> None:
        """Gives the room of a drained spool back to the disk."""
        with contextlib.suppress(sqlite3.Error), self._sharing():
            db = self._connection()
            # `execute` would step this statement once, which frees one page.
            db.executescript("PRAGMA incremental_vacuum")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def check(self) -> int:
        """How many webhooks wait in it; a damaged file is replaced first."""

        def look(db: sqlite3.Connection) -> int:
            count = int(db.execute("SELECT entries FROM totals").fetchone()[0])
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0] if count else "ok"
            if verdict != "ok":
                raise _Foreign(verdict)
            return count

        return int(self.run([look])[0])

    def close(self) -> None:
        """Closes the database and lets its guard go."""
        if self._db is not None:
            self._db.close()
            self._db = None
        os.close(self._guard)

    # ------------------------------------------------------------------------------------------ the file

    def _transaction(self, db: sqlite3.Connection, jobs: Sequence[Job]) -> list[Any]:
        results: list[Any] = []
        db.execute("BEGIN IMMEDIATE")
        try:
            for job in jobs:
                try:
                    results.append(job(db))
                except WriteRefused as refusal:
                    results.append(refusal)
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        return results

    @contextlib.contextmanager
    def _sharing(self, how: int = fcntl.LOCK_SH) -> Iterator[None]:
        """While one process writes, no other sets the file aside."""
        fcntl.flock(self._guard, how)
        try:
            yield
        finally:
            fcntl.flock(self._guard, fcntl.LOCK_UN)

    def _connection(self) -> sqlite3.Connection:
        # Another process may have set the file aside: what we wrote into it then would never be replayed.
        if self._db is None or inode_of(self.path) != self._inode:
            if self._db is not None:
                self._db.close()
                self._db = None
            self._db = _open(self.path)
            self._inode = inode_of(self.path)
        return self._db

    def _replace(self, why: str) -> None:
        try:
            self._set_aside(why)
        except (OSError, sqlite3.Error) as error:
            raise _refused(f"it is damaged, and cannot be set aside: {error}") from error

    def _set_aside(self, why: str) -> None:
        with self._sharing(fcntl.LOCK_EX):
            if self._db is not None:
                self._db.close()
                self._db = None
            broken = self.path.with_name(
                f"{self.path.name}.broken-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
            )
            for suffix in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(f"{self.path}{suffix}", f"{broken}{suffix}")
            rows = _salvaged(broken)
            if rows:
                self._transaction(self._connection(), [lambda db: insert(db, rows)])
        logger.error("spool.set_aside reason=%r file=%s webhooks_carried_over=%d", why, broken, len(rows))


def _refused(why: str) -> WriteRefused:
    return WriteRefused(f"The spool refuses ({why}). Send it again.", retry_after_s=5)


class _Foreign(sqlite3.DatabaseError):
    """A file that is a database, but not one of ours."""


def unusable(folder: Path, error: OSError) -> ConfigError:
    """What to say at the start of a folder in which no webhook can be kept."""
    return ConfigError(
        f"Webhooks cannot be kept in {folder} while Postgres is away ({error.strerror}). "
        "Set GATEWAY_DATA_DIR to a folder on a disk that can be written to."
    )


def inode_of(path: Path) -> int:
    """The file's inode, by which a replaced file is recognised; 0 if there is none."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def _open(path: Path) -> sqlite3.Connection:
    """A connection to the file, which is made if there is none. Another process may be making it at this moment."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            return _opened(path)
        except sqlite3.OperationalError as error:
            # Switching to WAL does not wait for others, whatever the timeout says.
            is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _opened(path: Path) -> sqlite3.Connection:
    if path.exists() and not path.is_file():
        raise _Foreign("it is no file")
    # Made by us, so that no other user may read it; SQLite gives its other files the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = connect(path, BUSY_S)
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA secure_delete = ON")  # what is removed is gone from the file, too
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA fullfsync = ON")
        db.execute("PRAGMA journal_size_limit = 8388608")
        # Two processes may find it empty at the same moment.
        db.execute("BEGIN IMMEDIATE")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            for statement in _statements(_SCHEMA):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise _Foreign(f"its schema is {version}, not {VERSION}")
        db.execute("COMMIT")
        _sync_folder(path.parent)
    except BaseException:
        db.close()
        raise
    return db


def connect(path: Path, busy_s: float) -> sqlite3.Connection:
    """A connection to a file that is there already."""
    address = f"file:{quote(str(path))}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _salvaged(broken: Path) -> list[Row]:
    """What can still be read: from the front up to the damage, and from the back."""
    found: dict[int, Row] = {}
    for way in (_FROM_THE_FRONT, _FROM_THE_BACK):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(connect(broken, 0)) as db:
            for number, session, at, body in db.execute(way):
                if number in found:
                    break
                # Which ordering keys it held is not worth reading from a damaged file: the session's order is kept.
                found[number] = (int(session), int(at), bytes(body), ("*",))
    return [found[number] for number in sorted(found)]


# ---------------------------------------------------------------------------------------------- rows


def size_of(row: Row) -> int:
    """About how many bytes a row takes on the disk."""
    return len(row[2]) + 64 * (1 + len(row[3]))


def insert(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Inserts webhooks with their ordering keys, within the transaction of the caller."""
    for row in rows:
        session, at, body, ordering_keys = row
        cursor = db.execute(
            "INSERT INTO entries (session, received_at, body, size) VALUES (?, ?, ?, ?)",
            (session, at, body, size_of(row)),
        )
        db.executemany(
            "INSERT INTO lanes (session, lane, entry) VALUES (?, ?, ?)",
            [(session, ordering_key, cursor.lastrowid) for ordering_key in ordering_keys],
        )

"""The spool in a backup: its webhooks read while gateways run, and put into another spool, each once."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from gateway.spool.file import Row, SpoolFile, connect, insert

BUSY_S = 10.0
_BATCH = 500

_ROWS = "SELECT id, session, received_at, body FROM entries ORDER BY id"
_KEYS = "SELECT lane FROM lanes WHERE entry = ?"
_IS_THERE = "SELECT 1 FROM entries WHERE session = ? AND received_at = ? AND body = ?"


def read_spool(path: Path) -> Iterator[bytes]:
    """Each waiting webhook as a line of JSON, as they stood at one moment. Raises OSError, sqlite3.Error."""
    if not path.exists():
        return
    with contextlib.closing(connect(path, BUSY_S)) as db:
        db.execute("BEGIN")
        for number, session, at, body in db.execute(_ROWS):
            keys = [row[0] for row in db.execute(_KEYS, (number,))]
            value = {"session": session, "at": at, "keys": keys, "body": orjson.Fragment(body)}
            yield orjson.dumps(value) + b"\n"


class SpoolCopy:
    """Puts webhooks of a backup into a spool; `undo` takes out again what was put."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = SpoolFile(path)
        self._before = int(self._file.run([_last_id])[0])

    def put(self, lines: Iterator[bytes]) -> int:
        """Adds those that do not wait there already; how many. Raises WriteRefused if the disk does not take them."""
        count, batch = 0, list[Row]()
        for line in lines:
            value: dict[str, Any] = orjson.loads(line)
            body = orjson.dumps(value["body"])
            batch.append((int(value["session"]), int(value["at"]), body, tuple(value["keys"])))
            if len(batch) >= _BATCH:
                count += self._write(batch)
                batch = []
        return count + self._write(batch)

    def _write(self, rows: list[Row]) -> int:
        def job(db: sqlite3.Connection) -> int:
            new = [row for row in rows if db.execute(_IS_THERE, row[:3]).fetchone() is None]
            insert(db, new)
            return len(new)

        (done,) = self._file.run([job])
        if isinstance(done, Exception):
            raise done
        return int(done)

    def undo(self) -> None:
        """Takes out what was put."""
        self._file.run([lambda db: db.execute("DELETE FROM entries WHERE id > ?", (self._before,)) and None])

    def close(self) -> None:
        """Lets the file go."""
        self._file.close()


def _last_id(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()[0])

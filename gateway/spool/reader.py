"""What waits in the spool, asked by the event loop itself: readers of a WAL file wait for no writer.

An empty spool, which is life as it should be, costs a few microseconds: as long as no process has committed anything
to the file, it is not even read.
"""

import json
import logging
import sqlite3
import time
from collections.abc import Collection
from pathlib import Path

from gateway.spool.file import connect, inode_of

logger = logging.getLogger(__name__)

BUSY_S = 0.05
COMPLAIN_EVERY_S = 60.0

_HELD = "SELECT DISTINCT lane FROM lanes WHERE session = ? AND lane IN (SELECT value FROM json_each(?))"


class SpoolReader:
    """Reads the spool from the event loop, without waiting for its writer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._empty_at: int | None = None
        """The file's version when it was last seen empty."""
        self._complained_at = float("-inf")

    def is_empty(self) -> bool:
        """Whether no webhook is on the disk."""
        return self.totals()[0] == 0

    def totals(self) -> tuple[int, int]:
        """Number and bytes of what waits."""
        try:
            db = self._connection()
            version = db.execute("PRAGMA data_version").fetchone()[0]
            if version == self._empty_at:
                return 0, 0
            count, size = db.execute("SELECT entries, bytes FROM totals").fetchone()
        except (sqlite3.Error, OSError) as error:
            self._complain(error)
            return 0, 0
        self._empty_at = None if count else version
        return int(count), int(size)

    def oldest_at(self) -> int | None:
        """When the webhook that waits longest came, in microseconds since 1970; None if none waits."""
        if self.is_empty():
            return None
        try:
            row = self._connection().execute("SELECT received_at FROM entries ORDER BY id LIMIT 1").fetchone()
        except (sqlite3.Error, OSError) as error:
            self._complain(error)
            return None
        return int(row[0]) if row else None

    def held(self, session_id: int, ordering_keys: Collection[str]) -> frozenset[str]:
        """Those of the ordering keys under which a webhook waits."""
        if self.is_empty():
            return frozenset()
        try:
            found = self._connection().execute(_HELD, (session_id, json.dumps(list(ordering_keys))))
            return frozenset(row[0] for row in found)
        except (sqlite3.Error, OSError) as error:
            self._complain(error)
            return frozenset()

    def close(self) -> None:
        """Closes the database; the next question opens it again."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _connection(self) -> sqlite3.Connection:
        # The writer replaces a damaged file.
        if self._db is None or inode_of(self._path) != self._inode:
            self.close()
            self._empty_at = None
            self._inode = inode_of(self._path)
            self._db = connect(self._path, BUSY_S)
            self._db.execute("PRAGMA query_only = ON")
        return self._db

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._complained_at > COMPLAIN_EVERY_S:
            self._complained_at = now
            logger.error("spool.unreadable file=%s error=%s", self._path, error)

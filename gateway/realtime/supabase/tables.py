"""The tables this dialect serves, as Postgres has them: which columns, of which types, in which order."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from gateway.domain.errors import StoreUnavailable
from gateway.domain.message import INCOMING_TABLE, MARKS_TABLE, OUTGOING_TABLE

SCHEMA = "public"
OWN_SCHEMA = "gateway"
SESSIONS_TABLE = "whatsapp_sessions"
MESSAGE_TABLES = (INCOMING_TABLE, OUTGOING_TABLE, MARKS_TABLE)
"""What the streams of the inboxes tell of."""
SERVED = (*MESSAGE_TABLES, SESSIONS_TABLE)

HIDDEN = frozenset({"raw_data", "session_data", "api_key", "webhook_secret"})
"""Columns that are in no frame: secrets, and payloads that hold some."""

OF_SENDING = frozenset({"send_no", "due_at", "holder", "payload", "request_hash"})
"""Columns of the outgoing table that no record of a stream holds: only the sender needs them."""

KEY = "id"

FRESH_FOR_S = 60.0

_serials = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Column:
    """A column as clients are told of it."""

    name: str
    type: str
    """As pg_type names it: int8, timestamptz, _text."""


class TableStore(Protocol):
    """Where the columns of tables are read."""

    async def columns(self, tables: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        """Names and types of the tables' columns, in order. Raises StoreUnavailable."""


class Table:
    """One table without its hidden columns. The same object as long as nothing has changed."""

    def __init__(self, name: str, columns: Sequence[Column]) -> None:
        self.serial = next(_serials)
        self.name = name
        self.schema = OWN_SCHEMA if name == MARKS_TABLE else SCHEMA
        self.columns = tuple(columns)
        self.types = {column.name: column.type for column in columns}
        self._all_json = self._json(self.columns)

    def columns_json(self, select: frozenset[str] | None) -> bytes:
        """`[{"name": …, "type": …}, …]` of all columns, or of the chosen ones."""
        if select is None:
            return self._all_json
        return self._json([column for column in self.columns if column.name in select])

    @staticmethod
    def _json(columns: Sequence[Column]) -> bytes:
        return orjson.dumps([{"name": column.name, "type": column.type} for column in columns])


class Tables:
    """What is known of them, looked at anew once a minute at most: a shop adds columns while we run."""

    def __init__(self, store: TableStore) -> None:
        self._store = store
        self._known: dict[str, Table] = {}
        self._looked_at = -FRESH_FOR_S

    async def look(self, fresh_for_s: float | None = None) -> Mapping[str, Table]:
        """The tables by name, as they were at most so many seconds ago (a minute).

        Raises StoreUnavailable if they have never been seen.
        """
        now = time.monotonic()
        if now - self._looked_at >= (FRESH_FOR_S if fresh_for_s is None else fresh_for_s):
            try:
                found = await self._store.columns(SERVED)
            except StoreUnavailable:
                if not self._known:
                    raise
                return self._known
            self._looked_at = now
            self._known = {name: self._table(name, listed) for name, listed in found.items()}
        return self._known

    def _table(self, name: str, listed: Sequence[tuple[str, str]]) -> Table:
        hidden = HIDDEN | OF_SENDING if name == OUTGOING_TABLE else HIDDEN
        columns = tuple(Column(column, type_) for column, type_ in listed if column not in hidden)
        known = self._known.get(name)
        return known if known is not None and known.columns == columns else Table(name, columns)

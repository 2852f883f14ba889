"""Columns of the tables that clients are told of, from Postgres' own catalog."""

from collections.abc import Sequence

import asyncpg

from gateway.postgres.connection.pool import mapped_errors

_COLUMNS_SQL = """
SELECT c.relname AS tbl, a.attname AS name, t.typname AS type
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'p') AND c.relname = ANY ($1::text[])
    AND c.relnamespace = CASE c.relname WHEN 'conversation_marks' THEN 'gateway' ELSE 'public' END::regnamespace
ORDER BY c.relname, a.attnum
"""


class ColumnTable:
    """Reads the columns of tables from Postgres' own catalog."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def columns(self, tables: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        """Names and types (pg_type's) of the tables' columns, in order. Raises StoreUnavailable."""
        with mapped_errors():
            rows = await self._pool.fetch(_COLUMNS_SQL, list(tables))
        found: dict[str, list[tuple[str, str]]] = {}
        for row in rows:
            found.setdefault(row["tbl"], []).append((row["name"], row["type"]))
        return found

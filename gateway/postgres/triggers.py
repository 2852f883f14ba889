"""The triggers that tell of changes: which of them are missing, and how they are made again."""

from collections.abc import Sequence

import asyncpg

from gateway.domain.triggers import TriggerFault
from gateway.postgres.connection.driver import Connection
from gateway.postgres.connection.pool import borrowed, mapped_errors

_FAULTS_SQL = "SELECT tbl, name, fault FROM gateway.trigger_faults_v1()"

# Tables that a subscription fills fire row triggers only; ours are triggers of statements.
_SUBSCRIBED_SQL = """
SELECT r.srrelid::regclass::text AS tbl
FROM pg_catalog.pg_subscription_rel AS r
WHERE r.srrelid = ANY ($1::regclass[])
ORDER BY 1
"""


async def read_faults(connection: Connection) -> list[TriggerFault]:
    """What is not as the migrations have left it. Raises what asyncpg raises."""
    return [
        TriggerFault(row["tbl"], row["name"], row["fault"]) for row in await connection.fetch(_FAULTS_SQL)
    ]


async def read_subscribed(connection: Connection, tables: Sequence[str]) -> list[str]:
    """Which of the tables a logical subscription fills. Raises what asyncpg raises."""
    there = [name for name in tables if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name)]
    return [row["tbl"] for row in await connection.fetch(_SUBSCRIBED_SQL, there)]


class TriggerTable:
    """The triggers that tell of changes, for the check of a running gateway."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def faults(self) -> list[TriggerFault]:
        """What is not as the migrations have left it. Raises StoreUnavailable."""
        with mapped_errors():
            async with borrowed(self._pool) as connection:
                return await read_faults(connection)

"""What is asked of a database that is backed up, and of one that a backup is restored into."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from gateway.domain.errors import ConfigError
from gateway.postgres.connection.pool import READ_S, mapped_errors
from gateway.services.deadlines import Deadline

_SERVER = "SELECT current_setting('server_version_num')::int / 10000"
_IS_OURS = (
    "SELECT to_regclass('gateway.migrations') IS NOT NULL AND to_regclass('gateway.settings') IS NOT NULL"
)
_FACTS = """
SELECT pg_database_size(current_database()) AS bytes,
    (SELECT value #>> '{}' FROM gateway.settings WHERE key = 'installation') AS installation,
    (SELECT array_agg(name ORDER BY name) FROM gateway.migrations) AS migrations
"""

# What an extension brings is there before and after.
_TABLES = """
SELECT format('%s.%s', n.nspname, c.relname) AS name
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname = 'gateway', 1
"""
_GATEWAYS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'whatsapp-gateway%' AND pid <> pg_backend_pid()
"""
_DROPS = """
WITH others AS (
    SELECT 0 AS place, format('DROP SCHEMA IF EXISTS %I CASCADE;', n.nspname) AS statement
    FROM pg_namespace AS n
    WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'public')
        AND NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.extnamespace = n.oid)
), relations AS (
    SELECT 1 AS place, format('DROP %s IF EXISTS %s CASCADE;', CASE c.relkind
        WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE'
        ELSE 'TABLE' END, c.oid::regclass) AS statement
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
), routines AS (
    SELECT 2 AS place, format('DROP ROUTINE IF EXISTS %s CASCADE;', p.oid::regprocedure) AS statement
    FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace AND p.prokind IN ('f', 'p', 'a', 'w')
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
), types AS (
    SELECT 3 AS place, format('DROP TYPE IF EXISTS %s CASCADE;', t.oid::regtype) AS statement
    FROM pg_type AS t
    WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd', 'r')
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = t.oid AND d.deptype = 'e')
)
SELECT statement FROM (
    SELECT * FROM others UNION ALL SELECT * FROM relations
    UNION ALL SELECT * FROM routines UNION ALL SELECT * FROM types
) AS found
ORDER BY place, statement
"""

AFTER_RESTORE = """
UPDATE gateway.settings SET value = '"restored"' WHERE key = 'history';
SELECT gateway.check_history_v1();
"""
"""A restored database is a new history, whatever server it stands on: clients load anew, and what waited to be sent
is for people to judge."""


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What a backup notes of the database."""

    server: int
    """Major version of the server."""
    bytes: int
    installation: str
    migrations: list[str]


async def server_of(pool: asyncpg.Pool) -> int:
    """Major version of the server. Raises StoreUnavailable."""
    with mapped_errors():
        return int(await pool.fetchval(_SERVER))


async def facts_of(pool: asyncpg.Pool) -> DatabaseFacts:
    """What the database is. Raises ConfigError where no gateway has used it, StoreUnavailable."""
    with mapped_errors():
        row: Any = await pool.fetchrow(_FACTS) if await pool.fetchval(_IS_OURS) else None
    if row is None or row["installation"] is None:
        raise ConfigError(
            "This database holds nothing of a gateway. Check DATABASE_URL, or start a gateway on it once."
        )
    return DatabaseFacts(
        await server_of(pool), row["bytes"], row["installation"], list(row["migrations"] or ())
    )


async def tables_of(pool: asyncpg.Pool) -> list[str]:
    """Tables and views that the database holds, the shop's first. Raises StoreUnavailable."""
    with mapped_errors():
        return [row["name"] for row in await pool.fetch(_TABLES)]


async def count_gateways(connection: asyncpg.Connection) -> int:
    """How many connections of gateways the database has. Raises StoreUnavailable."""
    with mapped_errors():
        async with Deadline(connection, READ_S):
            return int(await connection.fetchval(_GATEWAYS))


async def drops_of(pool: asyncpg.Pool) -> str:
    """SQL that drops everything in the database but extensions. Raises StoreUnavailable."""
    with mapped_errors():
        return "\n".join(row["statement"] for row in await pool.fetch(_DROPS))

"""The shop's tables: what we can adopt, what in them is ours, and how to take ours away again."""

from collections.abc import Callable

import asyncpg

from gateway.domain.errors import ConfigError

_NEEDED = {
    "whatsapp_sessions": ("id", "wasender_session_id"),
    "whatsapp_session_logs": ("id", "session_id"),
    "whatsapp_incoming_messages": ("id", "message_id"),
    "whatsapp_outgoing_messages": ("id",),
    "integrations": ("integration_name",),
}
TABLES = tuple(_NEEDED)

_KINDS = {
    "p": "is a partitioned table",
    "v": "is a view",
    "m": "is a materialized view",
    "f": "is a foreign table",
}

_FOUND_SQL = """
SELECT c.relname AS tbl, c.relkind::text AS kind,
    (
        SELECT jsonb_object_agg(a.attname, a.atttypid::regtype)
        FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS columns
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1)
"""

_INVENTORY_SQL = """
SELECT 'table' AS kind, relname::text AS tbl, '' AS name
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relname = ANY ($1) AND relkind = 'r'
UNION ALL
SELECT 'column', c.relname, a.attname
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1)
UNION ALL
SELECT 'index', c.relname, i.relname
FROM pg_class AS c
JOIN pg_index AS x ON x.indrelid = c.oid
JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1)
UNION ALL
SELECT 'constraint', c.relname, k.conname
FROM pg_class AS c
JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'f'
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1)
"""

_TRIGGERS_SQL = """
SELECT c.relname AS tbl, t.tgname AS name
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE p.pronamespace = 'gateway'::regnamespace
    AND c.relnamespace = 'public'::regnamespace
    AND NOT t.tgisinternal
"""

_BLOCKERS_SQL = """
SELECT a.pid, coalesce(nullif(a.application_name, ''), a.backend_type) AS who,
    round(extract(epoch FROM now() - a.xact_start)) AS seconds
FROM pg_stat_activity AS a
WHERE a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL AND EXISTS (
    SELECT FROM pg_locks AS l
    JOIN pg_class AS c ON c.oid = l.relation
    WHERE l.pid = a.pid AND l.granted AND c.relname = ANY ($1)
)
ORDER BY a.xact_start
LIMIT 1
"""


async def check_tables(connection: asyncpg.Connection) -> None:
    """Raises ConfigError if a table of that name is there and cannot be adopted."""
    for found in await connection.fetch(_FOUND_SQL, list(TABLES)):
        tbl, columns = found["tbl"], found["columns"] or {}
        if found["kind"] in _KINDS:
            raise ConfigError(
                f"public.{tbl} {_KINDS[found['kind']]}, and the gateway can only adopt a plain table: "
                "use another database, or make it one."
            )
        missing = [name for name in _NEEDED[tbl] if name not in columns]
        if missing:
            raise ConfigError(f"public.{tbl} has no column {missing[0]}: it is not the table we know.")
        kind = columns.get("wasender_session_id", "bigint")
        if kind not in ("bigint", "integer", "smallint"):
            raise ConfigError(f"public.{tbl}.wasender_session_id is of type {kind}; it has to be a bigint.")
        # Ours is called `media`, or `gateway_media` where the shop has one of that name.
        if all(columns.get(name, "jsonb") != "jsonb" for name in ("media", "gateway_media")):
            raise ConfigError(
                f"public.{tbl} has columns media and gateway_media of its own, and neither is of type jsonb: "
                "rename one of them, so that the gateway can keep a message's file there."
            )


async def inventory(connection: asyncpg.Connection) -> set[tuple[str, str, str]]:
    """What there is in our tables of schema public: (kind, table, name)."""
    rows = await connection.fetch(_INVENTORY_SQL, list(TABLES))
    return {(row["kind"], row["tbl"], row["name"]) for row in rows}


async def describe_blockers(connection: asyncpg.Connection) -> str:
    """Who has held a lock on one of the tables for longest, as part of a sentence; '' if no transaction has."""
    found = await connection.fetchrow(_BLOCKERS_SQL, list(TABLES))
    return f" (process {found['pid']}, {found['who']}, open for {found['seconds']} s)" if found else ""


async def remove_ours(connection: asyncpg.Connection, report: Callable[[str], None]) -> None:
    """Takes away triggers, our parts of the shop's tables, tables of ours without rows, and the schema."""
    for row in await connection.fetch(_TRIGGERS_SQL):
        await connection.execute(f'DROP TRIGGER "{row["name"]}" ON public."{row["tbl"]}"')
    rows = await connection.fetch("SELECT kind, tbl, name FROM gateway.owned_objects")
    there = await inventory(connection)
    ours = {(row["kind"], row["tbl"], row["name"]) for row in rows} & there
    made = {tbl for kind, tbl, _ in ours if kind == "table"}
    for kind, tbl, name in sorted(ours - {part for part in ours if part[0] == "table"}, key=_order):
        # The parts of a table of ours go, or stay, with it; only foreign keys would hold other tables back.
        if tbl not in made or kind == "constraint":
            await _remove_part(connection, kind, tbl, name, report)
    for tbl in sorted(made):
        await _remove_table(connection, tbl, report)
    # Indexes of a table that is kept may stand on gateway.chat_of; CASCADE takes those along, and no row.
    await connection.execute("DROP SCHEMA gateway CASCADE")


def _order(part: tuple[str, str, str]) -> tuple[int, str, str]:
    kind, tbl, name = part
    return ("constraint", "index", "column").index(kind), tbl, name


async def _remove_table(connection: asyncpg.Connection, tbl: str, report: Callable[[str], None]) -> None:
    count = await connection.fetchval(f'SELECT count(*) FROM public."{tbl}"')
    if count:
        report(f"public.{tbl} is kept: it holds {count} rows.")
        return
    try:
        async with connection.transaction():
            await connection.execute(f'DROP TABLE public."{tbl}"')
    except asyncpg.DependentObjectsStillExistError:
        report(f"public.{tbl} is kept: something of yours depends on it.")


async def _remove_part(
    connection: asyncpg.Connection, kind: str, tbl: str, name: str, report: Callable[[str], None]
) -> None:
    statement = {
        "constraint": f'ALTER TABLE public."{tbl}" DROP CONSTRAINT IF EXISTS "{name}"',
        "index": f'DROP INDEX IF EXISTS public."{name}"',
        "column": f'ALTER TABLE public."{tbl}" DROP COLUMN IF EXISTS "{name}"',
    }[kind]
    try:
        async with connection.transaction():
            await connection.execute(statement)
    except asyncpg.DependentObjectsStillExistError:
        report(f"public.{tbl}.{name} is kept: something of yours depends on it.")

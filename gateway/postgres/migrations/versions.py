"""Which schema a database has, against the one that this version brings: without changing anything."""

import asyncpg

from gateway import __version__
from gateway.domain.errors import ConfigError
from gateway.domain.versions import is_below, too_old
from gateway.postgres.connection.pool import CONNECT_ERRORS, connect_direct, explain_connect, mapped_errors
from gateway.postgres.migrations.files import Migration, read_migrations, sql_folder
from gateway.services.deadlines import Deadline

LOOK_S = 30.0

_HAS_SETTINGS = "SELECT to_regclass('gateway.settings') IS NOT NULL"
_LEAST = "SELECT value #>> '{}' FROM gateway.settings WHERE key = 'compatible_from'"


async def check_served(
    connection: asyncpg.Connection, applied: dict[str, str], migrations: list[Migration]
) -> str | None:
    """Name of a migration that only a newer gateway knows, where this one may serve all the same; None without one.

    Raises ConfigError where this version may not serve what has been applied.
    """
    least = await connection.fetchval(_LEAST) if await connection.fetchval(_HAS_SETTINGS) else None
    if least is not None and is_below(__version__, least):
        raise ConfigError(too_old(__version__, least))
    known = {migration.name: migration for migration in migrations}
    newer = sorted(applied.keys() - known.keys())
    if newer and (least is None or known.keys() - applied.keys()):
        raise ConfigError(
            f"This database was migrated by a newer gateway ({newer[0]} is not known here): use that version."
        )
    for name, checksum in sorted(applied.items()):
        if name in known and known[name].checksum != checksum:
            raise ConfigError(
                f"sql/{name} was edited after it was applied to this database: "
                "put the old text back, and make the change in a new file."
            )
    return newer[0] if newer else None


async def read_books(connection: asyncpg.Connection) -> dict[str, str]:
    """Names and checksums of the migrations that were applied."""
    if await connection.fetchval("SELECT to_regclass('gateway.migrations')") is None:
        return {}
    rows = await connection.fetch("SELECT name, checksum FROM gateway.migrations")
    return {row["name"]: row["checksum"] for row in rows}


async def require_current(dsn: str) -> None:
    """Raises ConfigError unless every migration of this version has been applied, and it may serve the schema."""
    try:
        connection = await connect_direct(dsn, name="whatsapp-gateway schema")
    except CONNECT_ERRORS as error:
        raise ConfigError(explain_connect(dsn, error)) from None
    try:
        with mapped_errors():
            async with Deadline(connection, LOOK_S):
                applied, migrations = await read_books(connection), read_migrations(sql_folder())
                await check_served(connection, applied, migrations)
    finally:
        await connection.close(timeout=5)
    missing = [migration.name for migration in migrations if migration.name not in applied]
    if missing and missing[0] == migrations[0].name:
        raise ConfigError(
            "The database has no schema of the gateway yet, and --no-migrate forbids to make it: run `gateway migrate`."
        )
    if missing:
        raise ConfigError(
            f"The database is older than this gateway (it lacks {missing[0]} and {len(missing) - 1} more), and "
            "--no-migrate forbids to change it: run `gateway migrate`."
            if len(missing) > 1
            else f"The database is older than this gateway (it lacks {missing[0]}), and --no-migrate forbids to change "
            "it: run `gateway migrate`."
        )

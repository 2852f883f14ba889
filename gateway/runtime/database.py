"""What a gateway stands on: its database."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import asyncpg

from gateway.domain.errors import ConfigError, StoreUnavailable
from gateway.embedded_postgres.files import FolderTaken
from gateway.embedded_postgres.guests import Guests
from gateway.embedded_postgres.server import EmbeddedPostgres, ensure_database, has_data, running_dsn
from gateway.postgres.connection.pool import (
    CONNECT_ERRORS,
    address_of,
    borrowed,
    connect_fault,
    mapped_errors,
)
from gateway.postgres.connection.pooler import is_behind_pooler, is_same_database
from gateway.postgres.migrations.runner import migrate
from gateway.postgres.migrations.versions import require_current
from gateway.postgres.sessions.vault import Vault
from gateway.runtime.data_dir import DEMO, data_dir, demo_settings, is_simulated
from gateway.services.background import Background
from gateway.services.deadlines import within
from gateway.settings import Settings

logger = logging.getLogger(__name__)

CLOSE_POOL_S = 5.0

LOOK_S = 1.0
"""Between two looks whether the embedded Postgres still runs."""

START_S = 30.0
"""A command waits so long for a gateway that has taken the data folder until its Postgres answers."""

GUESTS_S = 30.0
"""A command that has started Postgres waits so long for others that have found it meanwhile, before it stops it."""

_IS_SEALING = "SELECT value = 'true'::jsonb FROM gateway.settings WHERE key = 'encrypt_secrets'"


def require_database(settings: Settings) -> str:
    """DATABASE_URL; empty where the embedded Postgres is used. Raises ConfigError where there is neither."""
    if settings.database_url is None and not settings.embedded:
        raise ConfigError(
            "There is no database. Set DATABASE_URL, or start with --embedded for a private Postgres."
        )
    return settings.database_url or ""


async def open_database(settings: Settings, stack: AsyncExitStack) -> str:
    """The DSN to use: DATABASE_URL, or the embedded Postgres, started and stopped with the stack."""
    if settings.embedded:
        server = await stack.enter_async_context(EmbeddedPostgres(data_dir(settings)))
        keeping = Background()
        stack.push_async_callback(keeping.close)
        keeping.start(_keep_up(server), "postgres-keeper")
        return server.dsn
    return require_database(settings)


def locate(settings: Settings) -> Settings:
    """For a command: the settings of the gateway that is meant, whose database and data folder are then used.

    Without DATABASE_URL that is the gateway which runs on the data folder, a demo included. Where none runs, it is
    the one that `serve --embedded` would start if that was said, else the one whose database is there.
    """
    folder = data_dir(settings)
    if settings.database_url is not None:
        return settings
    own = settings.model_copy(update={"embedded": True, "listen_url": None})
    if running_dsn(folder) is not None:
        return own.model_copy(update={"simulator": is_simulated(settings)})
    if running_dsn(folder / DEMO) is not None:
        return demo_settings(settings)
    if settings.embedded or has_data(folder):
        return own
    return demo_settings(settings) if has_data(folder / DEMO) else settings


async def find_database(settings: Settings, stack: AsyncExitStack) -> str:
    """The DSN to use, for a command: that of the Postgres which runs on this data folder, or as `open_database`."""
    if not settings.embedded:
        return require_database(settings)
    guests = stack.enter_context(Guests(data_dir(settings)))
    deadline = time.monotonic() + START_S
    while True:
        await guests.join(GUESTS_S)
        if (dsn := running_dsn(data_dir(settings))) is not None:
            await ensure_database(dsn)  # the gateway that has just started it may not have come so far
            return dsn
        try:
            dsn = await open_database(settings, stack)
        except FolderTaken:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(LOOK_S / 20)
        else:
            stack.push_async_callback(guests.outstay, GUESTS_S)
            return dsn


async def prepare_schema(settings: Settings, direct: str, report: Callable[[str], None]) -> None:
    """The schema is of this version afterwards, or may be served by it. Raises ConfigError where it is not to be."""
    if settings.no_migrate:
        await require_current(direct)
    else:
        await migrate(direct, report=report)


async def _keep_up(server: EmbeddedPostgres) -> None:
    """Starts the embedded Postgres again when it has died; the other parts just see it come back."""
    while True:
        await asyncio.sleep(LOOK_S)
        if server.pid is None:
            logger.error("postgres.died restarting=true")
            try:
                await server.stop()
                await server.start()
            except ConfigError as error:
                logger.error("postgres.not_restarted error=%s", error)


def is_pooled(settings: Settings, dsn: str) -> bool:
    """Whether a pooler may stand before that database: the operator gave another address for listening."""
    return (settings.listen_url or dsn) != dsn


async def open_direct(settings: Settings, dsn: str) -> str:
    """The address for LISTEN, leases and migrations: GATEWAY_LISTEN_URL, or else `dsn` itself.

    Raises ConfigError where a pooler stands before it, or where it leads to another database than `dsn`; both are
    asked of the server, and before anything is written there.
    """
    if settings.embedded:
        return dsn
    direct = settings.listen_url or dsn
    if await _asked(
        is_behind_pooler(direct), direct, "GATEWAY_LISTEN_URL" if settings.listen_url else "DATABASE_URL"
    ):
        raise ConfigError(_explain_pooler(settings, direct))
    if direct != dsn and not await _asked(is_same_database(dsn, direct), dsn, "DATABASE_URL"):
        raise ConfigError(
            f"GATEWAY_LISTEN_URL ({address_of(direct)}) names another database than DATABASE_URL "
            f"({address_of(dsn)}): set it to the direct host of the same database."
        )
    return direct


async def _asked(question: Awaitable[bool], dsn: str, setting: str) -> bool:
    try:
        return await question
    except CONNECT_ERRORS as error:
        raise connect_fault(dsn, error, setting) from None


def _explain_pooler(settings: Settings, direct: str) -> str:
    where = address_of(direct)
    if settings.listen_url:
        return (
            f"GATEWAY_LISTEN_URL ({where}) leads through a pooler in transaction mode, too: "
            "set it to the direct host of Postgres."
        )
    return (
        f"A pooler in transaction mode stands before Postgres at {where}, and LISTEN, leases and migrations need a "
        "connection of their own: set GATEWAY_LISTEN_URL to the direct host of the same database."
    )


async def open_vault(pool: asyncpg.Pool, secret: str, previous: str | None = None) -> Vault:
    """The vault, in the way the operator has chosen for this database. Raises StoreUnavailable."""
    with mapped_errors():
        async with borrowed(pool) as connection:
            return Vault(secret, previous=previous, is_sealing=bool(await connection.fetchval(_IS_SEALING)))


async def close_pool(pool: asyncpg.Pool, budget_s: float = CLOSE_POOL_S) -> None:
    """Closes the pool; connections that are still busy after `budget_s` are dropped."""
    try:
        await within(budget_s, pool.close())
    except StoreUnavailable:
        pool.terminate()

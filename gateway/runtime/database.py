"""What a gateway stands on: its database."""

import asyncio
import logging
from contextlib import AsyncExitStack

import asyncpg

from gateway.domain.errors import ConfigError, StoreUnavailable
from gateway.embedded_postgres.server import EmbeddedPostgres, running_dsn
from gateway.postgres.connection.pool import borrowed, is_pooled_dsn, mapped_errors
from gateway.postgres.sessions.vault import Vault
from gateway.runtime.data_dir import DEMO, data_dir
from gateway.services.background import Background
from gateway.services.deadlines import within
from gateway.settings import Settings

logger = logging.getLogger(__name__)

CLOSE_POOL_S = 5.0

LOOK_S = 1.0
"""Between two looks whether the embedded Postgres still runs."""

_IS_SEALING = "SELECT value = 'true'::jsonb FROM gateway.settings WHERE key = 'encrypt_secrets'"


async def open_database(settings: Settings, stack: AsyncExitStack) -> str:
    """The DSN to use: DATABASE_URL, or the embedded Postgres, started and stopped with the stack."""
    if settings.embedded:
        server = await stack.enter_async_context(EmbeddedPostgres(data_dir(settings)))
        keeping = Background()
        stack.push_async_callback(keeping.close)
        keeping.start(_keep_up(server), "postgres-keeper")
        return server.dsn
    if settings.database_url is None:
        raise ConfigError(
            "There is no database. Set DATABASE_URL, or start with --embedded for a private Postgres."
        )
    return settings.database_url


async def find_database(settings: Settings, stack: AsyncExitStack) -> str:
    """The DSN to use, for a command: that of a gateway which runs on this data folder, or as `open_database`."""
    if settings.database_url is None:
        for folder in (data_dir(settings), data_dir(settings) / DEMO):
            if (dsn := running_dsn(folder)) is not None:
                return dsn
    return await open_database(settings, stack)


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
    """Whether a pooler stands before that database: it looks so, or another address was given for listening."""
    return (settings.listen_url or dsn) != dsn or is_pooled_dsn(dsn)


async def open_vault(pool: asyncpg.Pool, secret: str, previous: str | None = None) -> Vault:
    """The vault, in the way the operator has chosen for this database. Raises StoreUnavailable."""
    with mapped_errors():
        async with borrowed(pool) as connection:
            return Vault(secret, previous=previous, is_sealing=bool(await connection.fetchval(_IS_SEALING)))


async def close_pool(pool: asyncpg.Pool) -> None:
    """Closes the pool; connections that are still busy after CLOSE_POOL_S are dropped."""
    try:
        await within(CLOSE_POOL_S, pool.close())
    except StoreUnavailable:
        pool.terminate()

"""What a gateway stands on: its data folder, its secret, its database."""

import asyncio
import logging
import os
import secrets
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg

from gateway.domain.errors import ConfigError
from gateway.postgres.embedded import EmbeddedPostgres, default_data_dir
from gateway.postgres.pool import borrowed, is_pooled_dsn, mapped_errors
from gateway.postgres.vault import Vault
from gateway.settings import Settings
from gateway.spool.disk import DiskSpool
from gateway.spool.filesystem import memory_of

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""Between two looks whether the embedded Postgres still runs."""

_IS_SEALING = "SELECT value = 'true'::jsonb FROM gateway.settings WHERE key = 'encrypt_secrets'"

_INSTALLATION = "SELECT value #>> '{}' FROM gateway.settings WHERE key = 'installation'"
_INSTALL = """
INSERT INTO gateway.settings (key, value) VALUES ('installation', to_jsonb(gen_random_uuid()))
ON CONFLICT (key) DO NOTHING
"""


def data_dir(settings: Settings) -> Path:
    return settings.data_dir or default_data_dir()


def read_secret(settings: Settings) -> str:
    """GATEWAY_SECRET, or on loopback one made once and kept in the data folder. Raises ConfigError."""
    if settings.secret:
        return settings.secret
    if not settings.is_loopback:
        raise ConfigError(
            "GATEWAY_SECRET is required when the gateway is not bound to loopback: it signs every login. "
            "Make one with `openssl rand -hex 32`."
        )
    path = data_dir(settings) / "secret"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            secret = path.read_text().strip()
            if not secret:
                raise ConfigError(
                    f"{path} is empty. Delete it; a new one is made at the next start."
                ) from None
            return secret
        with os.fdopen(descriptor, "w") as file:
            secret = secrets.token_hex(32)
            file.write(secret + "\n")
        return secret
    except OSError as error:
        raise ConfigError(
            f"The data folder {path.parent} cannot be used ({error.strerror}). Set GATEWAY_DATA_DIR to one that can."
        ) from None


async def open_database(settings: Settings, stack: AsyncExitStack) -> str:
    """The DSN to use: DATABASE_URL, or the embedded Postgres, started and stopped with the stack."""
    if settings.embedded:
        server = await stack.enter_async_context(EmbeddedPostgres(data_dir(settings)))
        keeper = asyncio.create_task(_keep_up(server), name="postgres-keeper")
        stack.push_async_callback(_end, keeper)
        return server.dsn
    if settings.database_url is None:
        raise ConfigError(
            "There is no database. Set DATABASE_URL, or start with --embedded for a private Postgres."
        )
    return settings.database_url


async def _keep_up(server: EmbeddedPostgres) -> None:
    """Starts the embedded Postgres again when it has died; everybody else just sees it come back."""
    while True:
        await asyncio.sleep(LOOK_S)
        if server.pid is None:
            logger.error("postgres.died restarting=true")
            try:
                await server.stop()
                await server.start()
            except ConfigError as error:
                logger.error("postgres.not_restarted error=%s", error)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def is_pooled(settings: Settings, dsn: str) -> bool:
    """Whether a pooler stands before that database: it looks so, or another address was given for listening."""
    return (settings.listen_url or dsn) != dsn or is_pooled_dsn(dsn)


async def open_vault(pool: asyncpg.Pool, secret: str) -> Vault:
    """The vault, in the way the operator has chosen for this database. Raises StoreUnavailable."""
    with mapped_errors():
        async with borrowed(pool) as connection:
            return Vault(secret, is_sealing=bool(await connection.fetchval(_IS_SEALING)))


async def close_pool(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(5.0):
            await pool.close()
    except TimeoutError:
        pool.terminate()


def require_disk(settings: Settings) -> None:
    """Raises ConfigError if the data folder is in memory: a webhook kept there is not safe."""
    folder = data_dir(settings)
    kind = memory_of(folder)
    if kind is not None:
        raise ConfigError(
            f"The data folder {folder} is in memory ({kind}), and webhooks that wait there for Postgres would be lost "
            "with the machine. Set GATEWAY_DATA_DIR to a folder on a disk."
        )


async def open_spool(settings: Settings, pool: asyncpg.Pool, stack: AsyncExitStack) -> DiskSpool:
    """The spool of this data folder and database. Raises ConfigError if the folder cannot be used."""
    spool = await DiskSpool.open(data_dir(settings) / "spool", await _installation(pool))
    stack.push_async_callback(spool.close)
    return spool


async def _installation(pool: asyncpg.Pool) -> str:
    """Which database this is, wherever it stands: webhooks of one must not be replayed into another."""
    with mapped_errors():
        async with borrowed(pool) as connection:
            if not (name := await connection.fetchval(_INSTALLATION)):
                await connection.execute(_INSTALL)
                name = await connection.fetchval(_INSTALLATION)
    return str(name)

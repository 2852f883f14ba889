"""What `gateway migrate`, `integrations` and `secrets` do, and the tables that other commands need."""

from contextlib import AsyncExitStack

import asyncpg

from gateway.cli.console import out
from gateway.postgres.connection.pool import open_pool
from gateway.postgres.migrations import runner as migrations
from gateway.postgres.sessions.credentials import CredentialTable
from gateway.postgres.sessions.vault import Vault
from gateway.runtime import database
from gateway.runtime.data_dir import read_secret
from gateway.settings import Settings


async def migrate(settings: Settings, remove: bool, restored: bool) -> None:
    """Applies the migrations that are missing, or with `remove` takes everything of ours out again."""
    async with AsyncExitStack() as stack:
        dsn = await database.find_database(settings, stack)
        dsn = await database.open_direct(settings, dsn)
        if remove:
            await migrations.remove(dsn, report=out.print)
            return
        applied = await migrations.migrate(dsn, report=out.print)
        out.print(f"{len(applied)} applied." if applied else "Nothing to do: the database is up to date.")
        if restored:
            await migrations.begin_anew(dsn, report=out.print)


async def store_token(settings: Settings, token: str) -> None:
    """Stores WasenderAPI's account token, sealed as the other secrets are."""
    async with AsyncExitStack() as stack:
        pool, vault = await open_tables(settings, stack)
        await CredentialTable(pool, vault).set_account_token(token)
    out.print("Stored. Running gateways use it within a minute.")


async def open_tables(settings: Settings, stack: AsyncExitStack) -> tuple[asyncpg.Pool, Vault]:
    """The database, up to date, and what opens its secrets; both end with the stack."""
    pool = await open_pool_of(settings, stack)
    return pool, await database.open_vault(pool, read_secret(settings), settings.secret_previous)


async def open_pool_of(settings: Settings, stack: AsyncExitStack) -> asyncpg.Pool:
    """The database, up to date; closed with the stack."""
    dsn = await database.find_database(settings, stack)
    await database.prepare_schema(settings, await database.open_direct(settings, dsn), lambda line: None)
    pool = await open_pool(dsn, timezone=settings.timezone, pooled=database.is_pooled(settings, dsn))
    stack.push_async_callback(database.close_pool, pool)
    return pool

"""What `gateway migrate`, `integrations` and `secrets` do, and the tables that other commands need."""

from contextlib import AsyncExitStack

import asyncpg

from gateway.cli.console import out
from gateway.domain.errors import ConfigError, GatewayError
from gateway.postgres.connection.pool import open_pool
from gateway.postgres.migrations import runner as migrations
from gateway.postgres.sessions.credentials import CredentialTable
from gateway.postgres.sessions.sessions import SessionTable
from gateway.postgres.sessions.stored_secrets import StoredSecrets
from gateway.postgres.sessions.vault import Vault
from gateway.runtime import database as ground
from gateway.runtime.data_dir import read_secret
from gateway.services.auth.account_token import AccountToken
from gateway.services.sessions.cache import SessionCache
from gateway.settings import Settings
from gateway.wasender.calls import PATIENT
from gateway.wasender.client import WasenderClient


async def migrate(settings: Settings, remove: bool, restored: bool) -> None:
    """Applies the migrations that are missing, or with `remove` takes everything of ours out again."""
    async with AsyncExitStack() as stack:
        dsn = await ground.open_database(settings, stack)
        dsn = settings.listen_url or dsn
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


async def encrypt_secrets(settings: Settings) -> None:
    """Seals all stored secrets, and has new ones sealed from then on."""
    async with AsyncExitStack() as stack:
        pool, vault = await open_tables(settings, stack)
        count = await StoredSecrets(pool, vault).encrypt()
    out.print(
        f"{count} secrets encrypted. Keep GATEWAY_SECRET: nothing else opens them. "
        "Restart running gateways: until then they store new secrets as before."
    )


async def rotate_secrets(settings: Settings, refetch: bool) -> None:
    """Encrypts anew what the secret before this one opens. Raises GatewayError where neither opens it."""
    async with AsyncExitStack() as stack:
        pool, vault = await open_tables(settings, stack)
        stored = StoredSecrets(pool, vault)
        lost = await stored.unreadable()
        if lost and not refetch:
            names = ", ".join(f"{count} in {place}" for place, count in sorted(lost.items()))
            raise GatewayError(
                f"Neither GATEWAY_SECRET nor GATEWAY_SECRET_PREVIOUS opens {sum(lost.values())} stored secrets "
                f"({names}), so nothing was changed. Give the secret they were encrypted with as "
                "GATEWAY_SECRET_PREVIOUS, or fetch them anew from WasenderAPI with --refetch."
            )
        if refetch:
            await _refetch(settings, pool, vault, stored, stack)
        count = await stored.rotate()
    out.print(
        f"{count} secrets encrypted anew. Remove GATEWAY_SECRET_PREVIOUS when nobody uses a login of before: after "
        "90 days at the latest."
    )


async def _refetch(
    settings: Settings, pool: asyncpg.Pool, vault: Vault, stored: StoredSecrets, stack: AsyncExitStack
) -> None:
    """Forgets what cannot be opened, and fetches keys and secrets of every session anew."""
    token = AccountToken(settings.wasender_token, CredentialTable(pool, vault))
    client = await stack.enter_async_context(WasenderClient(settings.wasender_base_url, token))
    upstream = client.with_retry_policy(PATIENT)
    try:
        found = (
            await upstream.list_sessions()
        )  # before anything is forgotten: without a token nothing comes back
    except ConfigError:
        raise GatewayError(
            "The account token cannot be opened either, so nothing was changed. Store it with `gateway integrations "
            "set wasender`, or set WASENDER_TOKEN; then try again."
        ) from None
    await stored.forget_unreadable()
    cache = SessionCache(upstream, SessionTable(pool, vault))
    for session in found:
        await cache.fetch(session.id)
    out.print(f"Keys and secrets of {len(found)} sessions fetched anew.")


async def open_tables(settings: Settings, stack: AsyncExitStack) -> tuple[asyncpg.Pool, Vault]:
    """The database, up to date, and what opens its secrets; both end with the stack."""
    pool = await open_pool_of(settings, stack)
    return pool, await ground.open_vault(pool, read_secret(settings), settings.secret_previous)


async def open_pool_of(settings: Settings, stack: AsyncExitStack) -> asyncpg.Pool:
    """The database, up to date; closed with the stack."""
    dsn = await ground.find_database(settings, stack)
    await migrations.migrate(settings.listen_url or dsn, report=lambda line: None)
    pool = await open_pool(dsn, timezone=settings.timezone, pooled=ground.is_pooled(settings, dsn))
    stack.push_async_callback(ground.close_pool, pool)
    return pool

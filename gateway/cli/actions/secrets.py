"""What `gateway secrets` does."""

from contextlib import AsyncExitStack

import asyncpg

from gateway.cli.actions.database import open_tables
from gateway.cli.actions.simulated import with_simulator
from gateway.cli.console import out
from gateway.domain.errors import ConfigError, GatewayError
from gateway.postgres.sessions.credentials import CredentialTable
from gateway.postgres.sessions.sessions import SessionTable
from gateway.postgres.sessions.stored_secrets import StoredSecrets
from gateway.postgres.sessions.vault import Vault
from gateway.services.auth.account_token import AccountToken
from gateway.services.sessions.cache import SessionCache
from gateway.settings import Settings
from gateway.wasender.calls import PATIENT
from gateway.wasender.client import WasenderClient


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
    settings = with_simulator(settings)
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

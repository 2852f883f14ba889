"""The account token in `integrations`, and one-time tickets."""

from typing import Any

from gateway.postgres.connection.driver import Pool
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.sessions.vault import Vault

INTEGRATION = "wasender"


class CredentialTable:
    """Keeps the account token, sealed as the vault says, and tickets as digests."""

    def __init__(self, pool: Pool, vault: Vault) -> None:
        self._pool = pool
        self._vault = vault

    async def account_token(self) -> str | None:
        """WasenderAPI's account token as the shop or the operator stored it; None if there is no active one."""
        with mapped_errors():
            token = await self._pool.fetchval(
                """
                SELECT api_key FROM public.integrations
                WHERE lower(integration_name) IN ('wasender', 'wasenderapi', 'wasender_api')
                  AND coalesce(is_active, true) AND api_key <> ''
                ORDER BY lower(integration_name)
                LIMIT 1
                """
            )
        return self._vault.open(token)

    async def set_account_token(self, token: str) -> None:
        """Stores WasenderAPI's account token as the active one. Raises StoreUnavailable."""
        with mapped_errors():
            await self._pool.execute(
                """
                INSERT INTO public.integrations AS i (integration_name, api_key, is_active)
                VALUES ($1, $2, true)
                ON CONFLICT (integration_name) DO UPDATE SET api_key = excluded.api_key, is_active = true
                """,
                INTEGRATION,
                self._vault.seal(token),
            )

    async def keep_ticket(self, digest: bytes, kind: str, claims: dict[str, Any], life_s: float) -> None:
        """Keeps a ticket's digest and claims for `life_s` seconds; expired ones go. Raises StoreUnavailable."""
        with mapped_errors():
            await self._pool.execute("DELETE FROM gateway.tickets WHERE expires_at < now()")
            await self._pool.execute(
                "INSERT INTO gateway.tickets (digest, kind, claims, expires_at, created_at)"
                " VALUES ($1, $2, $3, now() + make_interval(secs => $4), now())",
                digest,
                kind,
                claims,
                life_s,
            )

    async def use_ticket(self, digest: bytes) -> tuple[str, dict[str, Any]] | None:
        """Kind and claims of an unexpired ticket, which is gone from then on. Raises StoreUnavailable."""
        # Deleting is what makes it one-time, on whichever gateway it is shown first.
        with mapped_errors():
            row = await self._pool.fetchrow(
                "DELETE FROM gateway.tickets WHERE digest = $1 RETURNING kind, claims, expires_at > now() AS is_alive",
                digest,
            )
        return (row["kind"], row["claims"]) if row and row["is_alive"] else None

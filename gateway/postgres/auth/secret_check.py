"""Whether all gateways of a database have the same GATEWAY_SECRET: a value in gateway.settings that tells nothing else.

The value is made of the secret by scrypt with a salt of its own, so that a short secret cannot be guessed from it
faster than from a login.
"""

import asyncio
import hashlib
import hmac
import secrets
from typing import Literal

import asyncpg

from gateway.postgres.connection.pool import mapped_errors

SecretFinding = Literal["same", "first", "rotated", "replaced", "differs"]

ALIVE_S = 15.0
"""A gateway whose row is younger than this runs."""

_READ = "SELECT value FROM gateway.settings WHERE key = 'secret_check'"
_WRITE = """
INSERT INTO gateway.settings (key, value) VALUES ('secret_check', $1)
ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""
_OTHERS = """
SELECT EXISTS (SELECT FROM gateway.gateways WHERE id::text <> $1 AND seen_at > now() - make_interval(secs => $2))
"""


async def compare_secret(
    pool: asyncpg.Pool, secret: str, previous: str | None, gateway_id: str
) -> SecretFinding:
    """How this secret stands to the one of the other gateways; from now on it is the one, unless it `differs`.

    `rotated`: the others had `previous`. `replaced`: they had another, and none of them runs. Raises StoreUnavailable.
    """
    with mapped_errors():
        kept = await pool.fetchval(_READ)
    finding: SecretFinding = "first"
    if isinstance(kept, dict) and isinstance(kept.get("salt"), str):
        if await _fits(kept, secret):
            return "same"
        finding = "rotated" if previous and await _fits(kept, previous) else "replaced"
    with mapped_errors():
        if finding == "replaced" and await pool.fetchval(_OTHERS, gateway_id, ALIVE_S):
            return "differs"
        salt = secrets.token_hex(16)
        await pool.execute(_WRITE, {"salt": salt, "value": await asyncio.to_thread(_derived, secret, salt)})
    return finding


async def is_the_others(pool: asyncpg.Pool, secret: str, previous: str | None) -> bool:
    """Whether the gateways of this database have this secret, or had `previous`; also where none has been started."""
    with mapped_errors():
        kept = await pool.fetchval(_READ)
    if not isinstance(kept, dict) or not isinstance(kept.get("salt"), str):
        return True
    return await _fits(kept, secret) or bool(previous and await _fits(kept, previous))


async def _fits(kept: dict[str, str], secret: str) -> bool:
    derived = await asyncio.to_thread(_derived, secret, kept["salt"])
    return hmac.compare_digest(derived, str(kept.get("value")))


def _derived(secret: str, salt: str) -> str:
    return hashlib.scrypt(secret.encode(), salt=salt.encode(), n=2**14, r=8, p=1, dklen=32).hex()

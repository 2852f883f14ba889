"""Which media store the gateways of a database use: told apart by its marker."""

from typing import Any, Literal

import asyncpg

from gateway.postgres.connection.pool import mapped_errors

StoreFinding = Literal["same", "moved", "differs"]

ALIVE_S = 15.0
"""A gateway whose row is younger than this runs."""

STARTING_S = 60.0
"""So long after it has named the store a gateway may still be starting."""

_FIRST = """
INSERT INTO gateway.settings (key, value) VALUES ('media_store', jsonb_build_object(
    'store', $1::text, 'gateway', $2::text, 'at', extract(epoch FROM now()), 'url', $3::text))
ON CONFLICT (key) DO NOTHING
"""
_READ = """
SELECT value ->> 'store' AS store,
    EXISTS (
        SELECT FROM gateway.gateways WHERE id::text <> $1 AND seen_at > now() - make_interval(secs => $2)
    ) OR (value ->> 'gateway' <> $1 AND (value ->> 'at')::float8 > extract(epoch FROM now()) - $3
        AND EXISTS (SELECT FROM gateway.gateways WHERE id::text = value ->> 'gateway')) AS is_used
FROM gateway.settings WHERE key = 'media_store'
"""
_MOVE = """
UPDATE gateway.settings
SET value = jsonb_build_object(
    'store', $1::text, 'gateway', $2::text, 'at', extract(epoch FROM now()), 'url', $3::text)
WHERE key = 'media_store'
"""

_NAME = """
UPDATE gateway.settings SET value = value || jsonb_build_object('url', $1::text)
WHERE key = 'media_store' AND value ->> 'url' IS DISTINCT FROM $1
"""


async def compare_store(pool: asyncpg.Pool, store: str, url: str, gateway_id: str) -> StoreFinding:
    """How this store stands to the one that the gateways of the database use; unless it `differs`, it is that now.

    `moved`: it is another one, and no other gateway runs. Raises StoreUnavailable.
    """
    with mapped_errors():
        await pool.execute(_FIRST, store, gateway_id, url)
        known: Any = await pool.fetchrow(_READ, gateway_id, ALIVE_S, STARTING_S)
        if known is None or known["store"] == store:
            await pool.execute(_NAME, url)
            return "same"
        if known["is_used"]:
            return "differs"
        await pool.execute(_MOVE, store, gateway_id, url)
    return "moved"

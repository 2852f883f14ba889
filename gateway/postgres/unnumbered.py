"""Changes that a transaction could not number as it committed: REPEATABLE READ, SERIALIZABLE, PREPARE TRANSACTION."""

import asyncpg

from gateway.postgres.connection.pool import mapped_errors
from gateway.services.live.numbering import Numbered

_ANY_SQL = """
SELECT EXISTS (SELECT FROM gateway.unnumbered_transactions),
    current_setting('max_prepared_transactions')::int > 0
"""
_NUMBER_SQL = "SELECT gateway.number_unnumbered_v1()"


class UnnumberedTable:
    """Transactions that left their changes to be numbered."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def number(self) -> Numbered:
        """Numbers up to a hundred of them. Raises StoreUnavailable."""
        with mapped_errors():
            async with self._pool.acquire() as connection:
                found = await connection.fetchrow(_ANY_SQL)
                assert found is not None
                is_waiting, may_prepare = found
                count = 0
                if is_waiting:
                    # The database's default may be another: rows are read as they are once the counters are locked.
                    async with connection.transaction(isolation="read_committed"):
                        count = await connection.fetchval(_NUMBER_SQL)
        return Numbered(count, may_prepare)

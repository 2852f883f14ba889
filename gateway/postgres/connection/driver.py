"""What the statements of this room are run on, as annotations name it."""

import asyncpg

Pool = asyncpg.Pool

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
"""One of its own, or one on loan from the pool."""

"""Postgres is there and takes nothing, while WasenderAPI goes on: every webhook is in the table afterwards."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from tests.faults.server import Server
from tests.faults.storm import weather
from tests.faults.town import Town


@contextlib.asynccontextmanager
async def locked_table(place: Town) -> AsyncIterator[None]:
    """A stranger holds the whole table."""
    connection = await asyncpg.connect(place.dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE whatsapp_incoming_messages IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def test_webhooks_while_postgres_is_read_only_are_all_in_the_table_afterwards(
    server: Server, tmp_path: Path, way: str
) -> None:
    await weather(server, tmp_path, way, lambda place: place.server.read_only())


async def test_webhooks_while_the_table_is_locked_are_all_in_the_table_afterwards(
    server: Server, tmp_path: Path, way: str
) -> None:
    await weather(server, tmp_path, way, locked_table)

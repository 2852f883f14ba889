"""Postgres is away while WasenderAPI goes on: every webhook is in the table afterwards.

Away for four seconds here instead of twenty: the spool takes over after two.
"""

from pathlib import Path

from tests.faults.server import Server
from tests.faults.storm import weather


async def test_two_hundred_webhooks_a_second_while_postgres_is_away_are_all_in_the_table_afterwards(
    server: Server, tmp_path: Path, way: str
) -> None:
    await weather(server, tmp_path, way, lambda place: place.server.away())

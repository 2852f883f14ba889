"""Two thousand browsers lose their connections in the same moment."""

import asyncio
import resource
from pathlib import Path

import asyncpg
import pytest

from tests.faults.crowd import Client
from tests.faults.proxy import Proxy
from tests.faults.server import Server
from tests.faults.town import town
from tests.faults.writers import add_session
from tests.launcher.running import mint
from tests.launcher.settings import SECRET
from tests.postgres.writers import insert_message

CLIENTS = 2000
BACK_WITHIN_S = 15.0
QUERIES_PER_S = 50
LOAD = 4.0
"""Tests share a machine with others; the bound on queries is not stretched, only the time allowed."""


@pytest.fixture
def many_files() -> None:
    """Allowance for the sockets of both sides, here and in what is forked."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 3 * CLIENTS), most))


class Counter:
    """Round trips to Postgres: every extended query ends with a Sync, every simple one is a Query."""

    def __init__(self, wire: Proxy) -> None:
        self.count = 0
        wire.on_piece = self._on_piece

    def _on_piece(self, link: int, is_forth: bool, piece: bytes) -> None:
        if is_forth:
            self.count += piece.count(b"S\0\0\0\x04") + piece.startswith(b"Q")


async def test_two_thousand_cut_at_once_are_back_and_caught_up_soon_and_cost_postgres_little(
    many_files: None, server: Server, tmp_path: Path, way: str
) -> None:
    async with town(server, tmp_path, ways=(way,)) as place:
        writer = await asyncpg.connect(place.dsn)
        await add_session(writer, 12)
        child = place.houses[0].child
        clients = [Client(child.address, mint(SECRET)) for _ in range(CLIENTS)]
        try:
            await asyncio.gather(*(client.come(b"") for client in clients))
            after = b',"after":{"off":0,"epoch":"' + clients[0].epoch() + b'"}'
            for client in clients:
                client.vanish()
            for number in range(20):
                await insert_message(writer, 12, message_text=f"text {number}")
            counter = Counter(place.houses[0].to_postgres)
            began = asyncio.get_running_loop().time()
            async with asyncio.timeout(BACK_WITHIN_S * LOAD):
                await asyncio.gather(*(client.come(after) for client in clients))
                await asyncio.gather(*(client.see(b'"off":20,') for client in clients))
            took_s = asyncio.get_running_loop().time() - began

            assert counter.count < QUERIES_PER_S * max(1.0, took_s), f"{counter.count} in {took_s:.1f} s"
            assert all(client.offs() == list(range(1, 21)) for client in clients)
        finally:
            for client in clients:
                client.vanish()
            await writer.close()

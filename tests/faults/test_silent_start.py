"""Postgres falls silent while a gateway starts: it ends in bounded time, with one sentence.

Not so while it looks at the schema and migrates: an index may take long, and only the network can tell that nobody is
there (TCP keepalive). Nor once it serves: then it waits for Postgres to come back.
"""

from pathlib import Path

import pytest

from tests.faults.proxy import Proxy
from tests.faults.server import Server
from tests.launcher.child import Child, Refusal


class Silence:
    """Lets so many pieces through, and then nothing."""

    def __init__(self, wire: Proxy, pieces: int) -> None:
        self._wire = wire
        self._left = pieces
        wire.on_piece = self._on_piece

    def _on_piece(self, link: int, is_forth: bool, piece: bytes) -> None:
        self._left -= 1
        if self._left == 0:
            self._wire.hold()


@pytest.mark.parametrize("pieces", [3, 40, 92])
async def test_a_start_in_front_of_a_postgres_that_falls_silent_ends_by_itself(
    server: Server, tmp_path: Path, pieces: int
) -> None:
    quick = {"gateway.postgres.connection.pool.CONNECT_TIMEOUT_S": 3.0}
    async with server.database() as name, Proxy(lambda: server.socket).running() as wire:
        child = Child(server.through(wire.port, name), tmp_path, constants=quick)
        Silence(wire, pieces)
        with pytest.raises(Refusal) as refusal:
            await child.start()

        assert str(refusal.value).endswith(".")
        assert "Traceback" not in child.said()
        assert not child.runs

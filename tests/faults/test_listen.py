"""What is committed between LISTEN and the moment the driver would call us back: it tells nobody."""

import asyncio
from pathlib import Path

import asyncpg

from gateway.postgres.connection.listener import APPLICATION
from gateway.runtime.context import Timings
from tests.faults.proxy import Proxy, ignore
from tests.faults.server import Server
from tests.launcher.running import running
from tests.launcher.settings import NOWHERE, settings_for
from tests.postgres.ears import comes_true
from tests.postgres.writers import insert_message
from tests.realtime.live import until

LISTEN = b"LISTEN whatsapp_incoming_messages"

_LISTENS = """
SELECT count(*) = 1 FROM pg_stat_activity
WHERE application_name = $1 AND datname = current_database() AND state = 'idle' AND query LIKE 'LISTEN%'
"""


class HeldAnswer:
    """Lets the next LISTEN through to Postgres, and holds everything that follows."""

    def __init__(self, wire: Proxy) -> None:
        self._wire = wire
        self._prepared: int | None = None
        self.is_held = asyncio.Event()
        wire.on_piece = self._on_piece

    def _on_piece(self, link: int, is_forth: bool, piece: bytes) -> None:
        if not is_forth:
            return
        if self._prepared == link:  # the driver prepares the statement, and then executes it
            self._wire.on_piece = ignore
            self._wire.hold()
            self.is_held.set()
        elif LISTEN in piece.replace(b'"', b""):
            self._prepared = link


async def test_a_row_between_listen_and_callback_is_shown(server: Server, tmp_path: Path, way: str) -> None:
    """The answer to LISTEN and the bell of the row reach the driver together, and it drops the bell."""
    async with server.database() as name, Proxy(lambda: server.socket).running() as wire:
        settings = settings_for(server.through(wire.port, name), tmp_path, **{**NOWHERE, "simulator": False})
        writer = await asyncpg.connect(server.dsn_of(name))
        async with running(settings, timings=Timings(tick_s=3600)) as live, live.socket() as browser:
            await browser.subscribe("inbox:12")
            await insert_message(writer, 12)
            await browser.event("message.created")
            answer = HeldAnswer(wire)
            await writer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = $1 AND datname = current_database()",
                APPLICATION,
            )
            async with asyncio.timeout(20):
                await answer.is_held.wait()
            await comes_true(lambda: writer.fetchval(_LISTENS, APPLICATION))
            await insert_message(writer, 12, message_text="in between")
            await comes_true(lambda: writer.fetchval("SELECT pg_notification_queue_usage() = 0"))
            wire.release()

            event = await browser.event("message.created")
            assert (event["off"], event["data"]["message_text"]) == (2, "in between")
            await until(lambda: live.gateway.stale_since is None, "all is well")
        await writer.close()

"""The watchdog: when the loop stands still, the backend behind the listening connection is free again."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import asyncpg
import pytest

from gateway.postgres.connection.watchdog import Watchdog
from tests.postgres.ears import Ears, comes_true

PATIENCE_S = 30.0


class Elsewhere:
    """A loop in a thread of its own, with a listener, that can be made to stand still."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._go_on = threading.Event()
        self._is_up = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.ears: Ears | None = None
        self.backend = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()))

    def start(self) -> None:
        self._thread.start()
        assert self._is_up.wait(PATIENCE_S)

    async def _live(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self.ears = Ears(self._dsn, 60, watchdog=Watchdog(stall_s=0.3, look_s=0.05))
        await self.ears.listener.open()
        running = asyncio.create_task(self.ears.listener.run(), name="listener")
        self.backend = await self.ears.backend()
        self._is_up.set()
        await self._end.wait()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await self.ears.listener.close()

    def stand_still(self) -> None:
        self._call(lambda: self._go_on.wait(PATIENCE_S))

    def go_on(self) -> None:
        self._go_on.set()

    def end(self) -> None:
        self.go_on()
        self._call(lambda: self._end.set())
        self._thread.join(PATIENCE_S)

    def _call(self, what: Callable[[], object]) -> None:
        assert self.loop is not None
        self.loop.call_soon_threadsafe(what)


@pytest.fixture
def elsewhere(database: str) -> Iterator[Elsewhere]:
    other = Elsewhere(database)
    other.start()
    try:
        yield other
    finally:
        other.end()


async def test_a_loop_that_stands_still_loses_its_listener_and_comes_back_by_itself(
    elsewhere: Elsewhere, connection: asyncpg.Connection
) -> None:
    elsewhere.stand_still()
    # More than the socket holds: the backend has to wait for somebody who does not read.
    await connection.execute(
        "SELECT pg_notify('whatsapp_sessions', repeat('x', 7000) || i) FROM generate_series(1, 300) AS i"
    )

    async def is_gone() -> bool:
        sql = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)"
        return bool(await connection.fetchval(sql, elsewhere.backend))

    await comes_true(is_gone)
    assert elsewhere.ears is not None
    assert elsewhere.ears.log.count("up") == 1, "the loop has gone on by itself"
    elsewhere.go_on()

    async def is_back() -> bool:
        assert elsewhere.ears is not None
        return elsewhere.ears.log.count("down") == 1 and elsewhere.ears.log.count("up") == 2

    await comes_true(is_back)


async def test_a_loop_that_turns_keeps_its_connection(database: str) -> None:
    ears = Ears(database, 60, watchdog=Watchdog(stall_s=0.2, look_s=0.02))
    await ears.listener.open()
    async with asyncio.timeout(PATIENCE_S):
        backend = await ears.backend()
        for _ in range(20):  # longer than it would be allowed to stand still
            await asyncio.sleep(0.02)
        assert await ears.backend() == backend
    await ears.listener.close()


class Connected:
    """What the watchdog sees of an asyncpg connection."""

    def __init__(self, ours: socket.socket) -> None:
        self._transport = self
        self._ours = ours

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self._ours


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()
    return ours, theirs


async def test_over_tcp_too_the_other_end_gets_out_of_its_write() -> None:
    ours, theirs = tcp_pair()
    full, out = threading.Event(), threading.Event()

    def write_for_ever() -> None:
        theirs.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while True:
                theirs.send(bytes(65536))
        full.set()
        theirs.settimeout(PATIENCE_S)
        try:
            while True:
                theirs.send(bytes(65536))
        except TimeoutError:
            pass
        except OSError:
            out.set()

    writer = threading.Thread(target=write_for_ever)
    writer.start()
    watchdog = Watchdog(stall_s=0.3, look_s=0.05)
    assert full.wait(PATIENCE_S)
    watchdog.guard(Connected(ours))
    watchdog.open()
    assert out.wait(PATIENCE_S), "it still waits for the window to open"  # this loop stands still meanwhile

    watchdog.close()
    writer.join()
    ours.close()
    theirs.close()

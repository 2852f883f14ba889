"""A listener with a memory of what it heard."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg

from gateway.domain.backoff import Backoff
from gateway.postgres.connection.listener import BACKOFF, STATEMENT_S, Listener, ListenerSettings
from gateway.postgres.connection.pool import CONNECT_TIMEOUT_S
from gateway.postgres.connection.watchdog import Watchdog
from gateway.services.signals import Signals


class Ears:
    """A listener and its log: `up`, `down`, and each bell as `message <payload>` or `session <payload>`."""

    def __init__(
        self,
        dsn: str,
        probe_s: float,
        watchdog: Watchdog | None = None,
        statement_s: float = STATEMENT_S,
        backoff: Backoff = BACKOFF,
        connect_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.log: list[str] = []
        self._moved = asyncio.Event()
        self.listener = Listener(
            dsn,
            self._signals(),
            ListenerSettings(
                self.id, "UTC", probe_s, statement_s=statement_s, connect_s=connect_s, backoff=backoff
            ),
            watchdog=watchdog,
        )

    def _signals(self) -> Signals:
        signals = Signals()
        signals.inboxes_moved.connect(lambda payload: self._note_payload(f"message {payload}"))
        signals.sessions_moved.connect(lambda payload: self._note_payload(f"session {payload}"))
        signals.listening.connect(lambda: self._note("up"))
        signals.cut_off.connect(lambda: self._note("down"))
        return signals

    def _note_payload(self, what: str) -> None:
        if not what.endswith(" *"):  # what a new connection says of all channels is `up` here
            self._note(what)

    def _note(self, what: str) -> None:
        self.log.append(what)
        self._moved.set()

    async def hears(self, what: str, times: int = 1) -> None:
        async with asyncio.timeout(20):
            while self.log.count(what) < times:
                self._moved.clear()
                await self._moved.wait()

    async def backend(self) -> int:
        """Process id of its connection at the server."""
        pid: int = await self.listener.statement("SELECT pg_backend_pid()")
        return pid


@contextlib.asynccontextmanager
async def listening(
    dsn: str, *, probe_s: float = 0.05, statement_s: float = STATEMENT_S, backoff: Backoff = BACKOFF
) -> AsyncIterator[Ears]:
    """A listener that is up and kept up."""
    ears = Ears(dsn, probe_s, statement_s=statement_s, backoff=backoff)
    await ears.listener.open()
    task = asyncio.create_task(ears.listener.run(), name="listener")
    try:
        yield ears
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await ears.listener.close()


@contextlib.asynccontextmanager
async def silently_listening(dsn: str) -> AsyncIterator[Ears]:
    """A listener that is up, and asks nothing of its own accord."""
    ears = Ears(dsn, probe_s=600)
    await ears.listener.open()
    try:
        yield ears
    finally:
        await ears.listener.close()


async def comes_true(ask: Callable[[], Awaitable[bool]]) -> None:
    """Asks until the answer is yes; fails after the deadline."""
    async with asyncio.timeout(20):
        while not await ask():  # noqa: ASYNC110  Postgres does not say when it has changed its mind
            await asyncio.sleep(0.01)


async def end_backend(connection: asyncpg.Connection, pid: int) -> None:
    assert await connection.fetchval("SELECT pg_terminate_backend($1)", pid)


async def seen_ago(connection: asyncpg.Connection, gateway_id: Any, seconds: float) -> None:
    """Makes a gateway look as if it had not been seen for so long."""
    await connection.execute(
        "UPDATE gateway.gateways SET seen_at = clock_timestamp() - make_interval(secs => $2) WHERE id = $1",
        gateway_id,
        seconds,
    )

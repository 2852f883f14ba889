"""When the listener notices what nobody announces, and when it tries again: on a clock that jumps."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.postgres.connection import listener as listeners
from gateway.postgres.connection.listener import BACKOFF, Listener, ListenerSettings
from gateway.services.signals import Signals
from gateway.settings import Settings
from tests.clock import now, virtual_time

DEFAULT_PROBE_S = Settings.model_fields["probe_s"].default
LATENCY_S = 0.01


class Wire:
    """A database behind a wire: `is_cut` lets nothing through and says nothing; `is_gone` refuses to connect."""

    def __init__(self) -> None:
        self.is_cut = self.is_gone = False
        self.attempts: list[float] = []
        self.connections: list[Connection] = []

    async def connect(self, dsn: str, **_: Any) -> "Connection":
        self.attempts.append(now())
        if self.is_gone:
            raise ConnectionRefusedError
        self.connections.append(Connection(self))
        return self.connections[-1]


class Connection:
    """As much of asyncpg's as the listener uses."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._ears: dict[str, Callable[..., None]] = {}

    async def _reach(self) -> None:
        await asyncio.sleep(LATENCY_S)
        if self._wire.is_cut:
            await asyncio.get_running_loop().create_future()

    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None:
        await self._reach()
        self._ears[channel] = callback

    async def execute(self, sql: str, *arguments: Any) -> None:
        await self._reach()

    async def fetchval(self, sql: str, *arguments: Any) -> None:
        await self._reach()
        if "pg_notify" in sql:
            self._ears[arguments[0]](self, 0, arguments[0], "")

    def ring(self) -> None:
        self._ears[listeners.MESSAGES_CHANNEL](self, 0, listeners.MESSAGES_CHANNEL, "12")

    def add_termination_listener(self, callback: Any) -> None: ...
    def is_closed(self) -> bool:
        return False

    def terminate(self) -> None: ...
    async def close(self) -> None: ...


@contextlib.asynccontextmanager
async def listening(
    wire: Wire, patch: pytest.MonkeyPatch, probe_s: float = DEFAULT_PROBE_S
) -> AsyncIterator[tuple[Listener, list[float]]]:
    """A listener that is up, and the moments at which it went down."""
    patch.setattr(listeners, "connect_direct", wire.connect)
    downs: list[float] = []
    signals = Signals()
    signals.cut_off.connect(lambda: downs.append(now()))
    listener = Listener("dsn", signals, ListenerSettings("g", "UTC", probe_s))
    await listener.open()
    running = asyncio.create_task(listener.run(), name="listener")
    try:
        yield listener, downs
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await listener.close()


@pytest.mark.parametrize("probe_s", [DEFAULT_PROBE_S, 60.0])
@pytest.mark.parametrize("is_busy", [False, True])
def test_a_cut_that_nobody_announces_is_noticed_within_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, probe_s: float, is_busy: bool
) -> None:
    @virtual_time
    async def scenario() -> None:
        for step in range(40):  # at every moment of its round
            wire = Wire()
            async with listening(wire, monkeypatch, probe_s) as (_, downs):
                until = now() + 20 + step * 0.25
                while now() < until:
                    await asyncio.sleep(0.25)
                    if is_busy:  # bells are a sign of life, and must not hide the cut afterwards
                        wire.connections[-1].ring()
                wire.is_cut, cut_at = True, now()
                await asyncio.sleep(10)

                assert downs, f"not noticed {step * 0.25} s into its round"
                assert downs[0] - cut_at < 10

    scenario()


def test_while_the_database_is_away_it_tries_ever_more_slowly_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @virtual_time
    async def scenario() -> None:
        wire = Wire()
        async with listening(wire, monkeypatch) as (_, downs):
            wire.is_gone = wire.is_cut = True
            await asyncio.sleep(300)

        assert len(downs) == 1
        pauses = [
            later - earlier for earlier, later in zip(wire.attempts[1:], wire.attempts[2:], strict=False)
        ]
        assert pauses[0] <= 0.5
        assert all(2.5 <= pause <= 5.0 for pause in pauses[6:])
        assert len({round(pause, 6) for pause in pauses[6:]}) > 10, "all gateways would come at once"

    scenario()


def test_the_pauses_start_anew_once_a_connection_has_held(monkeypatch: pytest.MonkeyPatch) -> None:
    @virtual_time
    async def scenario() -> None:
        wire = Wire()
        async with listening(wire, monkeypatch) as (listener, downs):
            wire.is_gone = wire.is_cut = True
            await asyncio.sleep(60)
            wire.is_gone = wire.is_cut = False
            await asyncio.sleep(60)
            assert listener.is_up
            tried = len(wire.attempts)
            wire.is_cut = True
            await asyncio.sleep(20)
            assert wire.attempts[tried] - downs[-1] <= 0.25

    scenario()


def test_a_back_off_is_at_least_half_of_its_longest() -> None:
    assert [BACKOFF.pause_s(failures, 1.0) for failures in range(1, 8)] == [
        0.25,
        0.5,
        1.0,
        2.0,
        4.0,
        5.0,
        5.0,
    ]
    assert [BACKOFF.pause_s(failures, 0.0) for failures in (1, 6, 10_001)] == [0.125, 2.5, 2.5]


def test_who_wakes_it_while_it_lets_go_waits_for_nothing_and_keeps_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hangs(sql: str, *arguments: Any) -> None:
        await asyncio.get_running_loop().create_future()

    @virtual_time
    async def scenario() -> None:
        for step in range(20):  # at every moment of its round
            wire = Wire()
            async with listening(wire, monkeypatch) as (listener, downs):
                await asyncio.sleep(20 + step * 0.2)
                monkeypatch.setattr(wire.connections[0], "execute", hangs)
                falling_asleep = asyncio.create_task(listener.sleep(), name="sleep")
                await asyncio.sleep(0.05)
                listener.wake()
                await asyncio.sleep(0.5)
                assert listener.is_up
                await falling_asleep
                await asyncio.sleep(30)

                assert downs == []
                assert len(wire.connections) == 2

    scenario()

"""The end of all sockets, on a clock that jumps: told, closed one after the other, nobody waited for."""

import asyncio
from collections.abc import Callable
from typing import cast

from gateway.realtime.drain import drain
from gateway.realtime.transport.socket_transport import ABORT_AFTER_S, SocketTransport
from tests.clock import now, virtual_time


class FakeSocket:
    """Its client answers a close after `answers_s`; None is one that reads nothing."""

    def __init__(self, answers_s: float | None) -> None:
        self.transport = cast(SocketTransport, self)
        self.answers_s = answers_s
        self.warned_ms: int | None = None
        self.closed_at: float | None = None
        self.code: int | None = None
        self.was_aborted = self.has_gone = False

    def is_gone(self) -> bool:
        return self.has_gone

    def go(self) -> None:
        self.has_gone = True

    def close(self, code: int, reason: str) -> None:
        self.closed_at, self.code = now(), code
        if self.answers_s is not None:
            asyncio.get_running_loop().call_later(self.answers_s, self.go)

    def abort(self) -> None:
        self.was_aborted = self.has_gone = True


class Room:
    def __init__(self) -> None:
        self.sockets: list[FakeSocket] = []
        self.hasten = asyncio.Event()
        self.warn: Callable[[FakeSocket, int], None] = self._warn

    def add(self, count: int, answers_s: float | None = 0.01) -> list[FakeSocket]:
        added = [FakeSocket(answers_s) for _ in range(count)]
        self.sockets += added
        return added

    def _warn(self, socket: FakeSocket, ms: int) -> None:
        assert socket.closed_at is None, "told after it was closed"
        socket.warned_ms = ms

    async def drain(self) -> float:
        start = now()
        await drain(self.sockets, self.warn, self.hasten)
        assert all(socket.has_gone for socket in self.sockets)
        return now() - start


def closes_of(sockets: list[FakeSocket], since: float) -> list[float]:
    return sorted((socket.closed_at or 0.0) - since for socket in sockets)


@virtual_time
async def test_a_few_sockets_are_closed_at_once() -> None:
    room = Room()
    few = room.add(3)

    assert await room.drain() < 0.2
    assert {socket.code for socket in few} == {1012}


@virtual_time
async def test_many_are_closed_one_slice_after_the_other_within_three_seconds() -> None:
    room = Room()
    many, start = room.add(6000), now()
    took = await room.drain()

    closes = closes_of(many, start)
    assert 2.5 < closes[-1] <= 3.1
    assert max(closes.count(at) for at in set(closes)) <= 6000 / 50
    assert took < 3.5


@virtual_time
async def test_each_is_told_to_come_back_after_its_own_close_and_not_with_all_others() -> None:
    room = Room()
    many, start = room.add(1000), now()
    await room.drain()

    for socket in many:
        assert socket.warned_ms is not None
        assert socket.warned_ms / 1000 > (socket.closed_at or 0.0) - start
    back = sorted(socket.warned_ms or 0 for socket in many)
    assert max(sum(1 for ms in back if at <= ms < at + 100) for at in range(0, 6000, 100)) < 100


@virtual_time
async def test_whoever_reads_nothing_is_waited_for_five_seconds_and_then_cut_off() -> None:
    room = Room()
    reading, (deaf,) = room.add(20), room.add(1, answers_s=None)

    assert ABORT_AFTER_S <= await room.drain() < ABORT_AFTER_S + 1.0
    assert deaf.was_aborted
    assert not any(socket.was_aborted for socket in reading)


@virtual_time
async def test_a_second_signal_closes_all_at_once_and_waits_for_nobody() -> None:
    room = Room()
    room.add(6000)
    room.add(1, answers_s=None)
    asyncio.get_running_loop().call_later(0.5, room.hasten.set)

    assert await room.drain() < 1.5


@virtual_time
async def test_whoever_has_gone_before_its_turn_is_left_alone() -> None:
    room = Room()
    many = room.add(1000)
    early = many[500:]

    for socket in early:
        asyncio.get_running_loop().call_later(0.0, socket.go)
    await room.drain()

    gone = [socket for socket in early if socket.closed_at is None]
    assert len(gone) > 450  # a slice may have been closed before

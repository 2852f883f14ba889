"""The end of a gateway's sockets: each is told when to come back, they are closed one after the other, and nobody
who reads nothing is waited for.

uvicorn alone closes all of them in one step, so that all come back in one step, and never ends while one of them
takes nothing.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from gateway.realtime import close_codes
from gateway.realtime.transport.socket_transport import ABORT_AFTER_S, SocketTransport

PER_SOCKET_S = 0.002
MAX_SPREAD_S = 3.0
"""The closes are spread over so long, or over PER_SOCKET_S each when they are few: clients that come back at
once would all log in and catch up in the same moment."""

SLICE_S = 0.05
RETURN_SPREAD_MS = 3000
HASTY_S = 0.5


class Leaving(Protocol):
    """A connection that is asked to come back later."""

    transport: SocketTransport

    def close(self, code: int, reason: str) -> None:
        """Closes the socket with this code and reason, after what is written already."""


Socket = TypeVar("Socket", bound=Leaving)


async def drain(
    sockets: Sequence[Socket], warn: Callable[[Socket, int], None], hasten: asyncio.Event
) -> None:
    """Returns when all of them have gone.

    `warn` tells one to come back after so many milliseconds. It takes MAX_SPREAD_S and ABORT_AFTER_S at the
    most; once `hasten` is set, a moment.
    """
    waiting = deque(sockets)
    spread_s = min(MAX_SPREAD_S, PER_SOCKET_S * len(waiting))
    slices = max(1, round(spread_s / SLICE_S))
    share = math.ceil(len(waiting) / slices)
    for number, socket in enumerate(tuple(waiting)):
        # Not before its turn has come to be closed: back sooner, it would be turned away here.
        closed_ms = round(number / len(waiting) * spread_s * 1000)
        warn(socket, closed_ms + 200 + number * 37 % RETURN_SPREAD_MS)
        if number % 100 == 99:
            await asyncio.sleep(0)
    while waiting:
        for _ in range(len(waiting) if hasten.is_set() else min(share, len(waiting))):
            socket = waiting.popleft()
            if not socket.transport.is_gone():
                socket.close(close_codes.RESTART, "the gateway restarts")
        if waiting:
            await _pause(hasten, SLICE_S)
    await _wait_until_gone(sockets, hasten)


async def _wait_until_gone(sockets: Sequence[Leaving], hasten: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    # A close aborts by itself when its time is over; this is for what that does not end.
    deadline = loop.time() + ABORT_AFTER_S + HASTY_S
    while left := [socket for socket in sockets if not socket.transport.is_gone()]:
        if hasten.is_set():
            deadline = min(deadline, loop.time() + HASTY_S)
        if loop.time() > deadline:
            for socket in left:
                socket.transport.abort()
            return
        if hasten.is_set():
            await asyncio.sleep(SLICE_S)
        else:
            await _pause(hasten, SLICE_S)


async def _pause(hasten: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await hasten.wait()
    except TimeoutError:
        pass

"""The latency probe: how long a committed change takes to a socket of our own on this machine.

Its events are committed into a stream of their own, off the shop's tables. From there they take the way of every
message: the notification, the feed's read, the hub, and a write of a ready frame to a socket of the loopback interface,
at whose other end the time is taken.

Lifecycle: `run` probes until it is cancelled.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Protocol

from prometheus_client import Counter, Histogram

from gateway.domain.errors import GatewayError, StoreUnavailable
from gateway.domain.streams import PROBE_INBOX, Event, Inbox, Place, Position
from gateway.realtime.hub.cursors import Cursor
from gateway.realtime.hub.hub import Hub
from gateway.realtime.hub.tail import Frames
from gateway.realtime.transport.framing import Burst, Frame
from gateway.services.deadlines import within
from gateway.services.live.feed import Feed

logger = logging.getLogger(__name__)

PROBE_EVERY_S = 15.0
LOST_S = 10.0
"""A probe that has not come by then is lost."""

TOOK = Histogram(
    "gateway_probe_seconds",
    "From the insert of a probe to its arrival at a socket of this machine.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LOST = Counter("gateway_probes_lost", "Probes that did not arrive.")


class ProbeStore(Protocol):
    """Where probes are committed. Raises StoreUnavailable."""

    async def probe(self, gateway_id: str, number: int) -> None:
        """Commits one event of the probe's stream."""


def _frames(event: Event) -> Frames:
    record = event.record or {}
    return (Frame(f"{record.get('gateway')} {record.get('number')}\n".encode()),)


class _Follower:
    """Follows the probe's stream for the hub, and writes to one end of the pair of sockets."""

    def __init__(self, hub: Hub, end: socket.socket) -> None:
        self._hub = hub
        self._end = end
        self.cursor: Cursor | None = None

    def send(self, burst: Burst) -> bool:
        with contextlib.suppress(OSError):  # full: the probe is lost, and nothing waits for it
            self._end.send(burst.wire)
        return True

    def catch_up(self) -> None:
        asyncio.get_running_loop().call_soon(self._jump)

    def _jump(self) -> None:
        """What was missed is of no use: it goes on from where the hub stands."""
        position = self._hub.position(PROBE_INBOX)
        if self.cursor is not None and position is not None:
            self.cursor.start_from(position)
            self._hub.go_live(self.cursor)

    def appear(self, inbox: Inbox, start: Position) -> None:
        """Nothing: it follows one inbox."""

    def covers(self, inbox: int) -> bool:
        return False

    def has_been_told(self, cursor: Cursor, place: Place) -> bool:
        return True


class LatencyProbe:
    """Measures the way of a change, from its insert to a socket."""

    def __init__(
        self,
        store: ProbeStore,
        hub: Hub,
        feed: Feed,
        gateway_id: str,
        *,
        awake: asyncio.Event,
        every_s: float = PROBE_EVERY_S,
    ) -> None:
        """`awake` is cleared while the database may sleep: nothing is probed then."""
        self._store = store
        self._hub = hub
        self._feed = feed
        self._gateway_id = gateway_id
        self._awake = awake
        self._every_s = every_s
        self._number = 0
        self._is_lost = False

    async def run(self) -> None:
        """Probes until it is cancelled."""
        while True:
            await self._awake.wait()
            try:
                async with self._following() as reader:
                    while self._awake.is_set():
                        await self._probe(reader)
                        await asyncio.sleep(self._every_s)
            except GatewayError as error:
                self._note_lost(str(error))
            except Exception:
                logger.exception("probe.failed")
            await asyncio.sleep(self._every_s)

    @contextlib.asynccontextmanager
    async def _following(self) -> AsyncIterator[asyncio.StreamReader]:
        position = await self._feed.position_at_least(PROBE_INBOX, None)
        with contextlib.ExitStack() as stack:
            ours, theirs = _loopback_pair()
            stack.callback(ours.close)
            reader, writer = await asyncio.open_connection(sock=theirs)
            stack.callback(writer.close)
            follower = _Follower(self._hub, ours)
            follower.cursor = self._hub.follow(follower, PROBE_INBOX, position, "probe", None, _frames)
            stack.callback(self._hub.unfollow, follower.cursor, "probe")
            yield reader

    async def _probe(self, reader: asyncio.StreamReader) -> None:
        self._number += 1
        wanted = f"{self._gateway_id} {self._number}\n".encode()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await within(LOST_S, self._store.probe(self._gateway_id, self._number))
        await within(began + LOST_S - loop.time(), _arrival(reader, wanted), _did_not_arrive)
        TOOK.observe(loop.time() - began)
        if self._is_lost:
            logger.info("probe.arrives_again")
        self._is_lost = False

    def _note_lost(self, why: str) -> None:
        LOST.inc()
        if not self._is_lost:
            logger.warning("probe.lost why=%s", why)
        self._is_lost = True


async def _arrival(reader: asyncio.StreamReader, wanted: bytes) -> None:
    while not (await reader.readline()).endswith(wanted):
        pass


def _did_not_arrive() -> StoreUnavailable:
    return StoreUnavailable("It did not arrive.")


def _loopback_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of one connection over the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    ours.setblocking(False)
    theirs.setblocking(False)
    ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs

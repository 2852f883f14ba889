"""Writes of one slice to the same connection, held back until its end and joined into one."""

import logging
from collections.abc import Callable

from gateway.realtime.hub.cursors import Cursor, StreamSubscriber
from gateway.realtime.transport.framing import Burst

logger = logging.getLogger(__name__)


class WriteCoalescer:
    """Who follows many inboxes is reached once for each that moves; here that becomes one write."""

    def __init__(self, fall_back: Callable[[Cursor], None]) -> None:
        self._fall_back = fall_back
        self._waiting: dict[StreamSubscriber, list[tuple[Cursor, int, Burst | None]]] = {}
        self._joined: dict[tuple[int, ...], tuple[list[Burst], Burst]] = {}

    def add(self, cursor: Cursor, off: int, burst: Burst | None) -> None:
        """The cursor will be at `off` once the burst is written."""
        self._waiting.setdefault(cursor.connection, []).append((cursor, off, burst))

    def flush(self, connection: StreamSubscriber) -> None:
        """Writes what waits for this connection, before anything else is written to it."""
        entries = self._waiting.pop(connection, None)
        if not entries:
            return
        bursts = [burst for _, _, burst in entries if burst is not None]
        is_sent = not bursts or connection.send(self._join(bursts))
        for cursor, off, _ in entries:
            if is_sent:
                cursor.off = off
            else:
                self._fall_back(cursor)

    def flush_all(self) -> None:
        """Writes everything that is held back; a connection that fails costs no other its writes."""
        for connection in tuple(self._waiting):
            try:
                self.flush(connection)
            except Exception:
                # A bug of ours. Its cursors have not moved: it is found behind with the next event, and catches up.
                logger.exception("hub.write_failed")
        self._joined.clear()

    def _join(self, bursts: list[Burst]) -> Burst:
        if len(bursts) == 1:
            return bursts[0]
        # Most who follow all inboxes follow the same ones: joined once for all of them.
        key = tuple(map(id, bursts))
        if key not in self._joined:
            joined = Burst([frame for burst in bursts for frame in burst.frames])
            # The parts are kept beside it: their ids must not become others' as long as they are looked for.
            self._joined[key] = (bursts, joined)
        return self._joined[key][1]

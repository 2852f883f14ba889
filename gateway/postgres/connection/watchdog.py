"""A thread that lets go of the listening socket when the event loop stands still.

A listener that does not read makes its backend wait in a write; that pins `xmin`, and VACUUM stops for the whole
database. Nothing that runs on the loop can help while the loop stands still, so a thread does. (It cannot help a
stopped process either; a peer ends the backend of such a one.)

Lifecycle: `open` on the loop to be watched; `guard` each new connection, which takes the place of the last;
`close` ends the thread.
"""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from typing import Any

logger = logging.getLogger(__name__)

STALL_S = 8.0
"""The loop must have stood still for so long; peers end a frozen gateway's backend after the same time."""

LOOK_S = 1.0


class Watchdog:
    """Shuts the guarded socket down when the event loop has stood still for `stall_s` seconds."""

    def __init__(self, stall_s: float = STALL_S, look_s: float = LOOK_S) -> None:
        self._stall_s = stall_s
        self._look_s = look_s
        self._beat_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._guarded: socket.socket | None = None

    def open(self) -> None:
        """Begins to watch the running loop, from a thread of its own."""
        self._beat(asyncio.get_running_loop())
        self._thread = threading.Thread(target=self._watch, name="listener-watchdog", daemon=True)
        self._thread.start()

    def guard(self, connection: Any) -> None:
        """Watches over the socket of an asyncpg connection; of None: over nothing."""
        transport = getattr(connection, "_transport", None)
        found = transport.get_extra_info("socket") if transport is not None else None
        # A duplicate of our own: the number of the transport's may be another file's by the time we need it.
        mine = found.dup() if found is not None else None
        with self._lock:
            before, self._guarded = self._guarded, mine
        if before is not None:
            before.close()

    def close(self) -> None:
        """Idempotent."""
        self._end.set()
        if self._timer is not None:
            self._timer.cancel()
        self.guard(None)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat_at = time.monotonic()
        self._timer = loop.call_later(self._look_s, self._beat, loop)

    def _watch(self) -> None:
        looked_at = time.monotonic()
        while not self._end.wait(self._look_s):
            now = time.monotonic()
            # Late ourselves: the whole process was stopped, and the loop has not had its turn since.
            was_stopped = now - looked_at > self._look_s + self._stall_s / 2
            looked_at = now
            stalled_s = now - self._beat_at
            if stalled_s > self._stall_s and not was_stopped:
                self._let_go(stalled_s)

    def _let_go(self, stalled_s: float) -> None:
        with self._lock:
            guarded, self._guarded = self._guarded, None
        if guarded is None:
            return
        logger.warning("listener.let_go reason=loop_stands_still stalled_s=%.1f", stalled_s)
        with contextlib.suppress(OSError), guarded:
            guarded.shutdown(socket.SHUT_RDWR)
            # A backend that waits for a full window learns of the end only when what filled it has been taken.
            guarded.setblocking(False)
            while guarded.recv(65536):
                pass

"""Signals that ask a process to end."""

import asyncio
import signal
import time

ONE_SIGNAL_S = 1.0
"""Signals so close together are one: a service manager may send it to a worker and to its parent, who passes it
on."""


def shutdown_signals() -> list[signal.Signals]:
    """What asks us to end: Ctrl-C, a service's stop, and the terminal being closed, unless `nohup` forbids that.

    None may kill us outright: the embedded Postgres has a session of its own and would stay behind.
    """
    listed = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    return [number for number in listed if signal.getsignal(number) is not signal.SIG_IGN]


class ShutdownSignals:
    """The first signal says `stop`, a later one `hasten`."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hasten = asyncio.Event()
        self.is_up = False
        """Whether the start is over: before that the first signal cancels it."""
        self._first_at = 0.0

    def take(self) -> None:
        """Takes the signals of this process from now on; during the start the first one cancels the calling task."""
        starting = asyncio.current_task()
        assert starting is not None

        def on_signal() -> None:
            if not self.stop.is_set() and not self.is_up:
                starting.cancel()
            self.on_signal()

        for number in shutdown_signals():
            asyncio.get_running_loop().add_signal_handler(number, on_signal)

    def on_signal(self) -> None:
        """Notes a signal: the first one stops, one more than ONE_SIGNAL_S later hastens."""
        now = time.monotonic()
        if not self.stop.is_set():
            self._first_at = now
            self.stop.set()
        elif now - self._first_at > ONE_SIGNAL_S:
            self.hasten.set()

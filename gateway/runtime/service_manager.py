"""What systemd is told of the gateway (`Type=notify`): what it waits for, that it is ready, that it lives."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager

from gateway.services.background import Background


class ServiceManager:
    """Speaks to the service manager that started this process; without one, it says nothing."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        """Takes the names out of `environ`: children of this process are not to speak for it."""
        place = environ.pop("NOTIFY_SOCKET", "")
        self._address = f"\0{place[1:]}" if place.startswith("@") else place
        micros, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        is_ours = pid in ("", str(os.getpid()))
        self._beat_s = int(micros) / 2e6 if micros.isdecimal() and is_ours else 0.0
        self._is_ready = False

    def status(self, sentence: str) -> None:
        """What `systemctl status` shows from now on."""
        self._tell(f"STATUS={' '.join(sentence.split())}")

    def ready(self) -> None:
        """Webhooks can be made safe from now on. Safe to call twice."""
        if not self._is_ready:
            self._is_ready = True
            self._tell("READY=1")

    def stopping(self) -> None:
        """The gateway is about to end."""
        self._tell("STOPPING=1")

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Says that the loop goes round, as often as the service manager wants to hear it, while the block runs."""
        beating = Background()
        if self._address and self._beat_s:
            beating.start(self._beat(), "service-manager")
        try:
            yield
        finally:
            await beating.close()

    async def _beat(self) -> None:
        while True:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._beat_s)

    def _tell(self, line: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(line.encode(), self._address)
        except OSError:
            pass  # it does not listen, and what is told here decides nothing in the gateway

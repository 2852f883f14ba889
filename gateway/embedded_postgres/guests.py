"""Commands that share one embedded Postgres: the one that has started it stops it once the others have ended."""

import asyncio
import contextlib
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

_FILE = ".postgres-guests"
_LOOK_S = 0.02


class Guests:
    """The commands at work on the Postgres of a data folder, counted by a lock that ends with each process."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / _FILE
        self._descriptor: int | None = None

    def __enter__(self) -> "Guests":
        # A folder that takes no file takes no Postgres either, and the start says so.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    async def join(self, within_s: float) -> None:
        """From here on the Postgres is not stopped by another command; waits for one that is stopping it now."""
        await self._lock(fcntl.LOCK_SH, within_s)

    async def outstay(self, within_s: float) -> None:
        """Waits until this is the only command, and keeps others out until it has ended."""
        await self._lock(fcntl.LOCK_EX, within_s)

    async def _lock(self, kind: int, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while self._descriptor is not None and time.monotonic() < deadline:
            try:
                fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
            except OSError:
                await asyncio.sleep(_LOOK_S)
            else:
                return

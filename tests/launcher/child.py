"""A gateway in a process of its own that can be killed, frozen and started again on the same port.

What the gateway's modules have as constants can be set for one child, where it is no timing:
`{"gateway.spool.disk.RESERVE_BYTES": 0}`.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from tests.launcher.running import DEADLINE_S, Remote, reach
from tests.launcher.settings import NOWHERE, SECRET, environment_of
from tests.launcher.terminal import Command, Ended, Terminal
from tests.launcher.tuned import PLAIN_ASGI, READY_FRAMES, TUNING

__all__ = ["PLAIN_ASGI", "READY_FRAMES", "Child", "Refusal", "client_of", "serving_child"]


class Refusal(Exception):
    """Why a gateway could not start: one sentence."""


class Child:
    """One gateway, over all its lives. Its upstream is never there unless the settings name one."""

    def __init__(
        self,
        dsn: str,
        folder: Path,
        *,
        way: str = READY_FRAMES,
        constants: Mapping[str, Any] | None = None,
        timings: Mapping[str, float] | None = None,
        send_buffer: int | None = None,
        tasks_file: Path | None = None,
        **settings: Any,
    ) -> None:
        """`timings` as `gateway.runtime.context.Timings` names them.

        `send_buffer`: how much the kernel keeps of what a client does not read; None: as much as is usual.
        `tasks_file`: where it says every second how many tasks it has.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log = folder / "gateway.log"
        self._terminal = Terminal(folder)
        self._values = {
            "database_url": dsn, "data_dir": folder, "port": 0, "secret": SECRET, **NOWHERE, **settings
        }  # fmt: skip
        self._tuning = {
            "constants": dict(constants or {}), "timings": dict(timings or {}), "way": way, "send_buffer": send_buffer,
            "tasks_file": str(tasks_file) if tasks_file else None,
        }  # fmt: skip
        self._command: Command | None = None
        self._is_frozen = False
        self.url = ""

    @property
    def pid(self) -> int:
        assert self._command is not None
        return self._command.pid

    @property
    def runs(self) -> bool:
        return self._command is not None and self._command.runs

    @property
    def address(self) -> tuple[str, int]:
        """Host and port. The port is the same in every life."""
        return "127.0.0.1", int(self._values["port"])

    async def start(self) -> None:
        """Returns when it serves. Raises Refusal with its sentence if it cannot."""
        assert not self.runs
        env = {**environment_of(self._values), TUNING: json.dumps(self._tuning)}
        self._command = command = await self._terminal.launch(
            env=env, module="tests.launcher.tuned", log=self.log
        )
        async with asyncio.timeout(DEADLINE_S):
            runs = await command.line_or_end(r"runs at (\S+)")
        if runs is None:
            code = (await self.ended()).code
            said = self.said()
            assert code == 2, f"the gateway ended at its start:\n{said}"
            raise Refusal(said.rstrip().rpartition("Error: ")[2])
        self.url = runs[1]
        self._values["port"] = int(self.url.rpartition(":")[2])

    async def start_when_possible(self) -> None:
        """As a supervisor would: tries again while it cannot start, because Postgres is away."""
        async with asyncio.timeout(2 * DEADLINE_S):
            while True:
                try:
                    return await self.start()
                except Refusal:
                    await asyncio.sleep(0.2)

    async def kill(self) -> None:
        """SIGKILL: no farewell, nothing flushed."""
        self.kill_now()
        await self.ended()

    def kill_now(self) -> None:
        """The same, and not waited for."""
        self.send(signal.SIGKILL)
        self._is_frozen = False

    def freeze(self) -> None:
        """SIGSTOP: its sockets stay open, and nobody is at home."""
        self.send(signal.SIGSTOP)
        self._is_frozen = True

    def thaw(self) -> None:
        if self._is_frozen:
            self._is_frozen = False
            self.send(signal.SIGCONT)

    async def stop(self) -> None:
        """SIGTERM, and whatever it takes if that is not enough."""
        if not self.runs:
            return
        self.thaw()
        self.send(signal.SIGTERM)
        try:
            await self.ended()
        except TimeoutError:
            # What it waits for stands in its log then.
            self.send(signal.SIGUSR2)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.ended()
            await self.kill()
            raise AssertionError(f"it did not end within {DEADLINE_S:.0f} s of a SIGTERM") from None

    def send(self, number: signal.Signals) -> None:
        assert self._command is not None
        self._command.send(number)

    async def ended(self) -> Ended:
        """Returns when the process is gone."""
        assert self._command is not None
        return await self._command.end(within_s=DEADLINE_S)

    def said(self) -> str:
        """Its log, over all its lives."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def rss_bytes(self) -> int:
        """Resident memory; 0 when it does not run."""
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.asynccontextmanager
async def serving_child(child: Child) -> AsyncIterator[Child]:
    """A gateway that serves, and is gone afterwards, whatever happened to it."""
    await child.start()
    try:
        yield child
    finally:
        await child.stop()


@contextlib.asynccontextmanager
async def client_of(child: Child) -> AsyncIterator[Remote]:
    """An admin's HTTP client of it."""
    async with reach(child.url) as remote:
        yield remote

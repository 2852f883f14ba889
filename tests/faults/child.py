"""A gateway in a process of its own that can be killed, frozen and started again on the same port.

It is forked from a process that has imported everything already, so a start takes a fraction of a second. What
its modules have as constants can be set for one child: `{"gateway.postgres.connection.listener.STATEMENT_S": 1.0}`.
"""

import asyncio
import contextlib
import importlib
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from gateway.cli import console as terminal
from gateway.domain.errors import GatewayError
from gateway.runtime import listen_socket as port
from gateway.runtime import server as serving
from gateway.runtime.gateway import Gateway
from gateway.settings import Settings
from tests.processes.remote import Remote
from tests.wide import WIDE

SECRET = "a-secret-for-faults-of-at-least-32-characters"
DEADLINE_S = 30.0

READY_FRAMES, PLAIN_ASGI = "ready frames", "plain ASGI"

NOWHERE = {"wasender_base_url": "http://127.0.0.1:9/api", "wasender_token": "none", "secret": SECRET}
"""An upstream that is never there: what is shown here does not need one."""

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.faults.child"])


def _set(path: str, value: Any) -> None:
    """Sets what the path names: a module's constant, or something within what a module has."""
    names = path.split(".")
    place: Any = None
    for number, name in enumerate(names[:-1], start=1):
        place = getattr(place, name, None) or importlib.import_module(".".join(names[:number]))
    assert hasattr(place, names[-1]), f"there is no {path} any more"
    setattr(place, names[-1], value)


def _main(
    values: dict[str, Any],
    constants: Mapping[str, Any],
    way: str,
    send_buffer: int | None,
    log: Path,
    ready: Connection,
) -> None:
    with open(log, "ab") as out:
        os.dup2(out.fileno(), sys.stdout.fileno())
        os.dup2(out.fileno(), sys.stderr.fileno())
    terminal.start_logging("info")
    if way == PLAIN_ASGI:
        setattr(serving, "GatewayWebSocketProtocol", "websockets-sansio")  # noqa: B010  not a name it exports
    for path, value in constants.items():
        _set(path, value)

    async def on_ready(gateway: Gateway) -> None:
        ready.send(gateway.url)

    try:
        settings = Settings(_env_file=None, **{**WIDE, **values})  # type: ignore[call-arg]
        sock = port.bind(settings.host, settings.port)
        if send_buffer is not None:  # accepted sockets take it over
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        uvloop.run(serving.run(settings, on_ready, sock))
    except GatewayError as error:
        ready.send(Refusal(error.message))
        sys.exit(2)


class Refusal(Exception):
    """Why a gateway could not start: one sentence."""


class Child:
    """One gateway, over all its lives."""

    def __init__(
        self,
        dsn: str,
        folder: Path,
        *,
        way: str = READY_FRAMES,
        constants: Mapping[str, Any] | None = None,
        send_buffer: int | None = None,
        **settings: Any,
    ) -> None:
        """`send_buffer`: how much the kernel keeps of what a client does not read; None: as much as is usual."""
        self._send_buffer = send_buffer
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "gateway.log"
        self._values = {"database_url": dsn, "data_dir": folder, "port": 0, **NOWHERE, **settings}
        self._constants = dict(constants or {})
        self._way = way
        self._process: Any = None
        self._is_frozen = False
        self.url = ""

    @property
    def pid(self) -> int:
        assert self._process is not None
        pid: int = self._process.pid
        return pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.exitcode is None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port. The port is the same in every life."""
        return "127.0.0.1", int(self._values["port"])

    async def start(self) -> None:
        """Returns when it serves. Raises Refusal with its sentence if it cannot."""
        assert not self.runs
        theirs, ours = _forks.Pipe()
        # The fork server forks off a thread here: its own start takes a moment.
        process = _forks.Process(
            target=_main,
            args=(self._values, self._constants, self._way, self._send_buffer, self.log, ours),
            name="gateway",
        )
        await asyncio.to_thread(process.start)
        self._process = process
        ours.close()
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not theirs.poll():  # noqa: ASYNC110  a pipe of another module's making
                    await asyncio.sleep(0.01)
            try:
                said = theirs.recv()
            except EOFError:
                raise AssertionError(f"the gateway ended at its start:\n{self.said()}") from None
        finally:
            theirs.close()
        if isinstance(said, Refusal):
            await self.ended()
            raise said
        self.url = str(said)
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
            await self.kill()
            raise AssertionError(f"it did not end within {DEADLINE_S:.0f} s of a SIGTERM") from None

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def ended(self) -> None:
        """Returns when the process is gone."""
        async with asyncio.timeout(DEADLINE_S):
            while self._process.exitcode is None:  # noqa: ASYNC110  the fork server tells nobody
                await asyncio.sleep(0.01)

    def said(self) -> str:
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
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE_S)) as http:
        yield Remote(child.url, SECRET, http)

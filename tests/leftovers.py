"""Nothing that tests start outlives them, however they end: a second process watches over the first.

A fixture's `finally` does not run when pytest is killed, and the embedded Postgres has a session of its own, so that no
signal to a terminal reaches it. So the first folder or child of a run starts a watcher: this file, as a program. It
holds the reading end of a pipe whose writing end only the tests have. When the pipe ends, it ends what the run left:

- every process that carries the run's mark in its environment: gateways, their workers, browsers;
- every process that works in one of the run's folders: Postgres servers, whose environment is their own.

It needs `/proc`; elsewhere it does nothing.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

MARK = "WHATSAPP_TESTS_RUN"
"""Environment variable of every child of a run."""

_PATIENCE_S = 10.0
_LOOK_S = 0.02

_pipes: dict[int, int] = {}
"""The open end of each process of ours: a fork is a run of its own."""


def _pipe() -> int:
    pid = os.getpid()
    if pid not in _pipes:
        # Another one than that of a run around this one, which is in our environment.
        os.environ[MARK] = f"{pid}-{time.time_ns()}"
        theirs, _pipes[pid] = os.pipe()
        watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, os.environ[MARK]],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )
        os.close(theirs)
        watcher.returncode = 0  # It ends after us, so it is not ours to wait for.
    return _pipes[pid]


def mark() -> Mapping[str, str]:
    """What the environment of a child must hold that does not inherit ours."""
    _pipe()
    return {MARK: os.environ[MARK]}


def watch(folder: Path, *, remove: bool) -> None:
    """From now on nothing that works below the folder outlives this process, nor the folder itself if `remove`."""
    os.write(_pipe(), f"{int(remove)}{folder.resolve()}\n".encode())


# ------------------------------------------------------------------------------------- the watcher


def _left(run: bytes, folders: list[Path], *, servers: bool) -> list[int]:
    """Process ids of the run's Postgres servers, or of everything else of it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            where = Path(os.readlink(entry / "cwd"))
            is_ours = any(where.is_relative_to(folder) for folder in folders)
            is_ours = is_ours or run in (entry / "environ").read_bytes().split(b"\0")
            is_server = (entry / "comm").read_text().strip() == "postgres"
            if is_ours and is_server == servers:
                found.append(int(entry.name))
    return found


def _end(found: Callable[[], list[int]], number: signal.Signals) -> None:
    """Sends the signal once to each, and to those that come meanwhile; returns when none is left or it is enough."""
    told: set[int] = set()
    deadline = time.monotonic() + _PATIENCE_S
    while (here := found()) and time.monotonic() < deadline:
        for pid in set(here) - told:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        told |= set(here)
        time.sleep(_LOOK_S)


def _main(mark: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    lines = [line.rstrip("\n") for line in sys.stdin]
    folders = [Path(line[1:]) for line in lines]
    run = f"{MARK}={mark}".encode()
    if not Path("/proc/self").exists():
        return
    # Gateways first: they would start their Postgres again. A server that is told to quit takes its memory with it.
    _end(lambda: _left(run, folders, servers=False), signal.SIGKILL)
    _end(lambda: _left(run, folders, servers=True), signal.SIGQUIT)
    _end(lambda: _left(run, folders, servers=True), signal.SIGKILL)
    for line in lines:
        if line.startswith("1"):
            shutil.rmtree(line[1:], ignore_errors=True)


if __name__ == "__main__":
    _main(sys.argv[1])

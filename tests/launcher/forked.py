"""Commands without the second that Python takes to load the gateway: forked from a process that has loaded it.

The fork server is this file as a program. For each request it forks a child that has the files, folder, environment,
arguments and signals that a shell would have given it, and runs `python -m gateway` to the end of the interpreter.
Everything the gateway reads from its surroundings it reads after the fork.
"""

import asyncio
import atexit
import contextlib
import faulthandler
import functools
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import bytecode, leftovers

CHECKOUT = Path(__file__).resolve().parents[2]

_PRELOADED = (
    "gateway.cli.main", "gateway.cli.doctor", "gateway.cli.actions.backup", "gateway.cli.actions.restore",
    "gateway.cli.actions.database", "gateway.cli.actions.journal",
    "gateway.cli.actions.sync", "gateway.cli.actions.token", "gateway.runtime.gateway", "gateway.runtime.server",
    "gateway.runtime.supervisor", "uvloop",
)  # fmt: skip
_MAX_REQUEST_BYTES = 1 << 18


def _say_where(*_: object) -> None:
    """Writes to stderr where each task and thread of this process waits."""
    faulthandler.dump_traceback(all_threads=True)
    for task in [each for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()]:
        task.print_stack(file=sys.stderr)
        inner: Any = task.get_coro()
        while (inner := getattr(inner, "cr_await", None)) is not None:
            sys.stderr.write(f"  awaits {inner!r}\n")


class ForkedProcess:
    """As much of asyncio's process as `Command` uses."""

    def __init__(
        self,
        pid: int,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader | None,
        end: asyncio.StreamReader,
    ):
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self._end = end
        self._ended: asyncio.Task[int] = asyncio.create_task(self._watch(), name=f"end of {pid}")

    async def _watch(self) -> int:
        said = await self._end.read()
        assert said, "the fork server has ended before its child"
        self.returncode = int(said)
        return self.returncode

    async def wait(self) -> int:
        """Its exit code, or the number of the signal that killed it, negative."""
        return await asyncio.shield(self._ended)


async def start(
    module: str, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], stdin: str, log: Path | None
) -> ForkedProcess:
    """`python -m module` with these arguments, in that folder, with exactly this environment.

    With `log`, its stderr is added to that file, and is no stream of the process.
    """
    request = json.dumps({"module": module, "arguments": list(arguments), "cwd": str(cwd), "env": dict(env)})
    assert len(request.encode()) < _MAX_REQUEST_BYTES
    (stdin_theirs, stdin_ours), (stdout, stdout_theirs), (end, end_theirs) = (os.pipe() for _ in range(3))
    if log is None:
        stderr, stderr_theirs = os.pipe()
    else:
        stderr, stderr_theirs = None, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    theirs = [stdin_theirs, stdout_theirs, stderr_theirs, end_theirs]
    try:
        pid = await _ask(request.encode(), theirs)
    finally:
        for number in theirs:
            os.close(number)
    with io.FileIO(stdin_ours, "w") as writer, contextlib.suppress(BrokenPipeError):
        writer.write(stdin.encode())
    errors = None if stderr is None else await _reader(stderr)
    return ForkedProcess(pid, await _reader(stdout), errors, await _reader(end))


async def _ask(request: bytes, files: Sequence[int]) -> int:
    """The process id of a new child. The files may be closed as soon as this has ended, in whatever way."""
    asking = asyncio.ensure_future(asyncio.to_thread(lambda: _server().ask(request, files)))
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        await asyncio.wait([asking])  # the thread cannot be interrupted
        if asking.exception() is None:
            os.kill(asking.result(), signal.SIGKILL)  # nobody would ever end it
        raise


async def _reader(number: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), io.FileIO(number, "r")
    )
    return reader


class _Server:
    """The fork server of this process, which ends with it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _MAX_REQUEST_BYTES)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.launcher.forked", str(theirs.fileno())],
            cwd=CHECKOUT,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                **bytecode.KEPT,
                **leftovers.mark(),
            },
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        self._turn = threading.Lock()
        atexit.register(self._socket.close)
        process.returncode = 0  # It ends after us, so it is not ours to wait for.
        theirs.close()

    def ask(self, request: bytes, files: Sequence[int]) -> int:
        with self._turn:  # two that ask at once must not read each other's answer
            socket.send_fds(self._socket, [request], list(files))
            reply = self._socket.recv(64)
        assert reply, "the fork server has ended"
        return int(reply)


@functools.cache
def _server() -> _Server:
    return _Server()


# ------------------------------------------------------------------------------------- the fork server


def _serve(ours: socket.socket) -> tuple[str, list[str]]:
    """Forks children until the tests have ended. Returns in a child only: its module and its arguments."""
    ends: dict[int, int] = {}
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    selector = selectors.DefaultSelector()
    selector.register(ours, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj == woken:
                os.read(woken, 512)
                _report(ends)
                continue
            request, files, _, _ = socket.recv_fds(ours, _MAX_REQUEST_BYTES, 4)
            if not request:
                os._exit(0)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                selector.close()
                ours.close()
                wish = json.loads(request)
                _become(wish, files[:3])
                for number in (woken, wake, *files, *ends.values()):
                    os.close(number)
                return wish["module"], wish["arguments"]
            ends[pid] = files[3]
            for number in files[:3]:
                os.close(number)
            ours.send(str(pid).encode())


def _report(ends: dict[int, int]) -> None:
    while ends:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        end = ends.pop(pid)
        os.write(end, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(end)


def _become(request: dict[str, Any], files: Sequence[int]) -> None:
    """What a shell and the start of the interpreter do."""
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGUSR2, _say_where)
    for target, file in enumerate(files):
        os.dup2(file, target)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.stdin = io.TextIOWrapper(
        io.BufferedReader(io.FileIO(0, "r", closefd=False)), "utf-8", "surrogateescape"
    )
    sys.stdout = _unbuffered(1, "surrogateescape")
    sys.stderr = _unbuffered(2, "backslashreplace")


def _unbuffered(number: int, errors: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(number, "w", closefd=False), "utf-8", errors, write_through=True)


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    module, sys.argv[1:] = _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()

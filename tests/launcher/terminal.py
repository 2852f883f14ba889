"""Whole processes, as a person at a terminal starts them: `python -m gateway …` with an environment of their own.

Everything a command says is kept and can be waited for. It is ended by its own process id, however the test ends.
"""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import bytecode, leftovers
from tests.launcher import forked
from tests.launcher.child_signals import signals_of_a_terminal
from tests.launcher.settings import WIDE_ENV

CHECKOUT = Path(__file__).resolve().parents[2]

PATIENCE_S = 120.0
"""Deadline of anything that is waited for; a passing test does not get near it, even on a busy machine."""

_STOP_S = 25.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What is left of a command: exit code and everything it said."""

    code: int
    out: str
    err: str

    def complaint(self) -> str:
        """The one sentence with which it refused; anything else than exactly that is a failure."""
        assert self.code == 2, self
        assert "Traceback" not in self.err + self.out, self
        lines = self.err.splitlines()
        assert len(lines) == 1, self
        assert lines[0].startswith("Error: "), self
        return lines[0].removeprefix("Error: ")


class Command:
    """A command that runs, or has run."""

    def __init__(self, process: asyncio.subprocess.Process | forked.ForkedProcess) -> None:
        self._process = process
        self._news = asyncio.Condition()
        self.out: list[str] = []
        self.err: list[str] = []
        streams = [(process.stdout, self.out, "stdout"), (process.stderr, self.err, "stderr")]
        self._readers = [
            asyncio.create_task(self._read(stream, lines), name=name)
            for stream, lines, name in streams
            if stream is not None
        ]
        self._open = len(self._readers)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.returncode is None

    @property
    def said(self) -> str:
        """Everything so far, from both channels."""
        return "\n".join([*self.out, *self.err])

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        try:
            while line := await stream.readline():
                async with self._news:
                    lines.append(line.decode().rstrip("\n"))
                    self._news.notify_all()
        finally:
            async with self._news:
                self._open -= 1
                self._news.notify_all()

    async def line(self, pattern: str) -> re.Match[str]:
        """The first line of either channel in which the pattern is found. Fails if it ends without one."""
        hit = await self.line_or_end(pattern)
        assert hit is not None, f"ended without saying {pattern!r}:\n{self.said}"
        return hit

    async def line_or_end(self, pattern: str) -> re.Match[str] | None:
        """The same; None if it ends without one."""

        def found() -> re.Match[str] | None:
            return next((hit for line in [*self.out, *self.err] if (hit := re.search(pattern, line))), None)

        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: found() is not None or self._open == 0)
            return found()

    def send(self, number: signal.Signals) -> None:
        # Not the process object's own method: it looks whether the process has ended, and if so takes the exit
        # code away from the event loop, which then reports 255.
        if not self.runs:
            return  # the number may be another process' by now
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def end(self, number: signal.Signals | None = None, within_s: float = PATIENCE_S) -> Ended:
        """What is left of it, after a signal if one is named."""
        if number is not None:
            self.send(number)
        async with asyncio.timeout(within_s):
            code = await self._process.wait()
            await asyncio.gather(*self._readers)
        return Ended(code, "\n".join(self.out), "\n".join(self.err))

    async def stop(self) -> None:
        """Ends it if it still runs: asks first, then insists."""
        if self._process.returncode is None:
            self.send(signal.SIGTERM)
            try:
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            except TimeoutError:
                self.send(signal.SIGKILL)
                await self._process.wait()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)


class Terminal:
    """A folder and an environment; nothing of the machine's own settings is in it but PATH.

    `limits` are variables: by default limits that no test meets by accident.
    """

    def __init__(self, folder: Path, *, limits: Mapping[str, str] = WIDE_ENV) -> None:
        self.folder = folder
        leftovers.watch(folder, remove=False)
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            # Root's own would be a folder of the machine.
            "GATEWAY_DATA_DIR": str(folder / "data"),
            "PYTHONPATH": str(CHECKOUT),
            # Makes a command say everything at once, as it does to a real terminal.
            "PYTHONUNBUFFERED": "1",
            **limits,
            **bytecode.KEPT,
            **leftovers.mark(),
        }

    @contextlib.asynccontextmanager
    async def start(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        before: Callable[[], object] | None = None,
        is_forked: bool = True,
        log: Path | None = None,
    ) -> AsyncIterator[Command]:
        """A running command as `launch` starts it, ended at the latest with the block."""
        command = await self.launch(
            *arguments, env=env, stdin=stdin, before=before, is_forked=is_forked, log=log
        )
        try:
            yield command
        finally:
            await command.stop()

    async def launch(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        before: Callable[[], object] | None = None,
        is_forked: bool = True,
        log: Path | None = None,
        module: str = "gateway",
    ) -> Command:
        """A running command, which the caller ends. `before` runs in it before Python does.

        It is forked from a process that has loaded the gateway, unless the interpreter itself has to be told something.
        With `log`, what it says on stderr is added to that file instead of being kept.
        """
        whole = {**self.env, **(env or {})}
        words = [str(part) for part in arguments]
        process: asyncio.subprocess.Process | forked.ForkedProcess
        if not is_forked or before is not None or any(name.startswith("PYTHON") for name in env or {}):
            process = await self._interpreter(["-m", module, *words], whole, stdin, before, log)
        else:
            process = await forked.start(module, words, self.folder, whole, stdin, log)
        return Command(process)

    async def _interpreter(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        stdin: str,
        before: Callable[[], object] | None,
        log: Path | None,
    ) -> asyncio.subprocess.Process:
        """A Python of its own, for what has to be so before the gateway is loaded."""
        with contextlib.ExitStack() as stack:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stack.enter_context(log.open("ab")) if log else asyncio.subprocess.PIPE,
                cwd=self.folder,
                env=env,
                preexec_fn=signals_of_a_terminal(before),
            )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(stdin.encode())
            process.stdin.close()
            await process.stdin.wait_closed()
        return process

    async def run(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        before: Callable[[], object] | None = None,
        is_forked: bool = True,
    ) -> Ended:
        """A command from start to end."""
        async with self.start(
            *arguments, env=env, stdin=stdin, before=before, is_forked=is_forked
        ) as command:
            return await command.end()


async def until(condition: Callable[[], bool], what: str) -> None:
    """Looks often until the condition holds; for things that tell nobody, such as files and processes."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None

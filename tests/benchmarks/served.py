"""A server in a process of its own, on the server's core."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.benchmarks import machine
from tests.launcher.terminal import CHECKOUT

START_S = 30.0
STOP_S = 25.0


class Missing(Exception):
    """A peer that is not installed here; says what would bring it."""


class Served:
    """`with Served([...]) as server: server.wait_for(r"ready (\\d+)")`; ended with the block, whatever happens."""

    def __init__(
        self, command: Sequence[str | Path], env: Mapping[str, str] | None = None, *, core: int | None = None
    ) -> None:
        self._command = [str(part) for part in command]
        self._env = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1", **(env or {})}
        self._core = machine.cores()[0] if core is None else core
        self._news = threading.Condition()
        self._lines: list[str] = []
        self._is_over = False

    @classmethod
    def python(
        cls, module: str, *arguments: str, env: Mapping[str, str] | None = None, core: int | None = None
    ) -> "Served":
        return cls([sys.executable, "-m", module, *arguments], env, core=core)

    def __enter__(self) -> Self:
        core = self._core
        self._process = subprocess.Popen(
            self._command,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
        self._reader = threading.Thread(target=self._read, name="stdout", daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(1)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                del self._lines[:-200]
                self._news.notify_all()
        with self._news:
            self._is_over = True
            self._news.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has said everything it ever will."""
        return self._is_over

    def wait_for(self, pattern: str, timeout_s: float = START_S) -> re.Match[str]:
        """The first line in which the pattern is found. Raises RuntimeError with what the process said instead."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            while True:
                for line in self._lines:
                    if hit := re.search(pattern, line):
                        return hit
                if self._is_over or not self._news.wait(max(0.0, deadline - time.monotonic())):
                    raise RuntimeError(
                        f"{self._command[:4]} never said {pattern!r}:\n" + "\n".join(self._lines)
                    )

    def cpu_s(self) -> float:
        return machine.cpu_s(self.pid)

    def resident_bytes(self) -> int:
        return machine.resident_bytes(self.pid)

"""A run of tests that is ended by force leaves nothing behind: no Postgres, no gateway, no folder."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import leftovers
from tests.launcher.child_signals import signals_of_a_terminal
from tests.launcher.terminal import CHECKOUT, PATIENCE_S, Terminal, until

KILLED_RUN = CHECKOUT / "tests" / "processes" / "killed_run.py"


def is_alive(pid: int) -> bool:
    """Whether a process has that number and is more than an entry in its parent's list."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def environ_of(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


@contextlib.asynccontextmanager
async def run_of(folder: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A pytest that has begun the test that never ends; gone afterwards, however its parent ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(folder / "run"), *options,
        str(KILLED_RUN),
        cwd=CHECKOUT, env={**os.environ, "TELL": str(folder / "told")}, preexec_fn=signals_of_a_terminal(),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("options", [("-p", "no:xdist"), ("-n", "1")], ids=["alone", "with-a-worker"])
async def test_a_killed_run_leaves_no_process_and_no_folder(tmp_path: Path, options: tuple[str, ...]) -> None:
    async with run_of(tmp_path, *options) as process:
        told = tmp_path / "told"
        await until(lambda: told.exists() or process.returncode is not None, "the run has started everything")
        assert process.returncode is None
        run = json.loads(told.read_text())
        started = run["servers"] + run["gateways"]
        assert len(run["gateways"]) == 4
        assert len(run["servers"]) >= 2
        assert all(map(is_alive, started))
        process.kill()
        await process.wait()

    await until(lambda: not any(map(os.path.exists, run["folders"])), "the folders of the run are gone")
    assert [pid for pid in started if is_alive(pid)] == []


async def test_what_other_runs_and_people_started_is_left_alone(tmp_path: Path) -> None:
    stranger = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", "input()", stdin=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    # A run of its own that watches another folder, and ends at once.
    script = f"from pathlib import Path; from tests import leftovers; leftovers.watch(Path({str(tmp_path / 'own')!r}),"
    script += " remove=True)"
    (tmp_path / "own").mkdir()
    try:
        run = await asyncio.create_subprocess_exec(sys.executable, "-c", script, cwd=CHECKOUT)
        async with asyncio.timeout(PATIENCE_S):
            assert await run.wait() == 0
        await until(lambda: not (tmp_path / "own").exists(), "the watcher has done its work")

        assert stranger.returncode is None
    finally:
        await stranger.communicate(b"\n")


async def test_every_command_of_a_terminal_carries_the_mark_of_the_run(terminal: Terminal) -> None:
    async with terminal.start("simulator", "--port", "0") as simulator:
        await simulator.line("phone:")
        environ = environ_of(simulator.pid)

        assert f"{leftovers.MARK}={os.environ[leftovers.MARK]}".encode() in environ
        await simulator.end(signal.SIGTERM)

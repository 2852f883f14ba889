"""What each file of tests costs: CPU time of the tests and of all they started, and the time on the clock.

`pytest --costs costs.jsonl` writes one line a file, whichever worker ran it; `python -m tests.costs costs.jsonl` adds
them up by folder, and with a second record beside it shows both. CPU time is what a shared machine does not stretch;
what the clock shows beyond it is waiting.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--costs", metavar="FILE", help="write what each file of tests costs, one JSON line each"
    )


def pytest_configure(config: pytest.Config) -> None:
    if target := config.getoption("--costs"):
        config.pluginmanager.register(_Costs(Path(target).absolute()))


class _Costs:
    """Looks at the clock and at the process tree whenever the next test is one of another file."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._file = ""
        self._tests = 0
        self._began = (0.0, 0.0)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        file = item.nodeid.partition("::")[0]
        if file != self._file:
            self._finish()
            self._file, self._tests, self._began = file, 0, (time.monotonic(), _cpu_s(os.getpid()))
        self._tests += 1
        return (yield)

    def pytest_sessionfinish(self) -> None:
        self._finish()

    def _finish(self) -> None:
        if not self._file:
            return
        wall, cpu = time.monotonic() - self._began[0], _cpu_s(os.getpid()) - self._began[1]
        line = {"file": self._file, "tests": self._tests, "wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}
        with open(self._target, "a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        self._file = ""


def _cpu_s(root: int) -> float:
    """CPU time of a process and its descendants, with those that have ended and been waited for."""
    parents, ticks = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            ticks[int(entry.name)] = sum(map(int, fields[11:15]))
    ours = {root}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return _TICK_S * sum(ticks.get(pid, 0) for pid in ours)


# ------------------------------------------------------------------------------------- the table


def _by_folder(record: Path) -> dict[str, tuple[int, float, float]]:
    """Tests, seconds of CPU and seconds on the clock of each folder of tests."""
    sums: dict[str, tuple[int, float, float]] = defaultdict(lambda: (0, 0.0, 0.0))
    for line in record.read_text("utf-8").splitlines():
        row = json.loads(line)
        folder = row["file"].split("/")[1]
        tests, cpu, wall = sums[folder]
        sums[folder] = tests + row["tests"], cpu + row["cpu_s"], wall + row["wall_s"]
    return sums


def _main() -> None:
    parser = argparse.ArgumentParser(description="What the folders of tests cost.")
    parser.add_argument("records", nargs="+", type=Path)
    tables = [_by_folder(record) for record in parser.parse_args().records]
    for folder in [*sorted({name for table in tables for name in table}), ""]:
        columns = [f"{folder or 'all':14}"]
        for table in tables:
            rows = [table[folder]] if folder in table else [] if folder else list(table.values())
            tests, cpu, wall = (sum(column) for column in zip(*rows, strict=True)) if rows else (0, 0, 0)
            columns.append(f"{tests:6} tests {cpu:8.1f} s CPU {wall:8.1f} s clock")
        print(*columns, sep=" | ")  # noqa: T201  what the command is for


if __name__ == "__main__":
    _main()

"""Fixtures for all tests, and the rule that CI skips nothing."""

import contextlib
import gc
import importlib
import itertools
import os
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

from tests import bytecode, leftovers

HERE = Path(__file__).parent

pytest_plugins = [
    "tests.costs",
    "tests.postgres_fixtures",
    "tests.launcher.fixtures",
    "tests.simulator.fixtures",
]

# How long an example takes says something about the machine, and nothing about what is tested.
hypothesis.settings.register_profile(
    "suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)


_LONG = ("processes", "faults", "browser", "clients", "attacks", "benchmarks", "spool")
"""Folders of files that take long, and much of it in waiting for processes."""
_BUSY = ("http", "realtime", "postgres", "linking")
"""Folders of files that keep a core busy for a while. All other files are over in a moment."""


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("suite")
    # xdist would begin with the files that have the most tests: those are over in a moment.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False
    # Before anything is started, so that everything carries it.
    leftovers.mark()
    with contextlib.suppress(ImportError):
        # After Ctrl-C; `leftovers` ends what a worker could not end by then.
        importlib.import_module("xdist.workermanage").NodeManager.EXIT_TIMEOUT = 3
    bytecode.keep()


def _long_files_first(items: list[pytest.Item]) -> None:
    """Files that wait and files that are busy by turns, so that both cores have work; last those that fill gaps."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    kinds: tuple[list[Path], list[Path], list[Path]] = ([], [], [])
    for path in files:
        folder = path.relative_to(HERE).parts[0]
        kinds[0 if folder in _LONG else 1 if folder in _BUSY else 2].append(path)
    by_turns = [path for pair in itertools.zip_longest(*kinds[:2]) for path in pair if path is not None]
    items[:] = [item for path in by_turns + kinds[2] for item in files[path]]


def _shared_last(items: list[pytest.Item]) -> None:
    """Tests that share a gateway run on the loop of their file, and one after the other at its end.

    That loop stands still while a test runs on a loop of its own: in between, the gateway would fall silent.
    """
    files: dict[Path, tuple[list[pytest.Item], list[pytest.Item]]] = {}
    for item in items:
        is_shared = any(name.startswith("shared_") for name in getattr(item, "fixturenames", ()))
        files.setdefault(item.path, ([], []))[is_shared].append(item)
        if is_shared:
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)
    items[:] = [item for alone, shared in files.values() for item in alone + shared]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # xdist hands files out in this order
        _long_files_first(items)
    _shared_last(items)
    if os.geteuid() == 0:
        return
    inapplicable = [item for item in items if item.get_closest_marker("root_only")]
    items[:] = [item for item in items if item not in inapplicable]
    config.hook.pytest_deselected(items=inapplicable)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is there afterwards stays to the end: the garbage collector need not look at it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test names what is missing on this machine; in CI nothing may be missing."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be missing: {report.longrepr}"
    return report

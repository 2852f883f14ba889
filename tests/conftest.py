"""Fixtures for all tests, and the rule that CI skips nothing."""

import os
from collections.abc import Generator

import hypothesis
import pytest

from tests import bytecode, leftovers

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


def pytest_configure() -> None:
    hypothesis.settings.load_profile("suite")
    # Before anything is started, so that everything carries it.
    leftovers.mark()
    bytecode.keep()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    inapplicable = [item for item in items if item.get_closest_marker("root_only")]
    items[:] = [item for item in items if item not in inapplicable]
    config.hook.pytest_deselected(items=inapplicable)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test names what is missing on this machine; in CI nothing may be missing."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be missing: {report.longrepr}"
    return report

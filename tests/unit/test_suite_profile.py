"""No test of the suite fails because the machine is slow."""

import re
from pathlib import Path

import hypothesis

TESTS = Path(__file__).resolve().parents[1]


def test_examples_have_no_deadline_and_may_be_made_slowly() -> None:
    assert hypothesis.settings.default is not None
    assert hypothesis.settings.default.deadline is None
    assert hypothesis.HealthCheck.too_slow in hypothesis.settings.default.suppress_health_check


def test_no_test_gives_its_examples_a_deadline_of_their_own() -> None:
    found = [
        f"{path.relative_to(TESTS)}: {line.strip()}"
        for path in TESTS.rglob("test_*.py")
        if not {"node_modules", "site-packages"} & set(path.parts) and path != Path(__file__)
        for line in path.read_text("utf-8").splitlines()
        if re.search(r"\bdeadline=(?!None)", line)
    ]

    assert found == []

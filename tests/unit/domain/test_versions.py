"""Which of two versions is the older one."""

import pytest

from gateway.domain.versions import is_below


@pytest.mark.parametrize(
    ("version", "least"),
    [("0.1.0", "0.1.1"), ("0.1.0", "0.2"), ("0.9.0", "0.10.0"), ("0.1.0", "1"), ("0.1.0.dev3+g12", "0.1.1")],
)
def test_an_older_version_is_below(version: str, least: str) -> None:
    assert is_below(version, least)


@pytest.mark.parametrize(
    ("version", "least"),
    [
        ("0.1.0", "0.1"),
        ("0.1.0", "0.1.0"),
        ("0.1.0rc1", "0.1.0"),
        ("1.0", "0.9.9"),
        ("0.1.0", None),
        ("0.1.0", "x"),
    ],
)
def test_the_same_or_a_newer_version_is_not(version: str, least: str | None) -> None:
    assert not is_below(version, least)

"""Versions of the gateway, as a schema names the oldest one that may serve it."""

import re


def is_below(version: str, least: str | None) -> bool:
    """Whether the version is older than the least one that may serve; not where that is no version."""
    ours, theirs = _numbers(version), _numbers(least or "")
    return bool(theirs) and ours < theirs


def too_old(version: str, least: str) -> str:
    """The sentence for a gateway that is older than the schema allows."""
    return f"The database needs gateway {least} or newer, and this is {version}: start that version instead."


def _numbers(version: str) -> tuple[int, ...]:
    """Its numbers, without what marks a release before the release, and without zeros at the end."""
    found = re.match(r"\d+(\.\d+)*", version.strip())
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)

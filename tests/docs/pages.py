"""Tables of the documentation, as data."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def section(page: str, heading: str) -> str:
    """The text of one section of a page, up to the next heading of its level or above. Raises KeyError."""
    text = (DOCS / page).read_text(encoding="utf-8")
    level = len(heading) - len(heading.lstrip("#"))
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise KeyError(f"{page} has no section {heading!r}")
    return found[1]


def table(page: str, heading: str) -> list[list[str]]:
    """The rows of all tables of a section, without their headings; every cell stripped, backticks kept."""
    rows = []
    for block in re.split(r"\n(?!\|)", section(page, heading)):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        rows += [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]
    return rows


def names(rows: list[list[str]], column: int = 0) -> list[str]:
    """What stands in backticks in a column, in order."""
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[column])]

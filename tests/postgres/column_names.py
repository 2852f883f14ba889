"""Every name a column of the shop may have that could mean something to a statement of ours."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg

import gateway
from gateway.postgres.migrations.files import sql_folder

# Comments, and those that stand in the database.
_PROSE = re.compile(r"--[^\n]*|COMMENT ON [^;]*;")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

ODD = (
    'with "quotes"', "it's", "100%", "%s", "%1$I", "{name}", "{0}", "$1", "$tag$", "a;b", "a.b", "-- comment",
    "/* c */", "new\nline", "tab\there", " leading", "trailing ", "ÄÖÜ", "имя", "名前", "🙂", "UPPER", "camelCase",
    "\\", "`", "[x]", "x" * 63, "ü" * 31, "a,b", "(f)", "*", "?", ":name", "@", "#", "raw_data ", "null ", "1",
)  # fmt: skip

_SYSTEM = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}
"""Names of Postgres' own columns, which no table can have."""


async def names(connection: asyncpg.Connection) -> list[str]:
    """All identifiers in our SQL and beside it in Python, Postgres' keywords, and what no identifier looks like."""
    found = {row["word"] for row in await connection.fetch("SELECT word FROM pg_get_keywords()")}
    folders = (sql_folder(), Path(gateway.__file__).parent / "postgres")
    for path in (
        path for folder in folders for path in folder.rglob("*.*") if path.suffix in (".sql", ".py")
    ):
        # Postgres reads a name without quotes as its lower case.
        found |= {word.lower() for word in _WORD.findall(_sql_in(path)) if len(word) < 64}
    return sorted((found | set(ODD)) - _SYSTEM)


def _sql_in(path: Path) -> str:
    """The statements of an SQL file, and the strings of a Python one but for its docstrings."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        tree = ast.parse(text)
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        text = " ".join(
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
        )
    return _PROSE.sub("", text)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def chunks(listed: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(listed), size):
        yield listed[start : start + size]

"""The rules of the house: where things are, how long they are, what they are called, that they say what they promise.

Each list in `exceptions/` names what does not keep a rule, and why. A list is exact, so that what has been mended
leaves it, and has a ceiling here, so that nothing new enters it.
"""

import ast
import re
from collections import Counter

import pytest

from tests.house.reading import (
    CHECKOUT,
    address,
    aliases,
    built_sql,
    definitions,
    files,
    listed,
    many_parameters,
    must_be_documented,
    patched_constants,
    private_names,
    reaches_inside,
    silent_handlers,
    time_limits,
    unowned_tasks,
)

TOP_LEVEL = {
    "__init__.py", "__main__.py", "py.typed", "settings.py",
    "cli", "client", "domain", "embedded_postgres", "http", "postgres", "realtime", "runtime", "services", "simulator",
    "spool", "ui", "wasender",
}  # fmt: skip
"""A new feature is a topic in these rooms, not a new room."""

MAX_LINES = 500
MAX_FUNCTION_LINES = 40
MAX_PARAMETERS = 6

WITHOUT_POSTGRES = {"client", "simulator", "spool", "wasender"}
"""Rooms in which nothing asks Postgres."""

WITH_SQL = ("postgres", "spool", "runtime", "cli")

CEILINGS = {
    "built_sql": 26,
    "long_files": 1,
    "own_tasks": 2,
    "time_limits": 7,
}
"""How many lines each list of exceptions may have. Lower a number when its list has become shorter; never raise one."""


def test_the_top_level_is_exactly_the_rooms_of_the_house() -> None:
    found = {
        path.name
        for path in (CHECKOUT / "gateway").iterdir()
        if path.is_file() or any(file.suffix != ".pyc" for file in path.rglob("*") if file.is_file())
    }

    assert found == TOP_LEVEL


def test_no_file_is_longer_than_five_hundred_lines() -> None:
    ours = [
        *files("gateway", ".py", ".js", ".css", ".html", ".ts"),
        *files("tests", ".py", ".js", ".mjs"),
        *files("sql", ".sql"),
    ]
    long = [address(path) for path in ours if len(path.read_text("utf-8").splitlines()) > MAX_LINES]

    assert long == listed("long_files")


def test_no_function_is_longer_than_forty_lines() -> None:
    long = [
        definition.name
        for path in files("gateway", ".py")
        for definition in definitions(path)
        if definition.is_function and definition.lines > MAX_FUNCTION_LINES
    ]

    assert long == []


def test_no_constructor_takes_more_than_six_parameters() -> None:
    """What takes more has two jobs, or is given settings one by one: they are one frozen value."""
    found = [name for path in files("gateway", ".py") for name in many_parameters(path, MAX_PARAMETERS)]

    assert found == []


def test_the_end_of_every_task_is_awaited_by_its_owner_but_of_those_listed() -> None:
    """A task of its own belongs to a group, to `Background`, or to the function or class that awaits it."""
    found = [
        name
        for path in files("gateway", ".py")
        if address(path) != "gateway/services/background.py"
        for name in unowned_tasks(path)
    ]

    assert sorted(found) == listed("own_tasks")


def test_what_catches_every_exception_raises_logs_or_says_why_it_does_neither() -> None:
    silent = [place for path in files("gateway", ".py") for place in silent_handlers(path)]

    assert silent == []


def test_every_public_function_and_class_says_what_it_promises() -> None:
    silent = [
        definition.name
        for path in files("gateway", ".py")
        for definition in definitions(path)
        if must_be_documented(definition) and not definition.docstring
    ]

    assert silent == []


def test_the_first_line_of_a_docstring_is_a_sentence() -> None:
    broken = [
        definition.name
        for path in files("gateway", ".py")
        for definition in definitions(path)
        if definition.is_public
        and definition.docstring
        and not is_sentence(definition.docstring.splitlines()[0])
    ]

    assert broken == []


def is_sentence(line: str) -> bool:
    """Whether the line begins like a sentence, and ends where the sentence does."""
    begins = re.match(r"[A-Z`\"'(\d]|asyncpg|uvicorn|pg_", line) is not None
    return begins and line.rstrip().endswith((".", "?", "!", ":"))


def test_every_logger_is_called_logger_and_named_after_its_module() -> None:
    wrong = []
    for path in files("gateway", ".py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("logging.getLogger("):
                line = ast.unparse(node)
                if line != "logger = logging.getLogger(__name__)":
                    wrong.append(f"{address(path)}: {line}")

    assert wrong == []


def test_no_time_limit_but_those_of_deadlines_stands_around_what_may_wait_for_postgres() -> None:
    """asyncio's own wait for the end of what they cancel, and a frozen Postgres answers no cancellation.

    Without harm they stand around the wait for an event, and around what knows nothing of Postgres.
    """
    found = [
        place
        for path in files("gateway", ".py")
        if path.relative_to(CHECKOUT / "gateway").parts[0] not in WITHOUT_POSTGRES
        if address(path) != "gateway/services/deadlines.py"
        for place in time_limits(path)
    ]

    assert sorted(found) == listed("time_limits")


def test_waits_that_double_are_reckoned_in_one_place() -> None:
    """The client stands alone and has its own; the simulator plays those of others."""
    doubled = [
        f"{address(path)}:{node.lineno}"
        for path in files("gateway", ".py")
        if path.relative_to(CHECKOUT / "gateway").parts[0] not in {"client", "simulator"}
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)
        if isinstance(node.left, ast.Constant) and not isinstance(node.right, ast.Constant)
    ]

    assert doubled == []


def test_tests_of_running_parts_stay_outside() -> None:
    private = private_names()
    found: set[str] = set()
    for path in files("tests", ".py"):
        if not address(path).startswith("tests/unit/"):  # those know the one part they are about
            found |= reaches_inside(path, private)

    assert found == set()


def test_what_tests_need_otherwise_is_a_parameter() -> None:
    """A patched constant holds for every part of the process, and a part that has read it before does not see it."""
    found = {place for path in files("tests", ".py") for place in patched_constants(path)}

    assert found == set()


def test_sql_is_written_and_not_put_together() -> None:
    """What is longer than ten lines and needed twice is a function of the database, with a version."""
    built = {
        place for room in WITH_SQL for path in files(f"gateway/{room}", ".py") for place in built_sql(path)
    }

    assert sorted(built) == listed("built_sql")


def test_a_name_for_a_type_is_made_up_once() -> None:
    found = Counter(alias for path in files("gateway", ".py") for alias in aliases(path))

    assert [alias for alias, times in found.items() if times > 1] == []


@pytest.mark.parametrize("name", sorted(CEILINGS))
def test_the_list_of_exceptions_only_shrinks(name: str) -> None:
    exceptions = listed(name)

    assert exceptions == sorted(set(exceptions))
    assert len(exceptions) <= CEILINGS[name]

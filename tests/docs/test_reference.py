"""Every setting, route, frame, close code, metric, log event, command and table has its row; no row is of the past."""

import ast
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from typer.core import TyperGroup
from typer.main import get_command

import gateway as package
from gateway.cli.main import cli
from gateway.realtime import close_codes
from gateway.realtime.native.frames import CLIENT_FRAMES, SERVER_FRAMES
from gateway.settings import Settings
from tests.docs.pages import DOCS, ROOT, names, table
from tests.launcher.running import Running


def assert_same(documented: Iterable[str], real: Iterable[str], page: str) -> None:
    listed, there = Counter(documented), set(real)
    assert {name: n for name, n in listed.items() if n > 1} == {}, f"twice in docs/{page}"
    assert (sorted(there - set(listed)), sorted(set(listed) - there)) == ([], []), (
        f"missing in docs/{page}, and rows there of what is gone"
    )


def test_every_setting_has_its_row_with_unit_default_and_meaning() -> None:
    headings = (
        "Where it runs",
        "Who may come in",
        "WasenderAPI and linking",
        "Files of messages",
        "Webhooks out",
        "Sending",
        "Limits",
    )
    rows = [row for heading in headings for row in table("settings.md", f"## {heading}")]
    fields = {str(field.validation_alias): field for field in Settings.model_fields.values()}
    assert_same([names([row])[0] for row in rows], fields, "settings.md")
    for row in rows:
        name, unit, default, meaning = names([row])[0], *row[1:]
        assert unit, name
        assert len(meaning) > 20, name
        value = fields[name].default
        written = default.strip("`").replace("\u202f", "").replace(",", "").replace(" ", "")
        shown = {None: "–", (): "–", False: "0", True: "1"}.get(value, value)
        shown = ",".join(shown) if isinstance(shown, tuple) else shown
        is_number = isinstance(shown, int | float)
        assert float(written) == shown if is_number and written != "–" else written == str(shown), (
            f"{name}: the page says {default}, the code {value!r}"
        )


def routes_of(routes: Iterable[BaseRoute], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Method and path of each route, `WS` for sockets; a mounted folder is one route."""
    for route in routes:
        match route:
            case Route():
                for method in (route.methods or set()) - {"HEAD"}:
                    yield method, prefix + re.sub(r":\w+}", "}", route.path)
            case WebSocketRoute():
                yield "WS", prefix + route.path
            case Mount() if route.path.startswith(("/simulator", "/_simulator")):
                continue  # a page of its own, beside WasenderAPI's documentation
            case Mount():
                yield "GET", prefix + route.path + "/…"
            case _:
                raise AssertionError(route)


async def test_every_route_has_its_row(gateway: Running) -> None:
    rows = table("rest.md", "## Routes")
    listed = [f"{method} {path}" for row in rows for method in row[0].split(", ") for path in names([row], 1)]
    real = {f"{method} {path}" for method, path in routes_of(gateway.gateway.app.routes)}
    assert_same(listed, real, "rest.md")


def test_every_frame_and_close_code_has_its_row() -> None:
    client = {get_type(frame) for frame in CLIENT_FRAMES}
    server = {get_type(frame) for frame in SERVER_FRAMES}
    assert_same(names(table("protocol.md", "## Client → server")), client, "protocol.md")
    assert_same(names(table("protocol.md", "## Server → client")), server, "protocol.md")
    codes = {value for name, value in vars(close_codes).items() if name.isupper() and value >= 1000}
    # Those that the server sends by itself: going away, and a fault.
    listed = {
        int(code) for row in table("protocol.md", "## Close codes") for code in re.findall(r"\d{4}", row[0])
    }
    assert listed >= codes
    assert listed - codes <= {1001, 1002, 1007, 1011}


def get_type(frame: type) -> str:
    (word,) = frame.__annotations__["type"].__args__
    return str(word)


def test_every_metric_has_its_row() -> None:
    for module in modules():
        importlib.import_module(module)
    real = {
        name
        for collector in set(REGISTRY._collector_to_names)
        if isinstance(collector, MetricWrapperBase)
        for name in [
            described.name + ("_total" if described.type == "counter" else "")
            for described in collector.describe()
        ]
        if name.startswith("gateway_")
    }
    rows = table("operations.md", "## Metrics")
    assert_same(names(rows), real, "operations.md")
    assert all(row[1] and len(row[2]) > 20 for row in rows)


def modules() -> list[str]:
    found = pkgutil.walk_packages(package.__path__, "gateway.")
    return [module.name for module in found if not module.name.endswith("__main__")]


LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def log_events() -> set[str]:
    """The first words of all log lines: `part.event`."""
    found = set()
    for path in (ROOT / "gateway").rglob("*.py"):
        if "simulator" in path.parts or "client" in path.parts:
            continue  # a stand-in for tests, and a library in somebody else's program
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in ("log", "logger", "_quiet")
            ):
                texts = [
                    part.value
                    for part in node.args[:2]
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                ]
                assert texts, f"{path}:{node.lineno}: a log line begins with the name of its event"
                found.add(texts[0].split()[0])
    return found


def test_every_log_event_has_its_row() -> None:
    rows = table("operations.md", "## Log events")
    assert_same(names(rows), log_events(), "operations.md")
    assert all(row[1] in ("debug", "info", "warning", "error") and row[2] for row in rows)


def commands_of(command: TyperGroup, before: tuple[str, ...] = ()) -> Iterable[str]:
    for name, inner in command.commands.items():
        if isinstance(inner, TyperGroup):
            if inner.invoke_without_command:
                yield " ".join((*before, name))
            yield from commands_of(inner, (*before, name))
        else:
            yield " ".join((*before, name))


def test_every_command_has_its_row() -> None:
    tree = get_command(cli)
    assert isinstance(tree, TyperGroup)
    rows = table("commands.md", "## Commands")
    listed = [name.removeprefix("gateway ") for row in rows for name in names([row])[:1]]
    assert_same(listed, commands_of(tree), "commands.md")
    assert all(len(row[1]) > 20 for row in rows)


@pytest.mark.usefixtures("database")
async def test_every_table_has_its_row(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        found = await connection.fetch(
            "SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname AS name "
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'gateway')"
        )
    finally:
        await connection.close()
    rows = table("tables.md", "## The shop's tables") + table("tables.md", "## Tables of the gateway")
    assert_same(names(rows), (row["name"] for row in found), "tables.md")


def test_the_readme_sends_nobody_into_a_python_file() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [target for target in targets if target.endswith(".py")] == []


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{path.name}" for path in DOCS.glob("*.md"))])
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    folder = (ROOT / page).parent
    missing = [
        target
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
        if "://" not in target and not Path(folder / target).exists()
    ]
    assert missing == []


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in DOCS.glob("*.md"))]
)
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    named = re.findall(
        r"`(\w[\w./-]*/[\w.-]+\.(?:py|js|sql|html))`", (ROOT / page).read_text(encoding="utf-8")
    )
    missing = [
        name
        for name in named
        if not any((root / name).exists() for root in (ROOT, ROOT / "gateway", ROOT / "gateway" / "realtime"))
    ]
    assert missing == []

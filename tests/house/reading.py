"""What the rules of the house are checked on: our own files, and the functions and classes in them."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
EXCEPTIONS = Path(__file__).parent / "exceptions"

_FOREIGN = {"__pycache__", "node_modules", "site-packages", ".venv"}

# Their docstrings become descriptions in the published documents, where the fields describe them already.
_PUBLISHED_MODELS = ("gateway/http/api/", "gateway/realtime/native/frames.py")


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, method or class. `name` is `path:qualified.name`; `lines` counts it without its docstring."""

    name: str
    is_function: bool
    is_public: bool
    lines: int
    docstring: str | None


def files(folder: str, *suffixes: str) -> Iterator[Path]:
    """Our own files below a folder of the checkout, without what npm and pip put there."""
    for path in sorted((CHECKOUT / folder).rglob("*")):
        if path.suffix in suffixes and path.is_file() and not _FOREIGN & set(path.parts):
            yield path


def address(path: Path) -> str:
    """The path from the checkout on, with slashes."""
    return path.relative_to(CHECKOUT).as_posix()


def definitions(path: Path) -> Iterator[Definition]:
    """All of a Python file but functions inside functions. A method is public if its class is, too."""
    yield from _definitions(ast.parse(path.read_text("utf-8")), f"{address(path)}:", is_public=True)


def _definitions(node: ast.AST, prefix: str, *, is_public: bool) -> Iterator[Definition]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If | ast.Try):
            yield from _definitions(child, prefix, is_public=is_public)
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        seen = is_public and not child.name.startswith("_")
        is_class = isinstance(child, ast.ClassDef)
        yield Definition(
            prefix + child.name,
            is_function=not is_class,
            is_public=seen,
            lines=_span(child) - (_span(child.body[0]) if ast.get_docstring(child) else 0),
            docstring=ast.get_docstring(child),
        )
        if is_class:
            yield from _definitions(child, f"{prefix}{child.name}.", is_public=seen)


def _span(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def must_be_documented(definition: Definition) -> bool:
    """Whether its docstring is asked for: every public function and class but the models of published documents."""
    is_model = not definition.is_function and definition.name.startswith(_PUBLISHED_MODELS)
    return definition.is_public and not is_model


def private_names() -> set[str]:
    """The names with an underscore that the gateway's modules and classes keep for themselves."""
    found = set()
    for path in files("gateway", ".py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def reaches_inside(path: Path, private: set[str]) -> set[str]:
    """`path:expression` for each private name of the gateway that a file of tests reads, sets or patches."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in private and ast.unparse(node.value) != "self":
            found.add(f"{ast.unparse(node.value)}.{node.attr}")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gateway"):
            found |= {f"{node.module}.{alias.name}" for alias in node.names if alias.name in private}
        elif isinstance(node, ast.Call) and len(node.args) > 1 and ast.unparse(node.func).endswith("setattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and name.value in private:
                found.add(f"{ast.unparse(node.args[0])}.{name.value}")
    return {f"{address(path)}:{expression}" for expression in found}


def patched_constants(path: Path) -> set[str]:
    """`path:NAME` for each constant of a module that a file of tests patches, or simply sets."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Assign):
            # Of a plain name, as a module is; not of an instance within something.
            found |= {
                target.attr
                for target in node.targets
                if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
            }
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
            names = [item.value for item in node.args[:2] if isinstance(item, ast.Constant)]
            found |= {str(name).rpartition(".")[2] for name in names}
    return {f"{address(path)}:{name}" for name in found if re.fullmatch(r"_?[A-Z][A-Z0-9_]+", name)}


def aliases(path: Path) -> Iterator[str]:
    """The names for types that a module makes up at its top, as written."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            is_type = isinstance(node.value, ast.BinOp | ast.Attribute | ast.Subscript)
            if is_type and re.fullmatch(r"[A-Z][A-Za-z]*[a-z]", node.targets[0].id):
                yield ast.unparse(node)


def listed(name: str) -> list[str]:
    """The places in a list of exceptions, without comments and reasons."""
    lines = (EXCEPTIONS / f"{name}.txt").read_text("utf-8").splitlines()
    return [line.partition("  # ")[0] for line in lines if line and not line.startswith("#")]


_LIMITS = {"timeout", "timeout_at", "wait_for"}


def time_limits(path: Path) -> Iterator[str]:
    """Functions in which asyncio limits the time of more than the wait for one event; as `path:qualified.name`."""
    yield from _time_limits(ast.parse(path.read_text("utf-8")), f"{address(path)}:")


def _time_limits(node: ast.AST, prefix: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _time_limits(child, f"{prefix}{'' if prefix.endswith(':') else '.'}{child.name}")
            continue
        if _is_limit(child) and not (isinstance(child, ast.AsyncWith) and _only_waits(child.body)):
            yield prefix
        yield from _time_limits(child, prefix)


def _is_limit(node: ast.AST) -> bool:
    calls: list[ast.expr] = []
    if isinstance(node, ast.AsyncWith):
        calls = [item.context_expr for item in node.items]
    elif isinstance(node, ast.Await):
        calls = [node.value]
    return any(
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in _LIMITS
        and ast.unparse(call.func.value) == "asyncio"
        for call in calls
    )


def _only_waits(body: list[ast.stmt]) -> bool:
    """Whether the block is the wait for an event, or for a lock's turn, and nothing else."""
    awaited = [node.value for line in body for node in ast.walk(line) if isinstance(node, ast.Await)]
    return all(
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"wait", "acquire"}
        and not call.args
        for call in awaited
    )


def many_parameters(path: Path, most: int) -> Iterator[str]:
    """Classes whose constructor takes more parameters, as `path:Name`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                    taken = [*item.args.posonlyargs, *item.args.args, *item.args.kwonlyargs]
                    if len(taken) - 1 > most:
                        yield f"{address(path)}:{node.name}"


def unowned_tasks(path: Path) -> Iterator[str]:
    """Functions that start a task whose end nothing awaits, as `path:qualified.name`.

    The end of a task is awaited by a group, by `Background`, by the function that starts it, or by the class that keeps
    it.
    """
    yield from _unowned_tasks(ast.parse(path.read_text("utf-8")), f"{address(path)}:", ())


def _unowned_tasks(node: ast.AST, prefix: str, around: tuple[ast.AST, ...]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{'' if prefix.endswith(':') else '.'}{child.name}"
            yield from _unowned_tasks(child, name, (*around, child))
            continue
        if _starts_task(child) and not any(_awaits(owner, child) for owner in around):
            yield prefix
        elif not _starts_task(child):
            yield from _unowned_tasks(child, prefix, around)


def _starts_task(node: ast.AST) -> bool:
    """Whether it is a statement that starts a task otherwise than in a group."""
    return isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.Return) and any(
        isinstance(call, ast.Call)
        and ast.unparse(call.func) in {"asyncio.create_task", "asyncio.ensure_future"}
        for call in ast.walk(node)
    )


def _awaits(owner: ast.AST, start: ast.AST) -> bool:
    """Whether something in `owner` awaits what the statement keeps."""
    targets = start.targets if isinstance(start, ast.Assign) else []
    kept = {ast.unparse(target) for target in targets}
    return any(
        ast.unparse(part) in kept
        for node in ast.walk(owner)
        if isinstance(node, ast.Await)
        for part in ast.walk(node)
        if isinstance(part, ast.Name | ast.Attribute)
    )


def silent_handlers(path: Path) -> Iterator[str]:
    """Handlers of every exception that neither raise nor log, and whose first lines have no comment that says why."""
    text = path.read_text("utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        if node.type is not None and ast.unparse(node.type) not in {"Exception", "BaseException"}:
            continue
        parts = [part for line in node.body for part in ast.walk(line)]
        is_told = any(
            isinstance(part, ast.Raise)
            or (isinstance(part, ast.Call) and ast.unparse(part.func).startswith("logger."))
            for part in parts
        )
        is_defended = any("#" in line for line in lines[node.lineno - 1 : node.body[0].lineno])
        if not is_told and not is_defended:
            yield f"{address(path)}:{node.lineno}"


_SQL = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH \w+ AS|CREATE|ALTER|DROP|SET LOCAL|JOIN|ORDER BY)\s"
)


def built_sql(path: Path) -> Iterator[str]:
    """Places where a statement is put together from pieces; as `path:qualified.name`, or `path:NAME` of a constant."""
    tree = ast.parse(path.read_text("utf-8"))
    yield from _built_sql(tree, f"{address(path)}:", sql_constants(tree))


def sql_constants(tree: ast.Module) -> set[str]:
    """Names of the module's constants that hold SQL."""
    return {
        target.id
        for line in tree.body
        if isinstance(line, ast.Assign) and _SQL.search(_said(line.value))
        for target in line.targets
        if isinstance(target, ast.Name)
    }


def _built_sql(node: ast.AST, prefix: str, constants: set[str]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            dot = "" if prefix.endswith(":") else "."
            yield from _built_sql(child, f"{prefix}{dot}{child.name}", constants)
        elif (
            prefix.endswith(":") and isinstance(child, ast.Assign) and isinstance(child.targets[0], ast.Name)
        ):
            if any(_builds_sql(item, constants) for item in ast.walk(child.value)):
                yield prefix + child.targets[0].id
        else:
            if _builds_sql(child, constants):
                yield prefix
            yield from _built_sql(child, prefix, constants)


def _builds_sql(node: ast.AST, constants: set[str]) -> bool:
    match node:
        case ast.JoinedStr():
            pieces = [item for item in node.values if isinstance(item, ast.FormattedValue)]
            return bool(pieces) and _SQL.search(_said(node)) is not None
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return any(_is_sql(side, constants) for side in (node.left, node.right))
        case ast.Call(func=ast.Attribute(attr="format" | "replace", value=text)):
            return _is_sql(text, constants)
    return False


def _is_sql(node: ast.expr, constants: set[str]) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in constants or (
        isinstance(node, ast.Constant | ast.JoinedStr) and bool(_SQL.search(_said(node)))
    )


def _said(node: ast.AST) -> str:
    """All the text in an expression."""
    return " ".join(
        item.value
        for item in ast.walk(node)
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    )

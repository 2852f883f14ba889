"""Prints floors, rooms, imports between them and long modules: `python -m tests.house.floors [CHECKOUT]`."""

import ast
import sys
from collections import Counter
from pathlib import Path

from tests.house.reading import CHECKOUT

LONG = 300


def imports_of(path: Path, root: Path) -> set[str]:
    """The modules of the gateway that a module imports, as paths below the package without their ending."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gateway":
            for alias in node.names:
                whole = Path(*(node.module or "").split("."), alias.name)
                known = whole if is_module(root / whole) else whole.parent
                found.add(str(known.relative_to("gateway")))
    return found


def is_module(path: Path) -> bool:
    """Whether a module or a package stands at that path."""
    return path.with_suffix(".py").exists() or path.is_dir()


def room_of(module: str) -> str:
    """The room on the ground plan: the folder directly below the package, or the module itself if it is loose."""
    return module.split("/", 1)[0]


def floors_of(arrows: dict[str, set[str]]) -> dict[str, int]:
    """How many rooms stand below each: a room that imports none of the others is on floor 1."""
    known: dict[str, int] = {}

    def floor(room: str, above: tuple[str, ...] = ()) -> int:
        if room not in known:
            below = [floor(other, (*above, room)) for other in arrows[room] if other not in above]
            known[room] = 1 + max(below, default=0)
        return known[room]

    for room in arrows:
        floor(room)
    return known


def say(line: str) -> None:
    print(line)  # noqa: T201  what the command is for


def main(root: Path) -> None:
    package = root / "gateway"
    modules = {
        str(path.relative_to(package).with_suffix("")): path
        for path in package.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }
    arrows: dict[str, set[str]] = {room_of(module): set() for module in modules}
    between = Counter[tuple[str, str]]()
    for module, path in modules.items():
        for other in imports_of(path, root):
            pair = room_of(module), room_of(other)
            if pair[0] != pair[1] and pair[1] in arrows:
                arrows[pair[0]].add(pair[1])
                between[pair] += 1
    floors = floors_of(arrows)
    for number in sorted(set(floors.values()), reverse=True):
        say(f"{number} " + "  ".join(sorted(room for room, floor in floors.items() if floor == number)))
    long = sorted(
        (len(path.read_text("utf-8").splitlines()), module)
        for module, path in modules.items()
        if len(path.read_text("utf-8").splitlines()) > LONG
    )
    say(
        f"{len(set(floors.values()))} floors, {len(arrows)} rooms, {len(between)} arrows, "
        f"{sum(between.values())} imports between rooms, {len(modules)} modules, {len(long)} over {LONG} lines"
    )
    for lines, module in reversed(long):
        say(f"  {lines:4} {module}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CHECKOUT)

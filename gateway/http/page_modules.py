"""Joins the page's own modules and styles, so that a browser asks once where it would have asked fifty times.

Not a bundler: it knows the forms that our own files use, and refuses every other one at start.
"""

import posixpath
import re
from collections.abc import Mapping

_IMPORT = re.compile(
    r'^import\s+(?:\{(?P<names>[^}]*)\}|\*\s+as\s+(?P<all>\w+))\s+from\s+"(?P<path>\.[^"]+)";\n?'
    r'|^import\s+"(?P<bare>\.[^"]+)";\n?',
    re.MULTILINE,
)
_EXPORT = re.compile(
    r"^export\s+(?P<what>(?:async\s+)?function\*?|class|const)\s+(?P<name>\w+)", re.MULTILINE
)
_EXPORT_LIST = re.compile(
    r'^export\s+\{(?P<names>[^}]*)\}(?:\s+from\s+"(?P<path>\.[^"]+)")?;\n?', re.MULTILINE
)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(?:/\*\*(?:[^*]|\*(?!/))*\*/|//[^\n]*)[ \t]*\n", re.MULTILINE)
_STYLE_IMPORT = re.compile(r'^@import "(?P<path>[^"]+)";\n?', re.MULTILINE)


class CannotJoin(ValueError):
    """A file of the page is written in a way that cannot be joined."""


class _Joiner:
    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._order: list[tuple[str, str]] = []
        self._names: dict[str, str] = {}
        self._open: list[str] = []

    def add(self, name: str) -> str:
        """The variable that holds what module `name` exports; the modules that it imports come before it."""
        if name in self._names:
            return self._names[name]
        if name in self._open:
            raise CannotJoin(f"These modules import each other: {' → '.join([*self._open, name])}.")
        if name not in self._sources:
            raise CannotJoin(f"{self._open[-1]} imports {name}, which is not there.")
        self._open.append(name)
        text = self._module(name)
        self._open.pop()
        self._names[name] = f"$m{len(self._names)}"
        self._order.append((self._names[name], text))
        return self._names[name]

    def text(self) -> str:
        return "\n".join(f"const {variable} = (() => {{\n{text}}})();" for variable, text in self._order)

    def _module(self, name: str) -> str:
        exports: dict[str, str] = {}
        head: list[str] = []

        def path_of(given: str) -> str:
            return posixpath.normpath(posixpath.join(posixpath.dirname(name), given))

        def imported(found: re.Match[str]) -> str:
            module = self.add(path_of(found["path"] or found["bare"]))
            if found["all"]:
                head.append(f"const {found['all']} = {module};")
            elif found["names"] is not None:
                head.append(f"const {{ {_destructured(found['names'])} }} = {module};")
            return ""

        def exported_list(found: re.Match[str]) -> str:
            module = self.add(path_of(found["path"])) if found["path"] else None
            for inner, outer in _pairs(found["names"]):
                exports[outer] = f"{module}.{inner}" if module else inner
            return ""

        def exported(found: re.Match[str]) -> str:
            exports[found["name"]] = found["name"]
            return f"{found['what']} {found['name']}"

        text = _COMMENT.sub("", self._sources[name])
        text = _EXPORT_LIST.sub(exported_list, _IMPORT.sub(imported, text))
        text = _EXPORT.sub(exported, text)
        if other := _OTHER.search(text):
            raise CannotJoin(f"{name}: `{other[0]}` is a form of import or export that cannot be joined.")
        text = text.replace("import.meta.url", f'new URL("{name}", $root).href')
        given = ", ".join(f"{outer}: {inner}" for outer, inner in exports.items())
        return "\n".join([*head, text.strip("\n"), f"return {{ {given} }};", ""])


def join_modules(entry: str, sources: Mapping[str, str]) -> str:
    """One module that does what `entry` does with all that it imports. Raises CannotJoin.

    Names of modules are paths below the page's folder; `import.meta.url` stays the address of the module itself.
    """
    joiner = _Joiner(sources)
    last = joiner.add(entry)
    up = "../" * entry.count("/") or "./"
    exports = sorted({found["name"] for found in _EXPORT.finditer(sources[entry])})
    tail = f"export const {{ {', '.join(exports)} }} = {last};\n" if exports else ""
    return f'const $root = new URL("{up}", import.meta.url);\n{joiner.text()}\n{tail}'


def join_styles(entry: str, sources: Mapping[str, str]) -> str:
    """The style sheet with those that it imports in their places. Raises CannotJoin."""

    def imported(found: re.Match[str]) -> str:
        name = posixpath.normpath(posixpath.join(posixpath.dirname(entry), found["path"]))
        if name not in sources:
            raise CannotJoin(f"{entry} imports {name}, which is not there.")
        return join_styles(name, sources)

    return _STYLE_IMPORT.sub(imported, sources[entry])


def _pairs(names: str) -> list[tuple[str, str]]:
    parts = [part.split(" as ") for part in (item.strip() for item in names.split(",")) if part]
    return [(part[0].strip(), part[-1].strip()) for part in parts]


def _destructured(names: str) -> str:
    return ", ".join(inner if inner == outer else f"{inner}: {outer}" for inner, outer in _pairs(names))

"""The shell lines of the documentation name commands, options and modules that exist."""

import importlib.util
import re
import shlex
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from gateway.cli.main import cli
from tests.docs.pages import DOCS, ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]


def shell_lines() -> list[str]:
    """Every command of every `sh` block, and what stands in backticks as one, without comments."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                found += re.split(r"\s+&&\s+", re.sub(r"\s+#\s.*", "", line))
        found += re.findall(r"`((?:\.venv/bin/)?(?:gateway|python -m) [^`\n]+)`", text)
    return sorted({line.strip().removeprefix(".venv/bin/") for line in found if line.strip()})


@pytest.mark.parametrize("line", [line for line in shell_lines() if line.startswith("gateway ")])
def test_a_command_line_of_the_documentation_is_one(line: str) -> None:
    parse(line)


def test_an_option_that_is_none_would_be_seen() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse("gateway serve --nope")


def parse(line: str) -> None:
    """Raises what the command line's own parser raises."""
    words = shlex.split(line.replace("…", "x"))[1:]
    if words[0].isupper():
        return  # `gateway COMMAND --help`
    # Capitals stand for a value of the reader's.
    words = [re.sub(r"^(ID|NUMBER|N)$", "1", word) for word in words]
    command: Any = get_command(cli)
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        name = words[0]
        assert name in command.commands, f"{line}: there is no command {name}"
        command, words = command.commands[name], words[1:]
    if words:  # without any, a sentence speaks of the command
        command.make_context(command.name, words)


@pytest.mark.parametrize("line", [line for line in shell_lines() if line.startswith("python -m ")])
def test_a_module_of_the_documentation_is_there(line: str) -> None:
    module = shlex.split(line)[2]
    assert importlib.util.find_spec(module) is not None

"""The text of a poll: its question, and an option a line, with its votes once they were counted."""

import re
from collections.abc import Iterable

OPTION = "• "
_COUNTED = re.compile(r": [0-9]+ votes?$")


def option_line(label: str, votes: int | None = None) -> str:
    """An option, with its votes if they were counted."""
    said = "" if votes is None else f": {votes} vote{'' if votes == 1 else 's'}"
    return f"{OPTION}{label}{said}"


def with_votes(text: str | None, votes: Iterable[tuple[str, int]]) -> str:
    """The text of a poll with these votes; options that it does not name yet come last."""
    counts = dict(votes)
    lines = []
    for line in (text or "").splitlines():
        label = _COUNTED.sub("", line.removeprefix(OPTION)) if line.startswith(OPTION) else None
        if label is not None:
            line = option_line(label, counts.pop(label)) if label in counts else line
        lines.append(line)
    return "\n".join([*lines, *(option_line(label, count) for label, count in counts.items())])

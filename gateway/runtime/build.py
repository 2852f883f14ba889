"""Which commit runs: what the wheel was built from, or what git says of the checkout that an editable install runs."""

import subprocess
from functools import cache
from pathlib import Path

from gateway import __version__

UNKNOWN = "unknown"
ASK_S = 2.0
"""How long git may take; the version is shown without its answer then."""

_ROOT = Path(__file__).parents[2]
_LENGTH = 12


@cache
def commit() -> str:
    """Its first twelve digits, with `-dirty` where the checkout has changes; `unknown` where nothing says it."""
    return commit_at(_ROOT)


def commit_at(root: Path) -> str:
    """The commit of the gateway that stands in this folder."""
    said = _written(root / "gateway" / "runtime" / "commit.txt") or _asked(root)
    digits, dash, dirty = said.partition("-")
    return f"{digits[:_LENGTH]}{dash}{dirty}" or UNKNOWN


def version_line() -> str:
    """What `gateway --version` prints."""
    return f"{__version__} (commit {commit()})"


def _written(place: Path) -> str:
    try:
        return place.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _asked(root: Path) -> str:
    # Only of our own checkout: an environment may stand inside the repository of somebody else's project.
    if not ((root / ".git").exists() and (root / "hatch_build.py").exists()):
        return ""
    asked = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=ASK_S).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""

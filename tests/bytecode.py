"""Python's bytecode of what children of the tests load, kept beside pytest's own cache instead of beside the sources.

A machine may be told to write no bytecode (PYTHONDONTWRITEBYTECODE), and its installer may have written none: then each
of the processes that the tests start compiles every module it loads, which takes longer than all the rest of a start.
"""

import os
from collections.abc import Mapping
from pathlib import Path

KEPT: Mapping[str, str] = {
    "PYTHONPYCACHEPREFIX": str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "bytecode")
}
"""Environment of a child that keeps its bytecode there."""


def keep() -> None:
    """From now on children that inherit this environment keep their bytecode there, too."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.update(KEPT)

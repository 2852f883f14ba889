"""Python's bytecode of what the tests and their children load is kept from one process to the next.

A machine may be told to write no bytecode (PYTHONDONTWRITEBYTECODE), and its installer may have written none (uv does
not, pip does): then each process compiles every module it loads, which takes longer than all the rest of its start.
"""

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def _kept() -> dict[str, str]:
    if sys.pycache_prefix is not None:
        return {"PYTHONPYCACHEPREFIX": sys.pycache_prefix}
    if Path(importlib.util.cache_from_source(str(pytest.__file__))).exists():
        return {}  # beside each file, where the installer has begun
    return {"PYTHONPYCACHEPREFIX": str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "bytecode")}


KEPT: Mapping[str, str] = _kept()
"""Environment of a child that keeps its bytecode."""


def keep() -> None:
    """From now on this process, and children that inherit its environment, keep their bytecode."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.update(KEPT)

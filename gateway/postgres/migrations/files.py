"""The files in `sql/`: one change each, applied in the order of their numbers, never edited afterwards."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from gateway.domain.errors import ConfigError

_NO_TRANSACTION = "-- migrate: no transaction"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `sql/`, as it was read."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text in hex, by which an edited file is recognised."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def in_transaction(self) -> bool:
        """Whether the file is applied in one transaction; concurrent index builds cannot be."""
        return not self.text.startswith(_NO_TRANSACTION)

    def statements(self) -> list[str]:
        """Statements of a file without transaction. They hold no semicolon inside."""
        return [part.strip() for part in re.split(r";\s*$", self.text, flags=re.MULTILINE) if part.strip()]


def sql_folder() -> Path:
    """Where the migrations lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "sql", package.parent / "sql"):
        if folder.is_dir():
            return folder
    raise ConfigError("The folder sql/ with the migrations is missing: install the gateway again.")


def read_migrations(folder: Path) -> list[Migration]:
    """All migrations, in the order of their numbers."""
    return [Migration(path.name, path.read_text("utf-8")) for path in sorted(folder.glob("[0-9]*.sql"))]

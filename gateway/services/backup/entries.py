"""What a backup holds: named entries, one after the other, each of any length."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.domain.errors import ConfigError
from gateway.services.backup.sealed_file import SealedReader, SealedWriter

_NAME = struct.Struct(">H")
_PIECE = struct.Struct(">I")
_MOST_PIECE_BYTES = 1 << 24

MANIFEST = "manifest"
SECRETS = "secrets"
SIMULATOR = "simulator"
"""What the built-in stand-in for WasenderAPI knows, where there is one."""

SPOOL = "spool"
DATABASE = "database"
MEDIA_MARKER = "media-marker"
MEDIA = "media/"
"""Prefix of the files of messages; the rest of the name is the SHA-256."""


class EntryWriter:
    """Writes entries; `close` writes their end."""

    def __init__(self, sealed: SealedWriter) -> None:
        self._sealed = sealed

    def begin(self, name: str) -> None:
        """The next pieces belong to an entry of this name."""
        encoded = name.encode()
        self._sealed.write(_NAME.pack(len(encoded)) + encoded)

    def piece(self, data: bytes) -> None:
        """Adds bytes to the entry. Raises OSError where the disk does not take them."""
        if data:
            self._sealed.write(_PIECE.pack(len(data)))
            self._sealed.write(data)

    def end(self) -> None:
        """The entry has no more pieces."""
        self._sealed.write(_PIECE.pack(0))

    def put(self, name: str, content: bytes) -> None:
        """A whole entry that is small."""
        self.begin(name)
        self.piece(content)
        self.end()

    def put_json(self, name: str, value: Any) -> None:
        """A whole entry that is a small JSON value."""
        self.put(name, orjson.dumps(value))

    def close(self) -> None:
        """No more entries come."""
        self._sealed.write(_NAME.pack(0))
        self._sealed.close()


@dataclass(slots=True)
class Contents:
    """What a backup that is whole holds, and where."""

    manifest: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    marker: bytes | None = None
    simulator: bytes | None = None
    media_files: int = 0
    places: dict[str, int] = field(default_factory=dict)
    """Where the spool, the database and the first file of a message begin."""


class EntryReader:
    """Reads entries in their order."""

    def __init__(self, sealed: SealedReader) -> None:
        self._sealed = sealed

    def begin(self) -> str | None:
        """Name of the next entry; None at the end. The one before must have been read. Raises ConfigError."""
        (length,) = _NAME.unpack(self._sealed.read(_NAME.size))
        if length == 0:
            self._sealed.finish()
            return None
        return self._sealed.read(length).decode("utf-8", "replace")

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the entry, in pieces. Raises ConfigError."""
        while True:
            (length,) = _PIECE.unpack(self._sealed.read(_PIECE.size))
            if length == 0:
                return
            if length > _MOST_PIECE_BYTES:
                raise ConfigError("The backup holds what no gateway writes: it cannot be read.")
            yield self._sealed.read(length)

    def whole(self) -> bytes:
        """The bytes of a small entry."""
        return b"".join(self.pieces())

    def go_to(self, contents: Contents, name: str) -> bool:
        """Goes to the beginning of an entry that `survey` has seen; False if there is none."""
        if name not in contents.places:
            return False
        self._sealed.seek(contents.places[name])
        return True

    def survey(self) -> Contents:
        """Reads everything to the end: nothing of a backup that is not whole is ever used. Raises ConfigError."""
        contents = Contents()
        while True:
            place = self._sealed.position
            name = self.begin()
            if name is None:
                break
            if name == MANIFEST:
                contents.manifest = orjson.loads(self.whole())
            elif name == SECRETS:
                contents.secrets = orjson.loads(self.whole())
            elif name == MEDIA_MARKER:
                contents.marker = self.whole()
            elif name == SIMULATOR:
                contents.simulator = self.whole()
            else:
                kind = MEDIA if name.startswith(MEDIA) else name
                contents.media_files += kind == MEDIA
                contents.places.setdefault(kind, place)
                for _ in self.pieces():
                    pass
        if not contents.manifest or DATABASE not in contents.places:
            raise ConfigError("The backup holds no database: it cannot be restored.")
        return contents

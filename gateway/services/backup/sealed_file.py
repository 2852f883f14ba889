"""A file that only a passphrase opens, written and read in pieces of one size.

scrypt makes the key; each piece is sealed by AES-256-GCM. The nonce of a piece holds its number and whether it is the
last one (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár), so a file that was cut, extended or put
together from pieces of others is found out. The head is open, and part of what every seal covers.
"""

import os
import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.domain.errors import ConfigError

MAGIC = b"whatsapp-gateway backup\n"
FORMAT = 1
PIECE_BYTES = 256 * 1024
_TAG_BYTES = 16
_SEALED_BYTES = PIECE_BYTES + _TAG_BYTES
_MOST_HEAD_BYTES = 64 * 1024
_LENGTH = struct.Struct(">I")

# OWASP's choice for 32 MiB. What a file asks for is bounded: a stranger may have made it.
COST: Mapping[str, int] = {"n": 2**15, "r": 8, "p": 3}
_MOST_COST = 2**27
_CHECK = b"whatsapp-gateway"


class SealedWriter:
    """Seals what it is given into a file; `close` writes the last piece, without which the file is not whole."""

    def __init__(
        self, file: BinaryIO, passphrase: str, facts: dict[str, Any], cost: Mapping[str, int] = COST
    ) -> None:
        """`facts` stand in the open head of the file; `cost` is what the key costs whoever opens it."""
        self._file = file
        salt, self._prefix = os.urandom(16), os.urandom(7)
        self._cipher = _cipher(passphrase, {**cost, "salt": salt.hex()})
        check = self._cipher.encrypt(_nonce(self._prefix, 0, 2), _CHECK, None)
        head = {
            **facts,
            "format": FORMAT,
            "kdf": {"name": "scrypt", **cost, "salt": salt.hex()},
            "cipher": "AES-256-GCM",
            "nonce": self._prefix.hex(),
            "check": check.hex(),
        }
        self._head = orjson.dumps(head)
        self._number = 0
        self._waiting = bytearray()
        file.write(MAGIC + _LENGTH.pack(len(self._head)) + self._head)

    def write(self, data: bytes) -> None:
        """Adds bytes. Raises OSError where the disk does not take them."""
        self._waiting += data
        # The last piece is written by `close`, so one that is full waits for a byte more.
        while len(self._waiting) > PIECE_BYTES:
            self._seal(bytes(self._waiting[:PIECE_BYTES]), is_last=False)
            del self._waiting[:PIECE_BYTES]

    def close(self) -> None:
        """Writes the last piece. The file stays open."""
        self._seal(bytes(self._waiting), is_last=True)

    def _seal(self, plain: bytes, *, is_last: bool) -> None:
        nonce = _nonce(self._prefix, self._number, int(is_last))
        self._file.write(self._cipher.encrypt(nonce, plain, self._head))
        self._number += 1


class SealedReader:
    """Reads such a file. Every piece is authenticated before a byte of it is given out."""

    def __init__(self, file: BinaryIO, passphrase: Callable[[], str]) -> None:
        """Raises ConfigError for what is no backup, of a newer format, or sealed with another passphrase.

        `passphrase` is asked for once the file looks like a backup.
        """
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self.facts = self._read_head()
        self._cipher, self._prefix = self._opened(passphrase)
        self._begin = file.tell()
        self._number = 0
        self._piece = b""
        self._at = 0
        self._is_last = False
        self.on_read: Callable[[int], object] = lambda length: None
        """Is told how many bytes of the file have been read."""

    @property
    def position(self) -> int:
        """How many plain bytes stand before the next one."""
        if self._number == 0:
            return 0
        return (self._number - 1) * PIECE_BYTES + self._at

    def read(self, length: int) -> bytes:
        """Exactly so many bytes. Raises ConfigError where the file is damaged, or ends before."""
        found = bytearray()
        while len(found) < length:
            if self._at == len(self._piece):
                if self._is_last:
                    raise _damaged()
                self._next_piece()
            part = self._piece[self._at : self._at + length - len(found)]
            self._at += len(part)
            found += part
        return bytes(found)

    def seek(self, position: int) -> None:
        """Goes on at a `position`."""
        self._number = position // PIECE_BYTES
        self._file.seek(self._begin + self._number * _SEALED_BYTES)
        self._is_last = False
        self._next_piece()
        self._at = position % PIECE_BYTES

    def finish(self) -> None:
        """Raises ConfigError unless everything has been read."""
        if self._number == 0 or not self._is_last or self._at != len(self._piece):
            raise _damaged()

    def _next_piece(self) -> None:
        sealed = self._file.read(_SEALED_BYTES)
        self._is_last = self._file.tell() >= self._size
        nonce = _nonce(self._prefix, self._number, int(self._is_last))
        try:
            self._piece = self._cipher.decrypt(nonce, sealed, self._head)
        except (InvalidTag, ValueError):
            raise _damaged() from None
        self._number += 1
        self._at = 0
        self.on_read(len(sealed))

    def _read_head(self) -> dict[str, Any]:
        start = self._file.read(len(MAGIC) + _LENGTH.size)
        if not start or not MAGIC.startswith(start[: len(MAGIC)]):
            raise ConfigError("This file is no backup of a gateway.")
        if len(start) < len(MAGIC) + _LENGTH.size:
            raise _damaged()
        length = _LENGTH.unpack(start[len(MAGIC) :])[0]
        self._head = self._file.read(length) if length <= _MOST_HEAD_BYTES else b""
        if len(self._head) != length:
            raise _damaged()
        try:
            head = orjson.loads(self._head)
            newer = int(head["format"]) > FORMAT
        except (ValueError, KeyError, TypeError):
            raise _damaged() from None
        if newer:
            raise ConfigError(
                f"This backup has format {head['format']}, and this gateway knows {FORMAT}: use a newer gateway."
            )
        return dict(head)

    def _opened(self, passphrase: Callable[[], str]) -> tuple[AESGCM, bytes]:
        try:
            kdf, prefix = self.facts["kdf"], bytes.fromhex(self.facts["nonce"])
            check = bytes.fromhex(self.facts["check"])
            if len(prefix) != 7 or not 0 < kdf["n"] * kdf["r"] * kdf["p"] <= _MOST_COST:
                raise _damaged()
            cipher = _cipher(passphrase(), kdf)
        except (KeyError, TypeError, ValueError):
            raise _damaged() from None
        try:
            cipher.decrypt(_nonce(prefix, 0, 2), check, None)
        except InvalidTag:
            raise ConfigError("The passphrase is not the one of this backup.") from None
        return cipher, prefix


def _cipher(passphrase: str, kdf: dict[str, Any]) -> AESGCM:
    scrypt = Scrypt(salt=bytes.fromhex(kdf["salt"]), length=32, n=kdf["n"], r=kdf["r"], p=kdf["p"])
    return AESGCM(scrypt.derive(passphrase.encode()))


def _nonce(prefix: bytes, number: int, use: int) -> bytes:
    """`use` is 1 for the last piece, 0 for one before it, 2 for the check of the passphrase."""
    return prefix + number.to_bytes(4, "big") + bytes([use])


def _damaged() -> ConfigError:
    return ConfigError("The backup is not whole: it was cut or changed. Nothing was restored of it.")

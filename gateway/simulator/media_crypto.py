"""WhatsApp's encryption of media files, in a stream: HKDF of a media key, AES-256-CBC, and a short HMAC behind it.

A file of any size takes the memory of one piece.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAC_BYTES = 10
KEY_BYTES = 32
PIECE_BYTES = 256 * 1024
_BLOCK_BITS = 128

_INFO = {
    "image": b"WhatsApp Image Keys",
    "sticker": b"WhatsApp Image Keys",
    "video": b"WhatsApp Video Keys",
    "audio": b"WhatsApp Audio Keys",
    "document": b"WhatsApp Document Keys",
}


class NotThisKey(ValueError):
    """The file was not encrypted with this key, or it was changed since."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a message says of its file. Hashes and key as WhatsApp writes them, in base64."""

    media_key: str
    sha256: str
    enc_sha256: str
    plain_bytes: int


@dataclass(frozen=True, slots=True)
class _Keys:
    iv: bytes
    cipher: bytes
    mac: bytes


def _expand(media_key: bytes, kind: str) -> _Keys:
    derived = HKDF(algorithm=hashes.SHA256(), length=112, salt=None, info=_INFO[kind]).derive(media_key)
    return _Keys(derived[:16], derived[16:48], derived[48:80])


def seal(pieces: Iterable[bytes], target: Path, kind: str, media_key: bytes | None = None) -> Sealed:
    """Writes the encrypted file. The media key is made up unless it is given. Raises OSError."""
    media_key = media_key or secrets.token_bytes(KEY_BYTES)
    keys = _expand(media_key, kind)
    cipher = Cipher(algorithms.AES(keys.cipher), modes.CBC(keys.iv)).encryptor()
    padder = padding.PKCS7(_BLOCK_BITS).padder()
    mac = hmac.new(keys.mac, keys.iv, hashlib.sha256)
    plain, encrypted, size = hashlib.sha256(), hashlib.sha256(), 0
    with target.open("wb") as file:

        def put(part: bytes) -> None:
            mac.update(part)
            encrypted.update(part)
            file.write(part)

        for piece in pieces:
            size += len(piece)
            plain.update(piece)
            put(cipher.update(padder.update(piece)))
        put(cipher.update(padder.finalize()) + cipher.finalize())
        tail = mac.digest()[:MAC_BYTES]
        encrypted.update(tail)
        file.write(tail)
    return Sealed(_text(media_key), _text(plain.digest()), _text(encrypted.digest()), size)


def unseal(source: Path, media_key: str, kind: str) -> Iterator[bytes]:
    """The plain file, in pieces. Raises NotThisKey before the first one if the file does not belong to the key."""
    try:
        keys = _expand(base64.b64decode(media_key, validate=True), kind)
    except ValueError:
        raise NotThisKey("the media key is not base64") from None
    body = source.stat().st_size - MAC_BYTES
    if body <= 0 or body % 16:
        raise NotThisKey("the file is too short, or not whole")
    mac = hmac.new(keys.mac, keys.iv, hashlib.sha256)
    with source.open("rb") as file:
        for piece in _pieces(file.read, body):
            mac.update(piece)
        if not hmac.compare_digest(mac.digest()[:MAC_BYTES], file.read(MAC_BYTES)):
            raise NotThisKey("the file's HMAC is another one")
    return _decrypted(source, keys, body)


def _decrypted(source: Path, keys: _Keys, body: int) -> Iterator[bytes]:
    cipher = Cipher(algorithms.AES(keys.cipher), modes.CBC(keys.iv)).decryptor()
    unpadder = padding.PKCS7(_BLOCK_BITS).unpadder()
    with source.open("rb") as file:
        for piece in _pieces(file.read, body):
            yield unpadder.update(cipher.update(piece))
    yield unpadder.update(cipher.finalize()) + unpadder.finalize()


def _pieces(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    while size > 0:
        piece = read(min(PIECE_BYTES, size))
        if not piece:
            return
        size -= len(piece)
        yield piece


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()

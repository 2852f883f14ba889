"""WhatsApp's encryption of files, read in a stream: HKDF of the media key, AES-256-CBC, a short HMAC behind it.

An `Opener` takes the encrypted file piece by piece and gives the plain one, in the memory of a piece. Only `finish`
says whether it is the right file: until then what came out must not be shown. The work of a piece is CPU; call it in a
thread.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.domain.media import MediaKind, MediaSource
from gateway.services.media.ports import WrongFile

MAC_BYTES = 10
BLOCK_BYTES = 16
KEY_BYTES = 32

_INFO: dict[MediaKind, bytes] = {
    "image": b"WhatsApp Image Keys",
    "sticker": b"WhatsApp Image Keys",
    "video": b"WhatsApp Video Keys",
    "audio": b"WhatsApp Audio Keys",
    "document": b"WhatsApp Document Keys",
}


@dataclass(frozen=True, slots=True)
class _Keys:
    iv: bytes
    cipher: bytes
    mac: bytes


def _keys_of(key: str, kind: MediaKind) -> _Keys:
    raw = _raw(key)
    if len(raw) != KEY_BYTES:
        raise WrongFile("the message's key is not one of WhatsApp's")
    derived = HKDF(algorithm=hashes.SHA256(), length=112, salt=None, info=_INFO[kind]).derive(raw)
    return _Keys(derived[:16], derived[16:48], derived[48:80])


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def encrypted_size(plain: int) -> int:
    """Bytes of the encrypted file of a plain one."""
    return (plain // BLOCK_BYTES + 1) * BLOCK_BYTES + MAC_BYTES


class Opener:
    """Opens one encrypted file. Raises WrongFile where it is not the file of its message."""

    def __init__(self, source: MediaSource, kind: MediaKind) -> None:
        keys = _keys_of(source.key or "", kind)
        self._source = source
        self._cipher = Cipher(algorithms.AES(keys.cipher), modes.CBC(keys.iv)).decryptor()
        self._unpadder = padding.PKCS7(BLOCK_BYTES * 8).unpadder()
        self._mac = hmac.new(keys.mac, keys.iv, hashlib.sha256)
        self._encrypted = hashlib.sha256()
        self._plain = hashlib.sha256()
        self._held = b""  # the end of what came so far: it may be the MAC
        self.size = 0
        """Bytes of the plain file that came out."""

    def open(self, piece: bytes) -> bytes:
        """The plain bytes that this piece makes known."""
        self._encrypted.update(piece)
        held = self._held + piece
        body, self._held = held[:-MAC_BYTES], held[-MAC_BYTES:]
        self._mac.update(body)
        return self._out(self._unpadder.update(self._cipher.update(body)))

    def finish(self) -> bytes:
        """The last plain bytes, once every hash and the MAC were found right."""
        source = self._source
        if len(self._held) < MAC_BYTES or not hmac.compare_digest(self._mac.digest()[:MAC_BYTES], self._held):
            raise WrongFile("its MAC does not fit the message's key")
        if source.enc_sha256 and not hmac.compare_digest(self._encrypted.digest(), _raw(source.enc_sha256)):
            raise WrongFile("the hash of the encrypted file is another than the message's")
        try:
            last = self._out(self._unpadder.update(self._cipher.finalize()) + self._unpadder.finalize())
        except ValueError:
            raise WrongFile("it was cut, or is padded wrongly") from None
        if source.sha256 and not hmac.compare_digest(self._plain.digest(), _raw(source.sha256)):
            raise WrongFile("the hash of the file is another than the message's")
        return last

    @property
    def sha256(self) -> str:
        """Of the plain file so far, in hexadecimal."""
        return self._plain.hexdigest()

    def _out(self, plain: bytes) -> bytes:
        self._plain.update(plain)
        self.size += len(plain)
        return plain


class PlainCheck:
    """Checks a file that comes as it is, from WasenderAPI or from a channel, against the hashes of its message.

    Where the message has only the hash of the encrypted file, this encrypts it once more: AES-CBC with the message's
    key gives the same bytes again.
    """

    def __init__(self, source: MediaSource, kind: MediaKind) -> None:
        if not source.sha256 and not (source.key and source.enc_sha256):
            raise WrongFile("its message has no hash to check it by")
        self._source = source
        self._plain = hashlib.sha256()
        self._again = None if source.sha256 else _Again(_keys_of(source.key or "", kind))
        self.size = 0

    def open(self, piece: bytes) -> bytes:
        """The same bytes, counted and hashed."""
        self._plain.update(piece)
        self.size += len(piece)
        if self._again is not None:
            self._again.add(piece)
        return piece

    def finish(self) -> bytes:
        """Nothing more, once the hash was found right."""
        if self._again is None:
            is_right = hmac.compare_digest(self._plain.digest(), _raw(self._source.sha256 or ""))
        else:
            is_right = hmac.compare_digest(self._again.digest(), _raw(self._source.enc_sha256 or ""))
        if not is_right:
            raise WrongFile("the hash of the file is another than the message's")
        return b""

    @property
    def sha256(self) -> str:
        """Of the file so far, in hexadecimal."""
        return self._plain.hexdigest()


class _Again:
    """The hash of the encrypted file that a plain one would have."""

    def __init__(self, keys: _Keys) -> None:
        self._cipher = Cipher(algorithms.AES(keys.cipher), modes.CBC(keys.iv)).encryptor()
        self._padder = padding.PKCS7(BLOCK_BYTES * 8).padder()
        self._mac = hmac.new(keys.mac, keys.iv, hashlib.sha256)
        self._encrypted = hashlib.sha256()

    def add(self, plain: bytes) -> None:
        self._take(self._cipher.update(self._padder.update(plain)))

    def digest(self) -> bytes:
        self._take(self._cipher.update(self._padder.finalize()) + self._cipher.finalize())
        self._encrypted.update(self._mac.digest()[:MAC_BYTES])
        return self._encrypted.digest()

    def _take(self, part: bytes) -> None:
        self._mac.update(part)
        self._encrypted.update(part)

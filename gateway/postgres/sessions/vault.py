"""Secrets at rest: read in both forms, written encrypted once the operator has chosen so.

The shop's own code may read `api_key` and `webhook_secret` from its tables, so encryption is opt-in
(`gateway secrets encrypt`). The key is derived from GATEWAY_SECRET.
"""

import base64
import copy

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.domain.errors import ConfigError

PREFIX = "enc:v1:"


class Vault:
    """Seals and opens secrets with a key that is derived from GATEWAY_SECRET."""

    def __init__(self, secret: str, *, previous: str | None = None, is_sealing: bool = False) -> None:
        """`previous` is the secret before this one: what it sealed is still opened."""
        self._fernet = _fernet(secret)
        self._previous = _fernet(previous) if previous else None
        self.is_sealing = is_sealing

    def open(self, stored: str | None) -> str | None:
        """The plain value of a column. Raises ConfigError if it was encrypted with another GATEWAY_SECRET."""
        if stored is None or not stored.startswith(PREFIX):
            return stored
        for fernet in (self._fernet, self._previous):
            plain = _decrypted(fernet, stored)
            if plain is not None:
                return plain
        raise ConfigError(
            "A stored secret was encrypted with another GATEWAY_SECRET. Start with that one again, or give it as "
            "GATEWAY_SECRET_PREVIOUS."
        )

    def is_current(self, stored: str) -> bool:
        """Whether a sealed value opens with this secret itself, and not only with the one before."""
        return _decrypted(self._fernet, stored) is not None

    def seal(self, plain: str | None) -> str | None:
        """The value to store."""
        if plain is None or not self.is_sealing or plain.startswith(PREFIX):
            return plain
        return PREFIX + self._fernet.encrypt(plain.encode()).decode()

    def sealing(self) -> "Vault":
        """This vault, with encryption switched on."""
        other = copy.copy(self)
        other.is_sealing = True
        return other


def _fernet(secret: str) -> Fernet:
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=b"whatsapp-gateway secrets").derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def _decrypted(fernet: Fernet | None, stored: str) -> str | None:
    if fernet is None:
        return None
    try:
        return fernet.decrypt(stored.removeprefix(PREFIX).encode()).decode()
    except (InvalidToken, UnicodeError):
        return None

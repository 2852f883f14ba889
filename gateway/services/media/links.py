"""Addresses of files for pages without a cookie: good for ten minutes, for one file, for the login that asked.

The address carries the login's claims, encrypted: a link is read and made by this gateway's secret alone, opens nothing
but its file, and ends with its login wherever it was revoked.
"""

import base64
import binascii
import hashlib
import os
import time
from collections.abc import Callable

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.access import Principal
from gateway.domain.errors import GatewayError, Unauthenticated
from gateway.services.auth.claims import claims_of, principal_of

LINK_LIFE_S = 600.0
_NONCE_BYTES = 12
_MOST_TOKEN = 16_384
_ENDED = "This link has ended. Open the file from the page again."


class MediaLinks:
    """Makes and reads the tokens of such addresses."""

    def __init__(self, secret: str, *, clock: Callable[[], float] = time.time) -> None:
        self._cipher = AESGCM(hashlib.sha256(b"media links:" + secret.encode()).digest())
        self._clock = clock

    def make(self, media_id: str, principal: Principal, life_s: float = LINK_LIFE_S) -> tuple[str, float]:
        """A token for this file, and when it ends (unix seconds): with the login at the latest."""
        ends_at = self._clock() + life_s
        if principal.expires_at is not None:
            ends_at = min(ends_at, principal.expires_at)
        claims = {**claims_of(principal), "exp": int(ends_at)}
        if principal.login_id is not None:
            claims["login"] = principal.login_id
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, orjson.dumps(claims), media_id.encode())
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode(), ends_at

    def read(self, media_id: str, token: str) -> Principal:
        """Who has asked for the link. Whether that login still counts is another question. Raises Unauthenticated."""
        try:
            if len(token) > _MOST_TOKEN:
                raise ValueError
            sealed = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True)
            claims = orjson.loads(
                self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], media_id.encode())
            )
            principal = principal_of(claims)
        except (ValueError, binascii.Error, InvalidTag, GatewayError):
            raise Unauthenticated(_ENDED) from None
        if principal.expires_at is None or principal.expires_at <= self._clock():
            raise Unauthenticated(_ENDED)
        return principal

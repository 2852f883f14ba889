"""Public keys of the shop's identity provider, fetched from GATEWAY_JWKS_URL and kept in memory.

Keys are fetched anew every ten minutes, and when a token names one that is not known, at most once in half a minute:
a stranger's tokens make no more calls than that. A fetch that fails leaves the keys that were known. Only keys of the
three algorithms count, and each for its own: a public key is never a secret.

Lifecycle: `open` fetches once and does not mind a failure; `run` keeps the keys fresh until it is cancelled.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import jwt
import orjson

from gateway.domain.errors import ConfigError
from gateway.domain.lines import one_line

logger = logging.getLogger(__name__)

FRESH_S = 600.0
LOOK_EVERY_S = 30.0
ANSWER_S = 5.0
MAX_BYTES = 256 * 1024
MAX_KEYS = 50
MIN_RSA_BITS = 2048

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """One public key, for one algorithm."""

    kid: str | None
    algorithm: str
    key: Any


class Jwks:
    """Keeps the keys of one provider, and fetches them anew in time."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigError for an address that is not fetched by https."""
        self._url = check_address(url)
        self._clock = clock
        self._keys: tuple[ProviderKey, ...] = ()
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))
        await self._fetch()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def run(self) -> None:
        """Fetches the keys every ten minutes, until it is cancelled."""
        while True:
            await asyncio.sleep(FRESH_S)
            await self._fetch()

    def find(self, kid: str | None, algorithm: str) -> Sequence[Any]:
        """Keys that may have signed a token with that header: of that name, or all where it names none."""
        return [
            item.key
            for item in self._keys
            if item.algorithm == algorithm and (kid is None or item.kid in (kid, None))
        ]

    async def look(self, kid: str | None, algorithm: str) -> None:
        """Fetches the keys anew where none of that name is known, unless that was done a moment ago."""
        if not self.find(kid, algorithm) and self._clock() - self._tried_at >= LOOK_EVERY_S:
            await self._fetch(since=self._tried_at)

    async def _fetch(self, since: float | None = None) -> None:
        async with self._fetching:
            if since is not None and self._tried_at > since:
                return  # another one has, meanwhile
            self._tried_at = self._clock()
            try:
                self._keys = read_keys(await self._answer())
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                logger.warning(
                    "jwks.not_fetched error=%s", one_line(str(error) or type(error).__name__)[:200]
                )

    async def _answer(self) -> bytes:
        assert self._http is not None
        async with self._http.get(self._url, allow_redirects=False) as reply:
            if reply.status != 200:
                raise ValueError(f"status {reply.status}")
            body = await reply.content.read(MAX_BYTES + 1)
            while len(body) <= MAX_BYTES and (more := await reply.content.read(MAX_BYTES + 1 - len(body))):
                body += more
        if len(body) > MAX_BYTES:
            raise ValueError("the answer is too large")
        return body


def check_address(url: str) -> str:
    """The address, if keys may be fetched from it. Raises ConfigError."""
    parts = urlsplit(url)
    is_loopback = parts.hostname in _LOOPBACK
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback)):
        raise ConfigError(
            "GATEWAY_JWKS_URL must begin with https://: whoever can change the keys on the way can log in as anybody."
        )
    return url


def read_keys(body: bytes) -> tuple[ProviderKey, ...]:
    """The keys of an answer that can be used; others are passed over. Raises ValueError where there is no list."""
    document = orjson.loads(body)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the answer is no key set")
    found = [_read_key(item) for item in listed[:MAX_KEYS] if isinstance(item, dict)]
    return tuple(item for item in found if item is not None)


def _read_key(item: dict[str, Any]) -> ProviderKey | None:
    algorithm = _algorithm_of(item)
    if algorithm is None or item.get("use", "sig") != "sig" or item.get("alg", algorithm) != algorithm:
        return None
    try:
        key = jwt.PyJWK(item, algorithm=algorithm).key
    except Exception:  # a key that another program made: whatever is wrong with it, the others count
        return None
    if getattr(key, "key_size", MIN_RSA_BITS) < MIN_RSA_BITS and algorithm == "RS256":
        return None
    kid = item.get("kid")
    return ProviderKey(kid if isinstance(kid, str) else None, algorithm, key)


def _algorithm_of(item: dict[str, Any]) -> str | None:
    """The one algorithm that this key is for; None where it is none of ours (a secret above all)."""
    match item.get("kty"), item.get("crv"):
        case "RSA", _:
            return "RS256"
        case "EC", "P-256":
            return "ES256"
        case "OKP", "Ed25519":
            return "EdDSA"
    return None

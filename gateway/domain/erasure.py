"""Whose conversation was erased, known by digests alone: an address is compared, never read back."""

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_ADDRESS = re.compile(r"[0-9]+@lid|[0-9]{5,20}")
_DEVICE = re.compile(r"(?<=[0-9]):[0-9]{1,3}(?=@)")


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One address of a person who was erased in a session."""

    session_id: int
    digest: bytes
    at: datetime
    """What was received before it is dropped."""


class Digests:
    """HMACs of addresses. The key comes from the gateway's secret, so a dump of the database does not help to guess."""

    def __init__(self, secret: str, previous: str | None = None) -> None:
        self._keys = [_key(item) for item in (secret, previous) if item]

    def of(self, address: str) -> bytes:
        """The digest of an address: a JID, or digits."""
        return _digest(self._keys[0], _plain(address))

    def all_of(self, address: str) -> list[bytes]:
        """Its digests under every secret that still counts."""
        return [_digest(key, _plain(address)) for key in self._keys]

    def names_one(self, body: Any, erased: Sequence[bytes]) -> bool:
        """Whether a webhook's body names one of these addresses anywhere."""
        known = set(erased)
        return any(digest in known for address in set(_addresses(body)) for digest in self.all_of(address))


def _addresses(body: Any) -> Iterator[str]:
    """What may be an address, in all texts and numbers of a body."""
    waiting = [body]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, str | int) and not isinstance(part, bool):
            yield from _ADDRESS.findall(_DEVICE.sub("", str(part)))


def _plain(address: str) -> str:
    return address if address.endswith("@lid") else address.partition("@")[0]


def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"gateway tombstones", hashlib.sha256)


def _digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)

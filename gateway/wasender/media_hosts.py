"""Which addresses files may be fetched from: a sender writes the address of a file, and must not choose our network.

A file of a message is fetched by https from the hosts that the operator lists. What upstream gives may lie at upstream.
Where upstream is this very machine (the simulator), its origin is a host of files too, by plain http.
"""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from gateway.domain.networks import is_public


@dataclass(frozen=True, slots=True)
class MediaHosts:
    """`listed` are names, `*.` before one stands for all below it; `upstream` is the address of WasenderAPI."""

    listed: tuple[str, ...]
    upstream: str

    def allows(self, url: str) -> bool:
        """Whether the file of a message may be fetched there."""
        parts = _split(url)
        if parts is None:
            return False
        if self.is_local and _origin(parts) == _origin(_split(self.upstream)):
            return True
        return parts.scheme == "https" and parts.port in (None, 443) and self._is_listed(parts.hostname or "")

    def allows_decrypted(self, url: str) -> bool:
        """Whether a file may be fetched there that upstream has decrypted."""
        parts, upstream = _split(url), _split(self.upstream)
        if parts is None or upstream is None:
            return False
        if parts.scheme == upstream.scheme and _bare(parts) == _bare(upstream):
            return self.is_local is False or parts.port == upstream.port
        return self.allows(url)

    @property
    def is_local(self) -> bool:
        """Whether upstream is on this machine: then its address may be private."""
        parts = _split(self.upstream)
        return parts is not None and is_loopback(parts.hostname or "")

    def _is_listed(self, host: str) -> bool:
        host = host.lower().rstrip(".")
        return any(
            host.endswith(name[1:]) and host != name[2:] if name.startswith("*.") else host == name
            for name in self.listed
        )


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only, or also to private ones of names that are `trusted`."""

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._trusted = frozenset(trusted)
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError where no public address is found."""
        found = await self._inner.resolve(host, port, family)
        if host in self._trusted:
            return found
        public = [item for item in found if is_public(item["host"])]
        if not public:
            raise OSError(None, f"{host} has no public address")
        return public

    async def close(self) -> None:
        """Releases the inner resolver."""
        await self._inner.close()


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult | None:
    """The parts of an address that may be one of a file; None for user names, odd schemes and what is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    is_fit = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    return parts if is_fit and "\\" not in url and url.isprintable() and " " not in url else None


def _origin(parts: SplitResult | None) -> tuple[str, str, int] | None:
    if parts is None:
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port


def _bare(parts: SplitResult) -> str:
    """The host without `www.`: WasenderAPI's files lie under either name."""
    return (parts.hostname or "").lower().removeprefix("www.")

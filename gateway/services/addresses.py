"""Whose address a request comes from, behind proxies that the operator names and no others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

VISITOR = "gateway.visitor"
"""Key in `scope["extensions"]` under which our server class hands the record of a connection to the app."""

Network = IPv4Network | IPv6Network
_MOST_HOPS = 32


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from: the client's address, and the scheme that the client used."""

    address: str
    scheme: str | None


class TrustedProxies:
    """Says which client a request comes from, by what the named proxies say."""

    def __init__(self, named: Iterable[str] = ()) -> None:
        """Addresses or networks. Raises ValueError for what is neither."""
        self._networks = [ip_network(item, strict=False) for item in named]
        self._is_trusted = lru_cache(4096)(self._look_up)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trusts(self, address: str) -> bool:
        """Whether the operator has named this address."""
        return bool(self._networks) and self._is_trusted(address)

    def origin(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> Origin | None:
        """What a trusted peer says of its client; None if the peer is not trusted or says nothing.

        The list of hops is walked from the right: every proxy adds the address it was called from, and what stands
        left of the first address that is not trusted was written by that client.
        """
        if not self.trusts(peer):
            return None
        hops = [hop for name, value in headers if name == b"x-forwarded-for" for hop in value.split(b",")]
        schemes = [value for name, value in headers if name == b"x-forwarded-proto"]
        scheme = schemes[-1].rpartition(b",")[2].strip().lower().decode("latin-1") if schemes else None
        found = peer
        for hop in reversed(hops[-_MOST_HOPS:]):
            address = parse(hop.decode("latin-1"))
            if address is None:
                break
            found = address
            if not self.trusts(found):
                break
        if not hops and scheme is None:
            return None
        return Origin(found, scheme if scheme in ("http", "https") else None)

    def _look_up(self, address: str) -> bool:
        parsed = _plain(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def says_forwarded(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether the request says for whom it is forwarded."""
    return any(name in (b"x-forwarded-for", b"x-forwarded-proto", b"forwarded") for name, _ in headers)


def parse(text: str) -> str | None:
    """An address as it stands in X-Forwarded-For, without its port; None if it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    found = _plain(text)
    return None if found is None else str(found)


@lru_cache(8192)
def counted_as(address: str) -> str:
    """The address under which a client is counted: of IPv6 the network of 64 bits that one customer gets."""
    found = _plain(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((int(found) >> 64 << 64, 64)))
    return address if found is None else str(found)


def _plain(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found

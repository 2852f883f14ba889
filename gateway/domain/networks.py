"""Which IP addresses are the internet, and which are somebody's own network."""

import ipaddress
from collections.abc import Sequence

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
"""Their last 32 bits are an IPv4 address; the internet has none of the second kind."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet."""
    ip = _bare(address)
    return ip is not None and ip.is_global and not ip.is_multicast and ip not in _COMPATIBLE


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an IP address lies in one of these networks."""
    ip = _bare(address)
    return ip is not None and any(ip in network for network in networks)


def network_of(text: str) -> Network:
    """The network that is written as 10.0.0.0/8, or the one address. Raises ValueError."""
    return ipaddress.ip_network(text.strip(), strict=False)


def _bare(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address itself: without a zone, and as the IPv4 one that it wraps, or that it leads to by translation."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
    if inner is None and ip in _TRANSLATED:
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return inner or ip

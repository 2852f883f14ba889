"""Which IP addresses are the internet, and which are of a private network."""

import ipaddress
from collections.abc import Sequence

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
"""Their last 32 bits are an IPv4 address; the internet has none of the second kind."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, and the IPv4 address that it stands for, too."""
    ip = _bare(address)
    if ip is None or not ip.is_global or ip.is_multicast or ip in _COMPATIBLE:
        return False
    inner = _inner(ip)
    return inner is None or inner.is_global


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an IP address lies in one of these networks."""
    ip = _bare(address)
    return ip is not None and any(ip in network for network in networks)


def network_of(text: str) -> Network:
    """The network that is written as 10.0.0.0/8, or the one address. Raises ValueError."""
    return ipaddress.ip_network(text.strip(), strict=False)


def _bare(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address itself: without a zone, and as IPv4 where IPv6 only wraps it."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def _inner(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address to which a tunnel or a translator takes what is sent there."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip in _TRANSLATED:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.sixtofour or (ip.teredo[1] if ip.teredo else None)

"""Which IP addresses are the internet, and which are somebody's own network."""

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet."""
    ip = _bare(address)
    return ip is not None and ip.is_global and not ip.is_multicast


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

"""Which hosts we are, and which web pages may speak for a logged-in browser: our own, and the ones the operator names.

A page of a stranger whose name is made to point to this machine (DNS rebinding) comes with that name as its Host. So
only known names are answered, and addresses, which no DNS can turn round.
"""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

from gateway.domain.origins import parse_origin, sent_origins

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,255}):?(\d{1,5})?")

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Hosts:
    """Names that this gateway is called by."""

    def __init__(
        self, bound: str = "127.0.0.1", public_url: str | None = None, allowed: tuple[str, ...] = ()
    ) -> None:
        named = (urlsplit(url).hostname for url in (public_url or "", *allowed))
        machine = socket.gethostname().lower()
        self._is_loopback = bound == "localhost" or _is_loopback(bound)
        self._names = {name for name in named if name} | LOOPBACK_NAMES | {bound.lower(), machine}

    def knows(self, host: str) -> bool:
        """Whether a request with this `Host` is meant for us."""
        name = name_of(host)
        if name is None:
            return False
        if name in self._names or name.endswith(".localhost"):
            return True
        if _is_address(name):
            return _is_loopback(name) if self._is_loopback else True
        # Names without a dot are found on a local network only: `gateway` of a compose file, a pod, a LAN.
        return not self._is_loopback and "." not in name


class Origins:
    """Says which pages' requests may carry the login of the browser they run in."""

    def __init__(
        self, allowed: tuple[str, ...], public_url: str | None = None, hosts: Hosts | None = None
    ) -> None:
        """`public_url` is where browsers reach us: its origin is ours, whatever `Host` a proxy hands on.

        `hosts` are the names that we answer to; any, if left out.
        """
        named = [parse_origin(origin) or origin.lower() for origin in allowed]
        self._allowed = frozenset(sent_origins(tuple(named)))
        self._hosts = hosts
        parts = urlsplit(public_url or "")
        self._public = f"{parts.scheme}://{parts.netloc}".lower() if parts.netloc else None

    def allows(self, origin: str | None, host: str | None) -> bool:
        """Whether a request with this `Origin` may use the browser's cookie.

        No Origin means no browser page. Same host means our own page: a proxy in front may end TLS, so the
        scheme is not compared; but it is a page of the web, and no app's.
        """
        if self._hosts is not None and not self._hosts.knows(host or ""):
            return False
        if not origin:
            return True
        return origin.lower() in self._allowed or self.is_own(origin, host)

    def is_own(self, origin: str, host: str | None) -> bool:
        """Whether it is a page of this gateway."""
        if origin.lower() == self._public:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:  # `http://[`
            return False
        return parts.scheme in ("http", "https") and bool(host) and parts.netloc.lower() == str(host).lower()


def name_of(host: str) -> str | None:
    """The name or address in a `Host` header, without its port; None if it is no host."""
    found = _HOST.fullmatch(host.lower())
    return found[1].strip("[]").rstrip(".") if found else None


def is_loopback_host(host: str) -> bool:
    """Whether a `Host` header names this machine by a name or address of loopback."""
    name = name_of(host)
    return name is not None and (name in LOOPBACK_NAMES or name.endswith(".localhost") or _is_loopback(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback

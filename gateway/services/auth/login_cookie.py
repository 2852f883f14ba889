"""How the cookie of a browser's login is called, and where it is sent.

It is named after the installation, so that two gateways on one host do not overwrite each other's. Behind https its
name begins with `__Host-`, which binds it to this host; under a path of a proxy with `__Secure-`, and that path.
"""

import hashlib
from collections.abc import Mapping
from urllib.parse import urlsplit

BASE = "gateway_login"


class LoginCookie:
    """Names the cookie, and finds it in a request."""

    def __init__(self, installation: str, public_url: str | None = None) -> None:
        self._base = f"{BASE}_{hashlib.sha256(installation.encode()).hexdigest()[:8]}"
        parts = urlsplit(public_url or "")
        self._is_https = parts.scheme == "https"
        self.path = parts.path.rstrip("/") or "/"

    def is_secure(self, scheme: str) -> bool:
        """Whether a browser that came by that scheme reaches us by https, though it may end in a proxy before us."""
        return self._is_https or scheme in ("https", "wss")

    def name(self, scheme: str) -> str:
        """How the cookie is called for a request that came by that scheme."""
        if not self.is_secure(scheme):
            return self._base
        return ("__Host-" if self.path == "/" else "__Secure-") + self._base

    def read(self, cookies: Mapping[str, str], scheme: str) -> str | None:
        """The token in the cookies of a request; None if it brings none of ours."""
        return cookies.get(self.name(scheme)) or None

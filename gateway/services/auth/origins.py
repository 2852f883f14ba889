"""Which web pages may speak for a logged-in browser: our own, and the ones the operator names."""

from urllib.parse import urlsplit


class Origins:
    """Says which pages' requests may carry the login of the browser they run in."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)

    def allows(self, origin: str | None, host: str | None) -> bool:
        """Whether a request with this `Origin` may use the browser's cookie.

        No Origin means no browser page. Same host means our own page: a proxy in front may end TLS, so the
        scheme is not compared.
        """
        if not origin:
            return True
        if origin.lower() in self._allowed:
            return True
        try:
            own = urlsplit(origin).netloc.lower()
        except ValueError:  # a bracket without its other half
            return False
        return bool(host) and own == str(host).lower()

"""Which web pages may speak for a logged-in browser: our own, and the ones the operator names."""

from urllib.parse import urlsplit

from gateway.domain.origins import parse_origin, sent_origins


class Origins:
    """Says which pages' requests may carry the login of the browser they run in."""

    def __init__(self, allowed: tuple[str, ...], public_url: str | None = None) -> None:
        """`public_url` is where browsers reach us: its origin is ours, whatever `Host` a proxy hands on."""
        named = [parse_origin(origin) or origin.lower() for origin in allowed]
        if public_url is not None:
            parts = urlsplit(public_url)
            named.append(f"{parts.scheme}://{parts.netloc}".lower())
        self._allowed = frozenset(sent_origins(tuple(named)))

    def allows(self, origin: str | None, host: str | None) -> bool:
        """Whether a request with this `Origin` may use the browser's cookie.

        No Origin means no browser page. Same host means our own page: a proxy in front may end TLS, so the
        scheme is not compared; but it is a page of the web, and no app's.
        """
        if not origin:
            return True
        if origin.lower() in self._allowed:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:  # `http://[`
            return False
        return parts.scheme in ("http", "https") and bool(host) and parts.netloc.lower() == str(host).lower()

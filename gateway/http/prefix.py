"""The path under which a proxy serves us: requests come with it, or without it where the proxy has taken it off."""

from urllib.parse import unquote, urlsplit

from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

ROOTS = frozenset(
    {
        "", "_simulator", "account", "admin", "api", "asyncapi.json", "docs", "favicon.ico", "healthz", "login",
        "logout", "metrics", "openapi.json", "people", "readyz", "realtime", "rest", "simulator", "targets", "ui",
        "ws",
    }
)  # fmt: skip
"""First words of our own addresses."""


class Prefix:
    """Takes the path of GATEWAY_PUBLIC_URL off what comes with it."""

    def __init__(self, public_url: str | None) -> None:
        self.path = urlsplit(public_url or "").path.rstrip("/")
        """Without a slash at its end; empty where a name of its own leads here."""
        self._decoded = unquote(self.path)
        self._is_ours = self.path.split("/")[1] in ROOTS if self.path else False

    def redirect(self, scope: Scope) -> Response | None:
        """Where a request for the prefix itself is sent: below it the page's own links lead on. None for any other."""
        if not self.path or scope["type"] != "http" or scope["path"] != self._decoded or self._is_ours:
            return None
        query = scope.get("query_string", b"").decode("latin-1")
        return RedirectResponse(f"{self.path}/{'?' if query else ''}{query}", 308)

    def take_off(self, scope: Scope) -> None:
        """Changes the path of a request that has the prefix; leaves any other as it is."""
        if not self.path or scope["type"] == "lifespan" or not scope["path"].startswith(self._decoded):
            return
        rest: str = scope["path"][len(self._decoded) :]
        if rest and not rest.startswith("/"):
            return  # `/gateways` is not below `/gateway`
        if self._is_ours and rest and rest.split("/", 2)[1] not in ROOTS:
            return  # `/api/me` is ours; below a prefix `/api` it would be `/api/api/me`
        scope["path"] = rest or "/"
        raw: bytes | None = scope.get("raw_path")
        if raw is not None and raw.startswith(self.path.encode()):
            scope["raw_path"] = raw[len(self.path) :] or b"/"

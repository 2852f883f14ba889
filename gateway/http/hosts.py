"""Requests for a host that we are not are answered with one sentence, and with nothing else.

Webhooks and health are answered under any name: they use no login of a browser, and a probe or WasenderAPI may reach
us by a name that was never told here.
"""

from starlette.responses import Response
from starlette.types import Scope

from gateway.http.errors import refusal
from gateway.services.auth.origins import Hosts, name_of

_ANY_NAME = ("/api/whatsapp/webhook", "/healthz", "/readyz", "/metrics")


def wrong_host(scope: Scope, hosts: Hosts) -> Response | None:
    """What to answer to a request that is not meant for us; None if it is."""
    if scope["path"].startswith(_ANY_NAME):
        return None
    named = [value for name, value in scope["headers"] if name == b"host"]
    host = named[0].decode("latin-1") if len(named) == 1 else ""
    if hosts.knows(host):
        return None
    name = name_of(host)
    if name is None:
        return refusal(400, "The request must name one host in its `Host` header.")
    return refusal(
        421,
        f"This gateway is not called {name}. If it is, say so in GATEWAY_PUBLIC_URL, or let the proxy pass the "
        "name on that stands there.",
    )

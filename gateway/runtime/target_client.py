"""The way to the receivers of webhooks out: one POST at a time, to addresses that may be reached, and no further.

A name is resolved for each connection, and only what may be reached of its addresses is used: a name that leads inside
later is refused later. Redirects are answers like others.
"""

import socket
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from gateway import __version__
from gateway.domain.errors import Invalid
from gateway.domain.networks import Network
from gateway.domain.webhook_targets import Answer, check_url, is_reachable

CONNECT_S = 5.0
ANSWER_S = 15.0
_MAX_SAID = 300
_CONNECTIONS = 256


class TargetResolver(AbstractResolver):
    """Resolves names to the addresses that a delivery may go to."""

    def __init__(self, networks: Sequence[Network], *, is_plain: bool) -> None:
        self._networks = networks
        self._is_plain = is_plain
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError where there is no such address."""
        found = await self._inner.resolve(host, port, family)
        fit = [item for item in found if is_reachable(item["host"], self._networks, is_plain=self._is_plain)]
        if not fit:
            raise OSError(None, f"{host} has no address that GATEWAY_TARGET_NETWORKS lets us reach")
        return fit

    async def close(self) -> None:
        """Releases the inner resolver."""
        await self._inner.close()


class TargetClient:
    """`services.webhook_targets.ports.Receiver` by HTTP. Open it once, close it once."""

    def __init__(self, networks: Sequence[Network], *, answer_s: float = ANSWER_S) -> None:
        self._networks = tuple(networks)
        self._answer_s = answer_s
        self._clients: dict[str, aiohttp.ClientSession] = {}

    async def open(self) -> None:
        """Makes the pools of connections, on the running loop."""
        self._clients = {"https": self._client(is_plain=False), "http": self._client(is_plain=True)}

    async def close(self) -> None:
        """Closes all connections. Safe to call twice."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One delivery, made once. Never raises what a receiver does."""
        try:
            # The list of networks may have become shorter since the target was made.
            check_url(url, self._networks)
            return await self._post(url, body, headers)
        except Invalid as error:
            return Answer(None, error.message)
        except TimeoutError:
            return Answer(None, f"no answer within {self._answer_s:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            return Answer(None, f"{type(error).__name__}: {error}")

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        client = self._clients[urlsplit(url).scheme]
        async with client.post(url, data=body, headers=headers, allow_redirects=False) as response:
            said = b"" if response.ok else await response.content.read(_MAX_SAID)
            text = said.decode("utf-8", "replace").strip() or (response.reason or "")
            return Answer(response.status, text, _seconds(response.headers.get("Retry-After")))

    def _client(self, *, is_plain: bool) -> aiohttp.ClientSession:
        resolver = TargetResolver(self._networks, is_plain=is_plain)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, resolver=resolver, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"whatsapp-realtime-gateway/{__version__}"},
            timeout=aiohttp.ClientTimeout(total=self._answer_s, sock_connect=CONNECT_S),
            trust_env=False,
        )


def _seconds(text: str | None) -> float | None:
    """`Retry-After` as a number of seconds; None for a date, which receivers hardly send."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 9 else None

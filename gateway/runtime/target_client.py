"""The way to the receivers of webhooks out: one POST at a time, to addresses that may be reached, and no further.

A name is resolved for each connection, and only what may be reached of its addresses is used: a name that leads inside
later is refused later. Redirects are answers like others.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway import __version__
from gateway.domain.errors import Invalid
from gateway.domain.networks import Network
from gateway.domain.webhook_targets import Answer, check_url, is_reachable

CONNECT_S = 5.0
ANSWER_S = 15.0
_MAX_SAID = 300
_RESOLVERS = 16


Look = Callable[[str, int, int], list[ResolveResult]]
"""(host, port, family) → its addresses. Waits for name servers, and raises OSError."""


class TargetResolver(AbstractResolver):
    """Resolves names to the addresses that a delivery may go to.

    In threads of its own, one look at a time for each name: a name server that does not answer keeps up the targets
    of that name alone.
    """

    def __init__(
        self, networks: Sequence[Network], *, is_plain: bool, threads: Executor, look: Look | None = None
    ) -> None:
        self._networks = networks
        self._is_plain = is_plain
        self._threads = threads
        self._look: Look = look or addresses_of
        self._under_way: dict[tuple[str, int, int], asyncio.Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError where there is no such address."""
        name = (host, port, int(family))
        if name not in self._under_way:
            looking = asyncio.get_running_loop().run_in_executor(self._threads, self._look, *name)
            self._under_way[name] = looking
            looking.add_done_callback(lambda _: self._under_way.pop(name, None))
        found = await asyncio.shield(self._under_way[name])
        fit = [item for item in found if is_reachable(item["host"], self._networks, is_plain=self._is_plain)]
        if not fit:
            raise OSError(None, f"{host} has no address that GATEWAY_TARGET_NETWORKS lets us reach")
        return fit

    async def close(self) -> None:
        """Nothing to release: the threads are the client's."""


def addresses_of(host: str, port: int, family: int) -> list[ResolveResult]:
    """What the system knows of a name. Raises OSError."""
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=int(address[1]),
            family=kind,
            proto=proto,
            flags=socket.AI_NUMERICHOST,
        )
        for kind, _, proto, _, address in found
        if kind in (socket.AF_INET, socket.AF_INET6)
    ]


class TargetClient:
    """`services.webhook_targets.ports.Receiver` by HTTP. Open it once, close it once."""

    def __init__(
        self, networks: Sequence[Network], *, answer_s: float = ANSWER_S, look: Look | None = None
    ) -> None:
        self._networks = tuple(networks)
        self._look = look
        self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="targets")
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
        self._threads.shutdown(wait=False, cancel_futures=True)

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
        resolver = TargetResolver(self._networks, is_plain=is_plain, threads=self._threads, look=self._look)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, resolver=resolver, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"whatsapp-realtime-gateway/{__version__}"},
            timeout=aiohttp.ClientTimeout(total=self._answer_s, sock_connect=CONNECT_S),
            trust_env=False,
        )


def _seconds(text: str | None) -> float | None:
    """`Retry-After` as a number of seconds; None for a date, which receivers hardly send."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 9 else None

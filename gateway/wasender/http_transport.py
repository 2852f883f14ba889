"""One HTTP exchange with WasenderAPI: where tokens may go, how long to wait, how much to read.

Knows nothing of what is asked or answered. What aiohttp raises ends here, without its chain: some of its
errors carry the request's headers, and with them the token.
"""

import asyncio
import ipaddress
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from gateway import __version__
from gateway.domain.errors import ConfigError, UpstreamError, UpstreamFailed, UpstreamTimeout
from gateway.domain.message import mend

MAX_REPLY_BYTES = 4 * 1024 * 1024
_MAX_CONNECTIONS = (
    512  # what is under way is bounded by the rate limiter; this bounds the sockets if all of it hangs
)
NOT_REACHED = {"reason": "not_reached"}
"""Details of an error after which upstream certainly has not got the request: repeating it is safe."""

_HOST = re.compile(r"[0-9a-f.]*:[0-9a-f:.]*(%\w+)?|[\w-]{1,63}(\.[\w-]{1,63})*\.?", re.IGNORECASE)
"""A name without an empty part, or an address."""


def api_root(base_url: str) -> str:
    """`base_url` ending in `/api`. Raises ConfigError unless it is https, or http to this very machine."""
    try:
        parts = urlsplit(base_url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError("WASENDER_BASE_URL must be an address like https://www.wasenderapi.com.") from None
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError("WASENDER_BASE_URL must be an address that begins with https://.")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError("WASENDER_BASE_URL must hold no user name, no query and no fragment.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigError(
            "WASENDER_BASE_URL must begin with https://; plain http is allowed to this machine only."
        )
    if not _HOST.fullmatch(host):
        raise ConfigError(
            "WASENDER_BASE_URL names no host: it must be an address like https://www.wasenderapi.com."
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/api"):
        path += "/api"
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port is not None else ''}{path}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a call may take."""

    answer_s: float = 15.0
    connect_s: float = 5.0


DEFAULT_TIMEOUTS = Timeouts()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `body` is the JSON, `{}` if the reply was empty, None if it was not JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is sent as it comes. `chunks` is read once."""

    chunks: AsyncIterator[bytes]
    mime: str
    size: int
    timeout_s: float = 120.0


class HttpTransport:
    """The pool of connections to one upstream. Open it once, close it once."""

    def __init__(self, root: str, timeouts: Timeouts) -> None:
        self.root = root
        self._timeout_s = timeouts.answer_s
        self._connect_timeout_s = timeouts.connect_s
        self._http: aiohttp.ClientSession | None = None
        self._unpooled: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Makes the connections' pool, on the running loop."""
        self._http = self._session(aiohttp.TCPConnector(limit=_MAX_CONNECTIONS, ssl=True))
        self._unpooled = self._session(
            aiohttp.TCPConnector(limit=_MAX_CONNECTIONS, ssl=True, force_close=True)
        )

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),  # the token says who we are; a web session must not
            headers={"Accept": "application/json", "User-Agent": f"whatsapp-realtime-gateway/{__version__}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
            trust_env=False,  # a proxy or .netrc of the environment must not see or replace tokens
        )

    async def close(self) -> None:
        """Closes all connections. Safe to call twice."""
        for http in (self._http, self._unpooled):
            if http is not None:
                await http.close()
        self._http = self._unpooled = None

    async def exchange(
        self,
        method: str,
        path: str,
        token: str,
        json_body: Any = None,
        params: Mapping[str, str] | None = None,
        upload: Upload | None = None,
        *,
        own_connection: bool = False,
    ) -> Answer:
        """One exchange. `own_connection` takes a new one, that no earlier exchange has used.

        Raises UpstreamTimeout when not all of an answer came, UpstreamFailed for what is not HTTP.
        """
        http = self._unpooled if own_connection else self._http
        if http is None:
            raise RuntimeError("the wire to WasenderAPI is not open")
        headers = {"Authorization": f"Bearer {token}"}
        if upload is not None:
            headers |= {"Content-Type": upload.mime, "Content-Length": str(upload.size)}
        try:
            async with (
                asyncio.timeout(upload.timeout_s if upload else self._timeout_s),
                http.request(
                    method,
                    self.root + path,
                    params=params,
                    json=json_body,
                    data=upload.chunks if upload else None,
                    headers=headers,
                    allow_redirects=False,
                ) as response,
            ):
                return Answer(response.status, response.headers, _parse(await _read(response)))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = _translated(error)
        raise failure


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, bounded: what is counted are the bytes after decompression."""
    held = bytearray()
    async for part in response.content.iter_any():
        held += part
        if len(held) > MAX_REPLY_BYTES:
            raise UpstreamFailed("WasenderAPI sent more than 4 MiB, which no answer of its should have.")
    return bytes(held)


def _parse(raw: bytes) -> Any:
    if not raw.strip():
        return {}
    if rb"\u0000" not in raw:
        try:
            return orjson.loads(raw)  # nearly always, and then there is nothing to mend
        except orjson.JSONDecodeError:
            pass
    try:
        # The standard parser, because it reads the lone surrogates of a name that was cut inside an emoji.
        return mend(json.loads(raw, parse_constant=_refuse))
    except (ValueError, RecursionError):
        return None


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _translated(error: Exception) -> UpstreamError:
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return UpstreamFailed(
                "WasenderAPI's certificate is not valid, so nothing was sent.", details=NOT_REACHED
            )
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return UpstreamTimeout("WasenderAPI cannot be reached.", details=NOT_REACHED)
        case TimeoutError():
            return UpstreamTimeout("WasenderAPI did not answer in time.")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | OSError():
            return UpstreamTimeout("WasenderAPI broke the connection before its answer was complete.")
        case _:
            return UpstreamFailed(
                f"WasenderAPI sent something that is not proper HTTP ({type(error).__name__})."
            )

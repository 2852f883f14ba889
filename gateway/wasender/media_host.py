"""WhatsApp's file host, and WasenderAPI where it decrypts: files by HTTP, as pieces, within limits.

Nothing is followed but what `MediaHosts` allows. A file that is larger than its message says, an answer that is none,
and a host that stops sending each end with one of the three words of `services.media.ports`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urljoin

import aiohttp

from gateway import __version__
from gateway.domain.errors import (
    NotFound,
    SessionNotFound,
    UpstreamError,
    UpstreamInvalid,
)
from gateway.domain.media import MOST_FETCHED, MOST_UNANNOUNCED
from gateway.services.media.ports import NotNow, NotThere, Opening, Wanted, WrongFile
from gateway.wasender.calls import of_key
from gateway.wasender.client import WasenderClient
from gateway.wasender.media_crypto import Opener, PlainCheck, encrypted_size
from gateway.wasender.media_hosts import MediaHosts, PublicResolver

PIECE_BYTES = 256 * 1024
_CONNECT_S = 10.0
SILENCE_S = 20.0
"""Without a byte for so long a host is given up, this time."""
_FLAT_S = 60.0
_SLOWEST_BYTES_PER_S = 32 * 1024
"""A file may take a minute, and the time it takes at this speed."""
_MOST_REDIRECTS = 3
_GONE = frozenset({401, 403, 404, 410, 451})
_MOVED = frozenset({301, 302, 303, 307, 308})
_FINAL = frozenset({404, 410, 422})


class MediaHost:
    """`services.media.ports.FileHost` by HTTP. Open it once, close it once."""

    def __init__(self, hosts: MediaHosts, client: WasenderClient, *, silence_s: float = SILENCE_S) -> None:
        """`client` asks upstream to decrypt; it repeats by its own policy."""
        self._hosts = hosts
        self._client = client
        self._silence_s = silence_s
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Makes the pool of connections, on the running loop."""
        trusted = ("localhost",) if self._hosts.is_local else ()
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=32, resolver=PublicResolver(trusted)),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"whatsapp-realtime-gateway/{__version__}", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=self._silence_s),
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Closes all connections. Safe to call twice."""
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    # ------------------------------------------------------------------------------------------ what opens a file

    def opening(self, wanted: Wanted) -> Opening:
        """What opens the file as WhatsApp holds it. Raises WrongFile."""
        if wanted.source.key is None:  # files of channels lie there as they are
            return PlainCheck(wanted.source, wanted.kind)
        return Opener(wanted.source, wanted.kind)

    def checking(self, wanted: Wanted) -> Opening:
        """What checks the file as upstream gives it. Raises WrongFile."""
        return PlainCheck(wanted.source, wanted.kind)

    def most_of(self, wanted: Wanted) -> int:
        """The most bytes that the encrypted file may have."""
        length = wanted.source.length
        if length is None:
            return MOST_UNANNOUNCED
        return encrypted_size(min(length, MOST_FETCHED))

    # ------------------------------------------------------------------------------------------ reading

    def read(self, url: str, most: int) -> contextlib.AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The file at an address, in pieces. Raises NotThere, NotNow, and WrongFile beyond `most` bytes."""
        return self._read(url, most, self._hosts.allows)

    def read_decrypted(
        self, url: str, most: int
    ) -> contextlib.AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """As `read`, of an address that upstream gave."""
        return self._read(url, most, self._hosts.allows_decrypted)

    @contextlib.asynccontextmanager
    async def _read(
        self, url: str, most: int, allows: Callable[[str], bool]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        try:
            async with asyncio.timeout(_FLAT_S + most / _SLOWEST_BYTES_PER_S):
                async with contextlib.AsyncExitStack() as stack:
                    yield _pieces(await self._answer(url, allows, stack), most)
        except TimeoutError:
            raise NotNow("the host was too slow") from None
        except (aiohttp.ClientError, OSError) as error:
            raise NotNow(f"the connection broke ({type(error).__name__})") from None

    async def _answer(
        self, url: str, allows: Callable[[str], bool], stack: contextlib.AsyncExitStack
    ) -> aiohttp.ClientResponse:
        """The answer that has the file, behind redirects that stay where files may be fetched."""
        if self._http is None:
            raise RuntimeError("the way to the file host is not open")
        for _ in range(_MOST_REDIRECTS + 1):
            if not allows(url):
                raise NotThere("its address is not one of the hosts in GATEWAY_MEDIA_HOSTS")
            response = await stack.enter_async_context(self._http.get(url, allow_redirects=False))
            if response.status not in _MOVED:
                break
            url = urljoin(url, response.headers.get("Location", ""))
        if response.status == 200:
            return response
        if response.status in _GONE or response.status in _MOVED:
            raise NotThere(f"the host answered {response.status}")
        raise NotNow(f"the host answered {response.status}")

    # ------------------------------------------------------------------------------------------ upstream

    async def decrypted_url(self, api_key: str, wanted: Wanted) -> str:
        """Where upstream has the decrypted file. Raises NotThere if that is final, NotNow otherwise."""
        call = of_key("decrypt_media", "POST", "/decrypt-media", api_key, decrypt_request(wanted))
        try:
            data = await self._client.by_key(call, api_key)
        except (SessionNotFound, NotFound, UpstreamInvalid) as error:
            raise NotThere(_told(error)) from None
        except UpstreamError as error:
            if error.status in _FINAL:
                raise NotThere(_told(error)) from None
            raise NotNow(_told(error)) from None
        url = data.get("publicUrl") if isinstance(data, dict) else None
        if not isinstance(url, str):
            raise NotNow("WasenderAPI did not say where the file is")
        return url


def decrypt_request(wanted: Wanted) -> dict[str, Any]:
    """The body of `/decrypt-media` for a file."""
    source = wanted.source
    part = "videoMessage" if wanted.part == "ptvMessage" else wanted.part
    told = {
        "url": source.url,
        "mimetype": wanted.mime,
        "mediaKey": source.key,
        "fileSha256": source.sha256,
        "fileEncSha256": source.enc_sha256,
        "fileLength": None if source.length is None else str(source.length),
        "fileName": wanted.name,
    }
    fields = {name: value for name, value in told.items() if value is not None}
    return {"data": {"messages": {"key": {"id": wanted.key_id}, "message": {part: fields}}}}


async def _pieces(response: aiohttp.ClientResponse, most: int) -> AsyncIterator[bytes]:
    """The body in pieces of one size, so that each costs one turn of a thread."""
    announced = response.content_length
    if announced is not None and announced > most:
        raise WrongFile("it is larger than its message says")
    read = 0
    held = bytearray()
    async for part in response.content.iter_any():
        read += len(part)
        if read > most:
            raise WrongFile("it is larger than its message says")
        held += part
        if len(held) >= PIECE_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _told(error: UpstreamError | NotFound) -> str:
    return "WasenderAPI said: " + error.message.rpartition("It says:")[2].strip().rstrip(".")[:200]

"""The media store: files under their hash, in a folder or in S3 and its kind, by one API.

`blobs/` holds files, `thumbs/` small pictures of them. A file that can be read is whole: neither a folder nor S3 shows
one before its last byte. Nothing here is in a message's way: every call runs outside the loop.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from gateway.domain.errors import ConfigError, NotFound, Unavailable

PIECE_BYTES = 128 * 1024
_FIRST_BYTES = 64 * 1024
_PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes: of each file that is put one is in memory."""

_LOCAL_PART_BYTES = 512 * 1024
_PUTS_AT_ONCE = 2
_S3_TIMES = {"timeout": "3600s", "connect_timeout": "10s"}
"""A person may read a large file slowly; the default of 30 s is for the whole of it."""

_S3_RETRY: Any = {"max_retries": 3}
MARKER = "gateway-media.json"


class MediaFiles:
    """Puts, reads and removes files of the media store."""

    def __init__(self, store: ObjectStore, folder: Path | None) -> None:
        """`folder` is where a local store lies; None elsewhere."""
        self._store = store
        self._folder = folder
        self._putting = asyncio.Semaphore(_PUTS_AT_ONCE)

    @classmethod
    def at(cls, url: str) -> "MediaFiles":
        """The store at a `file:///` or `s3://` address. Raises ConfigError where it cannot be one."""
        parts = urlsplit(url)
        try:
            if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
                folder = Path(parts.path)
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                return cls(LocalStore(folder), folder)
            if parts.scheme == "s3" and parts.netloc:
                return cls(S3Store.from_url(url, client_options=_s3_client(), retry_config=_S3_RETRY), None)
        except OSError as error:
            raise ConfigError(
                f"GATEWAY_MEDIA_URL names the folder {parts.path}, which cannot be used ({error.strerror})."
            ) from None
        except (BaseError, ValueError) as error:
            raise ConfigError(f"GATEWAY_MEDIA_URL cannot be used: {_line(error)}.") from None
        raise ConfigError(
            "GATEWAY_MEDIA_URL must be an address like file:///var/media or s3://bucket/prefix."
        )

    # ------------------------------------------------------------------------------------------ files

    async def put(self, sha256: str, path: Path) -> None:
        """Puts a file of this disk under its hash. Raises Unavailable."""
        part = _PART_BYTES if self._folder is None else _LOCAL_PART_BYTES
        async with self._putting:
            with _mapped():
                await obstore.put_async(self._store, _blob(sha256), path, chunk_size=part, max_concurrency=1)
            if self._folder is not None:
                await asyncio.to_thread(_sync, self._folder / _blob(sha256))

    async def has(self, sha256: str) -> int | None:
        """Size of a file that is there; None if it is not. Raises Unavailable."""
        with _mapped():
            try:
                return int((await obstore.head_async(self._store, _blob(sha256)))["size"])
            except FileNotFoundError:
                return None

    async def read(self, sha256: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` to before `end`, in pieces. Raises NotFound, Unavailable; both before the first."""
        with _mapped():
            try:
                if start == end:
                    return _nothing()
                if self._folder is not None:  # a folder's own stream comes in pieces of 8 kB
                    first = await self._range(sha256, start, min(end, start + _FIRST_BYTES))
                    return self._ranges(sha256, first, start + len(first), end)
                found = await obstore.get_async(self._store, _blob(sha256), options={"range": (start, end)})
            except FileNotFoundError:
                raise NotFound("The file is not in the media store any more.") from None
        return _pieces(found.stream(min_chunk_size=PIECE_BYTES))

    async def _range(self, sha256: str, start: int, end: int) -> bytes:
        return bytes(await obstore.get_range_async(self._store, _blob(sha256), start=start, end=end))

    async def _ranges(self, sha256: str, first: bytes, start: int, end: int) -> AsyncIterator[bytes]:
        yield first
        with _mapped():
            while start < end:
                piece = await self._range(sha256, start, min(end, start + PIECE_BYTES))
                start += len(piece)
                yield piece

    async def copy_to(self, sha256: str, target: Path) -> None:
        """Writes a file of the store to this disk. Raises NotFound, Unavailable, OSError."""
        with _mapped():
            try:
                found = await obstore.get_async(self._store, _blob(sha256))
            except FileNotFoundError:
                raise NotFound("The file is not in the media store any more.") from None
        with target.open("wb") as file:
            async for piece in _pieces(found.stream(min_chunk_size=1024 * 1024)):
                await asyncio.to_thread(file.write, piece)

    async def remove(self, sha256: str) -> None:
        """Removes a file and its small picture; one that is not there is no error. Raises Unavailable."""
        for name in (_blob(sha256), _thumb(sha256)):
            with _mapped(), contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(self._store, name)

    # ------------------------------------------------------------------------------------------ small pictures

    async def thumb(self, sha256: str) -> bytes | None:
        """The small picture of a file; None if none was made yet. Raises Unavailable."""
        return await self._small(_thumb(sha256))

    async def put_thumb(self, sha256: str, picture: bytes) -> None:
        """Keeps the small picture of a file. Raises Unavailable."""
        with _mapped():
            await obstore.put_async(self._store, _thumb(sha256), picture)

    # ------------------------------------------------------------------------------------------ marker

    async def marker(self) -> bytes | None:
        """The file that tells which store this is; None in a new one. Raises Unavailable."""
        return await self._small(MARKER)

    async def put_marker(self, content: bytes) -> bool:
        """Marks a new store. False if another gateway just did. Raises Unavailable."""
        with _mapped():
            try:
                await obstore.put_async(self._store, MARKER, content, mode="create")
            except AlreadyExistsError:
                return False
        return True

    async def _small(self, name: str) -> bytes | None:
        with _mapped():
            try:
                found = await obstore.get_async(self._store, name)
                return bytes(await found.bytes_async())
            except FileNotFoundError:
                return None


def _s3_client() -> Any:
    """An endpoint of the operator's own may speak plain http; Amazon's never does."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    endpoint = endpoint or os.environ.get("AWS_ENDPOINT") or ""
    return {**_S3_TIMES, "allow_http": endpoint.startswith("http://")}


def _blob(sha256: str) -> str:
    return f"blobs/{sha256[:2]}/{sha256}"


def _thumb(sha256: str) -> str:
    return f"thumbs/{sha256[:2]}/{sha256}.jpg"


def _sync(path: Path) -> None:
    """The file's bytes and its name are on the disk, whatever happens to the machine."""
    for what in (path, path.parent):
        descriptor = os.open(what, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


async def _pieces(stream: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    with _mapped():
        async for piece in stream:
            yield bytes(piece)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


_METADATA = "/latest/api/token"
"""Where a machine of Amazon's has its keys from: it is asked for them where none are set."""


@contextlib.contextmanager
def _mapped() -> Any:
    try:
        yield
    except (BaseError, OSError) as error:  # a file that is not there ended before, where that is an answer
        says = f"The media store does not answer: {_line(error)}."
        if _METADATA in says:
            says = (
                "The media store gives nothing without keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give "
                "this machine a role that may use it."
            )
        raise Unavailable(says, retry_after_s=5) from None


def _line(error: Exception) -> str:
    """The first line of what a store says, without addresses that were signed."""
    return str(error).strip().splitlines()[0].partition("?")[0][:200].rstrip(". ") if str(error) else "?"

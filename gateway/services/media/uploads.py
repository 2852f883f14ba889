"""Files that people upload to send: taken as they come, told apart by their bytes, kept until they are sent.

The body goes to this disk piece by piece; what is refused, or breaks off, leaves nothing. An upload that no message
takes within a day is removed.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from prometheus_client import Counter

from gateway.domain.access import Act, Principal
from gateway.domain.errors import Invalid, NotFound, RateLimited, TooLarge, Unavailable
from gateway.domain.media import MIB, UPLOAD_LIMITS, MediaKind, clean_name
from gateway.services.media import kinds, pictures, voice
from gateway.services.media.files import MediaFiles
from gateway.services.media.ports import MediaRow, Place
from gateway.services.media.scratch import Scratch

UPLOADED = Counter("gateway_media_uploaded", "Files that were uploaded to be sent.", ["kind"])

MOST_BYTES = max(UPLOAD_LIMITS.values())
_PIECE_BYTES = 256 * 1024
QUOTA_RETRY_S = 600.0
_GOING_WAIT_S = 0.2
_GOING_TRIES = 50


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file on this disk that is to become an upload."""

    kind: MediaKind
    mime: str
    name: str | None
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class UploadQuota:
    """What one person's uploads may be that no message has yet."""

    files: int = 200
    bytes: int = 2048 * MIB


class UploadStore(Protocol):
    """The rows of uploads. Raises StoreUnavailable."""

    async def unused_uploads(self, maker: str) -> tuple[int, int]:
        """How many uploads of this person no message has, and their bytes."""

    async def begin_upload(self, file: NewFile, maker: str) -> str:
        """A row for it, `pending` until its bytes stand in the media store; its id."""

    async def reserve_upload(self, media_id: str, file: NewFile) -> Place:
        """Before its bytes are put into the media store: whether they stand there already."""

    async def end_upload(self, media_id: str) -> None:
        """Its bytes stand in the media store."""

    async def drop_upload(self, media_id: str) -> None:
        """It came to nothing."""

    async def row(self, media_id: str) -> MediaRow | None:
        """A file as it stands; None if there is none of that id."""


class Uploads:
    """Takes files in."""

    def __init__(
        self, store: UploadStore, files: MediaFiles, scratch: Scratch, quota: UploadQuota = UploadQuota()
    ) -> None:
        self._store = store
        self._quota = quota
        self._files = files
        self._scratch = scratch

    async def take(
        self, chunks: AsyncIterator[bytes], declared: str | None, name: str | None, principal: Principal
    ) -> MediaRow:
        """The upload, stored. `declared` is what the client calls its type.

        Raises Invalid, TooLarge, RateLimited and Unavailable.
        """
        principal.require(Act.SEND)
        await self._require_room(principal)
        with self._scratch.file() as path, self._scratch.file() as remuxed:
            size, digest = await self._write(chunks, path)
            if size == 0:
                raise Invalid("The file is empty.")
            mime = await asyncio.to_thread(kinds.type_of_file, path)
            _refuse_other(declared, mime)
            if mime in voice.CONTAINERS and await asyncio.to_thread(voice.as_ogg, path, remuxed):
                path, mime = remuxed, "audio/ogg"
                size, digest = await asyncio.to_thread(_measured, path)
            kind = kinds.kind_of(mime)
            _refuse_large(kind, size)
            if kind in ("image", "sticker") and await asyncio.to_thread(pictures.is_broken, path):
                raise Invalid(
                    "The picture is broken: part of it is missing. Save or export it again, and send that.",
                    details={"errors": {"file": ["It cannot be opened."]}},
                )
            file = NewFile(kind, mime, clean_name(name), digest, size)
            row = await self._keep(file, path, principal)
        UPLOADED.labels(kind).inc()
        return row

    async def _require_room(self, principal: Principal) -> None:
        """What a person uploads and does not send waits a day, and fills the disk of all."""
        files, size = await self._store.unused_uploads(principal.sub)
        if files >= self._quota.files or size >= self._quota.bytes:
            raise RateLimited(
                f"{files} files ({size // MIB} MiB) that you uploaded wait to be sent. Send some of them first; what is"
                " not sent goes after a day.",
                retry_after_s=QUOTA_RETRY_S,
            )

    async def _write(self, chunks: AsyncIterator[bytes], path: Path) -> tuple[int, str]:
        """Size and hash. Its first bytes say how long it may be."""
        digest, size, head, held = hashlib.sha256(), 0, b"", bytearray()
        limit_of: MediaKind | None = None
        with _opened(path) as file:
            async for chunk in chunks:
                size += len(chunk)
                held += chunk
                if limit_of is None:
                    head += chunk[: kinds.HEAD_BYTES]
                    if len(head) >= kinds.HEAD_BYTES:
                        limit_of = kinds.kind_of(kinds.type_of(head))
                else:
                    _refuse_large(limit_of, size)
                if len(held) >= _PIECE_BYTES:
                    await asyncio.to_thread(_put, file, digest, bytes(held))
                    held.clear()
            await asyncio.to_thread(_put, file, digest, bytes(held))
        return size, digest.hexdigest()

    async def _keep(self, file: NewFile, path: Path, principal: Principal) -> MediaRow:
        media_id = await self._store.begin_upload(file, principal.sub)
        try:
            place = await self._store.reserve_upload(media_id, file)
            for _ in range(_GOING_TRIES):
                if place != "going":
                    break
                await asyncio.sleep(_GOING_WAIT_S)
                place = await self._store.reserve_upload(media_id, file)
            else:
                raise Unavailable("The same file is just being removed. Upload it again.", retry_after_s=2)
            if place == "new" or await self._files.has(file.sha256) != file.bytes:
                await self._files.put(file.sha256, path)
            await self._store.end_upload(media_id)
        except BaseException:
            await asyncio.shield(self._store.drop_upload(media_id))
            raise
        row = await self._store.row(media_id)
        if row is None:
            raise NotFound("The upload was removed in the same moment.")
        return row


def _refuse_other(declared: str | None, mime: str) -> None:
    if kinds.contradicts(declared, mime):
        raise Invalid(
            f"The Content-Type says {kinds.plain_type(declared)}, and the file is {mime}. Send it as what it is.",
            details={"errors": {"file": [f"It is {mime}."]}},
        )


def _refuse_large(kind: MediaKind, size: int) -> None:
    limit = UPLOAD_LIMITS[kind]
    if size > limit:
        raise TooLarge(
            f"WhatsApp takes {kind} files of at most {limit // MIB} MiB.", details={"limit": limit}
        )


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("wb", buffering=0)
    except OSError as error:
        raise Unavailable(f"The gateway's disk does not take the file ({error.strerror}).") from None


def _put(file: BinaryIO, digest: "hashlib._Hash", piece: bytes) -> None:
    digest.update(piece)
    try:
        file.write(piece)
    except OSError as error:
        raise Unavailable(f"The gateway's disk does not take the file ({error.strerror}).") from None


def _measured(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()

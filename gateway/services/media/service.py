"""Gives files out to those who may read their messages, and small pictures of them."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.access import Act, Principal, Role
from gateway.domain.errors import Conflict, Invalid, NotFound
from gateway.services.background import Background
from gateway.services.media import kinds, pictures
from gateway.services.media.files import MediaFiles
from gateway.services.media.ports import MediaRow
from gateway.services.media.scratch import Scratch

_NONE = "There is no such file."


class MediaReads(Protocol):
    """What is known of files. Raises StoreUnavailable."""

    async def row(self, media_id: str) -> MediaRow | None:
        """A file as it stands; None if there is none of that id."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that is stored."""

    row: MediaRow
    sha256: str
    bytes: int
    type: str

    @property
    def is_shown(self) -> bool:
        """Whether a browser may show it, and does not run it."""
        return self.type in kinds.SHOWN


class MediaService:
    """Files, for a principal who asks."""

    def __init__(self, store: MediaReads, files: MediaFiles, scratch: Scratch) -> None:
        self._store = store
        self._files = files
        self._scratch = scratch
        # One at a time: a picture opened takes 150 MB at worst, and the second core is the loop's.
        self._painter = ThreadPoolExecutor(1, "thumbnails")
        self._background = Background()
        self._painting: dict[str, asyncio.Task[bytes]] = {}

    async def close(self) -> None:
        """Ends what is painted, and lets the thread end."""
        await self._background.close()
        self._painter.shutdown(wait=False, cancel_futures=True)

    async def allowed(self, media_id: str, principal: Principal) -> MediaRow:
        """The row of a file that this principal may read. Raises NotFound, Forbidden."""
        principal.require(Act.READ)
        row = await self._store.row(media_id)
        if row is None:
            raise NotFound(_NONE)
        if row.session_id is not None:
            principal.require(Act.READ, row.session_id)
        elif row.made_by != principal.sub and not (
            principal.role >= Role.ADMIN and principal.sessions is None
        ):
            raise NotFound(_NONE)  # an upload is its maker's until it is sent
        return row

    async def file(self, media_id: str, principal: Principal) -> File:
        """A stored file. Raises NotFound for what is lost, Conflict while it is being fetched, Forbidden."""
        row = await self.allowed(media_id, principal)
        if row.state == "lost":
            raise NotFound(row.reason or "The file cannot be had any more.", details={"state": "lost"})
        if row.state != "stored" or row.sha256 is None or row.bytes is None:
            raise Conflict(
                "This file is still being fetched. Try again in a moment.", details={"state": "pending"}
            )
        return File(row, row.sha256, row.bytes, row.type or kinds.UNKNOWN)

    async def read(self, file: File, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` to before `end`, in pieces."""
        return await self._files.read(file.sha256, start, end)

    async def small_picture(self, file: File) -> bytes:
        """A JPEG of at most 320 pixels, made once. Raises Invalid for what is no picture."""
        if file.type not in kinds.PICTURES:
            raise Invalid("There is a small picture of images only.")
        found = await self._files.thumb(file.sha256)
        if found is not None:
            return found
        task = self._painting.get(file.sha256)
        if task is None:
            task = self._background.start(self._paint(file.sha256), "thumbnail")
            self._painting[file.sha256] = task
            task.add_done_callback(lambda _: self._painting.pop(file.sha256, None))
        return await asyncio.shield(task)

    async def _paint(self, sha256: str) -> bytes:
        with self._scratch.file() as path:
            await self._files.copy_to(sha256, path)
            loop = asyncio.get_running_loop()
            try:
                picture = await loop.run_in_executor(self._painter, pictures.small_picture, path)
            except pictures.NoPicture as none:
                raise Invalid(str(none)) from None
        await self._files.put_thumb(sha256, picture)
        return picture

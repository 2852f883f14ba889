"""Hands files of ours to WasenderAPI, which takes them by address only, at the moment in which they are sent."""

from collections.abc import AsyncIterator
from typing import Protocol

from gateway.domain.errors import NotFound, UpstreamInvalid
from gateway.domain.sending import Refused
from gateway.services.media import kinds
from gateway.services.media.files import MediaFiles
from gateway.services.media.ports import MediaRow
from gateway.services.sending.ports import UploadedMedia

_GONE = "The file is not there any more."


class SendableReads(Protocol):
    """What is known of files. Raises StoreUnavailable."""

    async def row(self, media_id: str) -> MediaRow | None:
        """A file as it stands; None if there is none of that id."""


class UpstreamUpload(Protocol):
    """WasenderAPI's uploads. Raises UpstreamError."""

    async def upload_file(self, api_key: str, chunks: AsyncIterator[bytes], mime: str, size: int) -> str:
        """The address under which upstream holds the file for a day."""


class SendUploads:
    """`services.sending.ports.Uploads`: the files of messages, on their way out."""

    def __init__(self, store: SendableReads, files: MediaFiles, upstream: UpstreamUpload) -> None:
        self._store = store
        self._files = files
        self._upstream = upstream

    async def upload_for_send(self, session_id: int, api_key: str, media_id: str) -> UploadedMedia | Refused:
        """The file at upstream; or why it can never be sent. Raises UpstreamError and StoreUnavailable."""
        row = await self._store.row(media_id)
        if row is None or row.session_id != session_id or row.sha256 is None or row.bytes is None:
            return Refused((row.reason if row else None) or _GONE, "invalid")
        try:
            chunks = await self._files.read(row.sha256, 0, row.bytes)
        except NotFound:
            return Refused(_GONE, "invalid")
        mime = row.type or row.mime or kinds.UNKNOWN
        try:
            url = await self._upstream.upload_file(api_key, chunks, mime, row.bytes)
        except UpstreamInvalid as refused:
            return Refused(refused.message, "invalid")
        return UploadedMedia(row.kind, url, row.name)

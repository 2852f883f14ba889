"""Addresses of files that this gateway gave to clients of WasenderAPI, where they come back as what is to be sent.

Upstream could not fetch them, and need not: the file is here.
"""

import re
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from gateway.domain.access import Principal
from gateway.domain.errors import Invalid, Unauthenticated
from gateway.domain.media import MediaKind, clean_name
from gateway.services.media.links import MediaLinks
from gateway.services.media.service import MediaService

_PATH = re.compile(r"/api/media/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$")


class OwnFileStore(Protocol):
    """Files. Raises StoreUnavailable."""

    async def copy_upload(self, media_id: str, maker: str, kind: MediaKind, name: str | None) -> str | None:
        """Another upload with the same file; its id, None where the file is not stored."""


class OwnFiles:
    """Makes uploads of files whose addresses are ours."""

    def __init__(self, store: OwnFileStore, media: MediaService, links: MediaLinks, address: str) -> None:
        """`address` is where clients reach this gateway."""
        self._store = store
        self._media = media
        self._links = links
        self._address = address.rstrip("/")

    async def upload_of(self, url: str, kind: MediaKind, name: str | None, sender: Principal) -> str | None:
        """An upload of the sender's with the file behind this address; None where the address is another's.

        Raises Invalid, NotFound, Forbidden and Conflict for a file of ours that cannot be sent so.
        """
        try:
            parts = urlsplit(url)
            found, tokens = _PATH.search(parts.path), parse_qs(parts.query).get("link", [])
        except ValueError:  # no address at all: upstream says so
            return None
        if found is None or len(tokens) != 1:
            return None
        media_id = found[1]
        try:
            reader = self._links.read(media_id, tokens[0])
        except Unauthenticated as ended:
            if url.startswith(f"{self._address}/"):
                raise Invalid("The address of this file has ended. Upload it again.") from ended
            return None
        file = await self._media.file(media_id, reader)
        if kind not in (file.row.kind, "document"):
            raise Invalid(f"This file is no {kind}: its kind is {file.row.kind}.")
        copied = await self._store.copy_upload(media_id, sender.sub, kind, name and clean_name(name))
        if copied is None:
            raise Invalid("This file is not there any more. Upload it again.")
        return copied

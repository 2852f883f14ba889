"""A conversation as JSON Lines, as CSV, or as a zip with its files; page by page, however long it is."""

import asyncio
import csv
import io
import zipfile
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, Protocol

import orjson

from gateway.domain.errors import NotFound
from gateway.services.inbox import InboxStore, Place, ThreadQuery

Format = Literal["jsonl", "csv", "zip"]
MEDIA_TYPES: dict[Format, str] = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "zip": "application/zip",
}

PAGE = 200
BEGINNING: Place = ("-infinity", "-infinity", "in", "")

COLUMNS = (
    "ref", "at", "direction", "phone", "sender", "type", "text", "file", "status", "deleted_at",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet may take for the beginning of a formula."""


class ExportFiles(Protocol):
    """The bytes of files of messages."""

    async def pieces(self, media_id: str) -> AsyncIterator[bytes] | None:
        """The file in pieces; None where it is not stored. Raises NotFound, Unavailable."""


class Export:
    """Reads a conversation from its beginning and writes it as it reads."""

    def __init__(self, inbox: InboxStore, files: ExportFiles) -> None:
        self._inbox = inbox
        self._files = files

    def stream(
        self,
        session_id: int,
        chat: str,
        form: Format,
        progress: Callable[[int], None] = lambda messages: None,
    ) -> AsyncIterator[bytes]:
        """The export in pieces; `progress` is told how many further messages are in it."""
        pages = self._pages(session_id, chat)
        if form == "zip":
            return self._zip(session_id, chat, progress)
        return _told(pages, jsonl if form == "jsonl" else csv_rows, progress, with_head=form == "csv")

    async def _pages(self, session_id: int, chat: str) -> AsyncIterator[list[dict[str, Any]]]:
        after: Place | None = BEGINNING
        while after is not None:
            page = await self._inbox.messages(ThreadQuery(session_id, chat, PAGE, after=after))
            yield page.items
            after = page.after

    async def _zip(self, session_id: int, chat: str, progress: Callable[[int], None]) -> AsyncIterator[bytes]:
        """Three passes: what is written is not kept, so that memory does not grow with the conversation."""
        target = _Drained()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, encode in (("messages.jsonl", jsonl), ("messages.csv", csv_rows)):
                with archive.open(name, "w", force_zip64=True) as entry:
                    if encode is csv_rows:
                        entry.write(csv_head())
                    async for page in self._pages(session_id, chat):
                        await asyncio.to_thread(entry.write, encode(page))
                        if encode is jsonl:
                            progress(len(page))
                        yield target.drain()
                yield target.drain()
            async for page in self._pages(session_id, chat):
                for message in page:
                    async for piece in self._file(archive, target, message):
                        yield piece
        yield target.drain()

    async def _file(
        self, archive: zipfile.ZipFile, target: "_Drained", message: dict[str, Any]
    ) -> AsyncIterator[bytes]:
        media = message.get("media")
        if not isinstance(media, dict) or media.get("state") != "stored":
            return
        try:
            pieces = await self._files.pieces(str(media["id"]))
        except NotFound:
            return  # it has been removed meanwhile; the message says what it was
        if pieces is None:
            return
        info = zipfile.ZipInfo(f"media/{file_name(message)}")
        info.compress_type = zipfile.ZIP_STORED  # pictures and sound are packed already
        with archive.open(info, "w", force_zip64=True) as entry:
            async for piece in pieces:
                await asyncio.to_thread(entry.write, piece)
                yield target.drain()
        yield target.drain()


async def _told(
    pages: AsyncIterator[list[dict[str, Any]]],
    encode: Callable[[list[dict[str, Any]]], bytes],
    progress: Callable[[int], None],
    *,
    with_head: bool,
) -> AsyncIterator[bytes]:
    if with_head:
        yield csv_head()
    async for page in pages:
        yield encode(page)
        progress(len(page))


def jsonl(page: list[dict[str, Any]]) -> bytes:
    """The messages as REST shows them, one a line."""
    return b"".join(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE) for message in page)


def csv_head() -> bytes:
    """A byte order mark, by which spreadsheets know UTF-8, and the names of the columns."""
    return b"\xef\xbb\xbf" + _csv([COLUMNS])


def csv_rows(page: list[dict[str, Any]]) -> bytes:
    """The messages as rows. No cell begins like a formula."""
    return _csv([[safe_cell(value) for value in _cells(message)] for message in page])


def safe_cell(value: object) -> str:
    """The value as text that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def file_name(message: dict[str, Any]) -> str:
    """A name for the message's file in the archive: its ref and the end of its own name, safe on every system."""
    name = str(message["media"].get("name") or "")
    _, dot, ending = name.rpartition(".")
    kind = ending.lower() if dot and ending.isascii() and ending.isalnum() and len(ending) <= 8 else ""
    return str(message["ref"]).replace(":", "-") + (f".{kind}" if kind else "")


def _cells(message: dict[str, Any]) -> tuple[object, ...]:
    media = message.get("media")
    file = (
        f"media/{file_name(message)}" if isinstance(media, dict) and media.get("state") == "stored" else None
    )
    sender = message.get("sender_name") or message.get("push_name") or message.get("created_by")
    phone = message.get("from_phone") if message["direction"] == "in" else message.get("to_phone")
    return (
        message["ref"], message["at"], message["direction"], phone, sender, message.get("message_type"),
        message.get("message_text"), file, message.get("status"), message.get("deleted_at"),
    )  # fmt: skip


def _csv(rows: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


class _Drained(io.RawIOBase):
    """Takes what the archive writes until it is drained; it cannot be sought."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def drain(self) -> bytes:
        """What was written since the last time."""
        taken = bytes(self._held)
        self._held.clear()
        return taken

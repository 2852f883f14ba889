"""What `gateway export` does."""

import contextlib
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import BinaryIO

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.actions.database import open_pool_of
from gateway.cli.console import err
from gateway.domain.errors import ConfigError, NotFound
from gateway.domain.message import chat_of, digits_of
from gateway.postgres.inbox.export import ExportTable
from gateway.postgres.inbox.inbox import InboxTable
from gateway.postgres.media.keep import MediaKeepTable
from gateway.services.export.export import Export, Format
from gateway.services.media.files import MediaFiles
from gateway.settings import Settings


async def export(settings: Settings, session_id: int, chat: str, form: Format, to: Path | None) -> None:
    """Writes the conversation, and shows how far it is. Raises ConfigError, NotFound."""
    async with AsyncExitStack() as stack:
        pool = await open_pool_of(settings, stack)
        inbox = InboxTable(pool, settings.zone)
        address = chat_of(None, chat if "@" in chat else digits_of(chat))
        conversation = await inbox.conversation_of(address) if address else chat
        url = await MediaKeepTable(pool).store_url() or settings.media_url
        table = ExportTable(pool, MediaFiles.at(url) if url and form == "zip" else None)
        total = await table.count(session_id, conversation)
        if not total:
            raise NotFound("There are no messages of this chat.")
        columns = (TextColumn("Messages"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with (
            _target(to) as file,
            Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar,
        ):
            line = bar.add_task("Messages", total=total)
            pieces = Export(inbox, table).stream(
                session_id, conversation, form, progress=lambda count: bar.advance(line, count)
            )
            async for piece in pieces:
                file.write(piece)
    err.print(f"{total} messages were exported.")


@contextlib.contextmanager
def _target(to: Path | None) -> Iterator[BinaryIO]:
    if to is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        file = to.open("wb")
    except OSError as error:
        raise ConfigError(f"{to} cannot be written ({error.strerror}).") from None
    with file:
        yield file

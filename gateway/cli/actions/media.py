"""What `gateway media` does."""

import hashlib
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.actions.database import open_pool_of
from gateway.cli.console import err, out
from gateway.domain.errors import ConfigError, NotFound
from gateway.domain.session import iso_utc
from gateway.postgres.media.keep import MediaKeepTable
from gateway.services.media.files import MediaFiles
from gateway.settings import Settings

_PAGE = 500


async def show_state(settings: Settings) -> None:
    """Prints files by state, the reasons of those that are not stored, and the media store."""
    async with AsyncExitStack() as stack:
        table = MediaKeepTable(await open_pool_of(settings, stack))
        for row in await table.counts():
            size = f", {decimal(row['bytes'])}" if row["bytes"] else ""
            out.print(f"{row['state']}: {row['files']} files{size}, the oldest from {iso_utc(row['oldest'])}")
        files, size_of_all = await table.total()
        for reason, count in await table.reasons():
            out.print(f"  {count} × {reason}")
        out.print(f"The media store {await _url(settings, table)} has {files} files, {decimal(size_of_all)}.")


async def retry(settings: Settings, ids: Sequence[str] | None) -> None:
    """Asks for these lost files once more, or for all. Raises ConfigError for what is no id."""
    try:
        wanted = None if ids is None else [str(uuid.UUID(item)) for item in ids]
    except ValueError:
        raise ConfigError("An id of a file looks like 6f1c9b1e-9d0c-4a57-8f0e-0c9f0f3f6f11.") from None
    async with AsyncExitStack() as stack:
        asked = await MediaKeepTable(await open_pool_of(settings, stack)).retry(wanted)
    out.print(f"{asked} files are asked for once more." if asked else "No such file is lost.")


async def move(settings: Settings, target: str) -> None:
    """Copies every stored file to another store. Raises ConfigError where that is none."""
    async with AsyncExitStack() as stack:
        pool: asyncpg.Pool = await open_pool_of(settings, stack)
        table = MediaKeepTable(pool)
        url = await _url(settings, table)
        source, there = MediaFiles.at(url), MediaFiles.at(target)
        await _mark(source, there, target)
        copied, missing = await _copy_all(table, source, there)
    out.print(f"{copied} files were copied from {url}.")
    for sha256 in missing:
        err.print(f"{sha256} is not in {url}, or is not whole there.")
    out.print(
        f"Now set GATEWAY_MEDIA_URL={target} for every gateway and restart them, then run this once more for what came "
        "meanwhile. The old store is left as it is."
    )


async def _url(settings: Settings, table: MediaKeepTable) -> str:
    url = await table.store_url() or settings.media_url
    if url is None:
        raise ConfigError("No gateway has run on this database yet, so there is no media store.")
    return url


async def _mark(source: MediaFiles, target: MediaFiles, url: str) -> None:
    """The new store is the old one elsewhere: gateways of either may run while they are restarted."""
    marker, there = await source.marker(), await target.marker()
    if marker is None:
        raise ConfigError("The old media store has no marker: start a gateway on it once.")
    if there is None:
        await target.put_marker(marker)
    elif there != marker:
        raise ConfigError(f"{url} is another media store already. Choose an empty one.")


async def _copy_all(table: MediaKeepTable, source: MediaFiles, target: MediaFiles) -> tuple[int, list[str]]:
    """How many were copied, and the hashes of those that could not be."""
    files, size = await table.total()
    copied, missing, after = 0, list[str](), ""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        line = bar.add_task(f"{files} files", total=size)
        while page := await table.blobs(after, _PAGE):
            for sha256, length in page:
                after = sha256
                if await target.has(sha256) != length:
                    if await _copy(source, target, sha256):
                        copied += 1
                    else:
                        missing.append(sha256)
                bar.advance(line, length)
    return copied, missing


async def _copy(source: MediaFiles, target: MediaFiles, sha256: str) -> bool:
    """Copies one file, if it is whole."""
    with tempfile.TemporaryDirectory(prefix="gateway-media-") as folder:
        path = Path(folder) / sha256
        try:
            await source.copy_to(sha256, path)
        except NotFound:
            return False
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                return False
        await target.put(sha256, path)
    return True

"""What `gateway backup` does: database, files, spool and secrets into one sealed file, while gateways run.

The spool is read before the database: a webhook that moves from one to the other meanwhile is in both, and is taken
once when it comes back. Files are read after it, so what the database names is there.
"""

import contextlib
import errno
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import asyncpg
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from gateway import __version__
from gateway.cli.console import err, out
from gateway.domain.errors import ConfigError, GatewayError, NotFound, Unavailable
from gateway.embedded_postgres import programs
from gateway.postgres.auth.secret_check import is_the_others
from gateway.postgres.backup.database import DatabaseFacts, facts_of
from gateway.postgres.connection.pool import open_pool
from gateway.postgres.media.keep import MediaKeepTable
from gateway.runtime import database
from gateway.runtime.data_dir import data_dir, simulator_state
from gateway.services.backup import entries
from gateway.services.backup.entries import EntryWriter
from gateway.services.backup.sealed_file import SealedWriter
from gateway.services.media.files import MediaFiles
from gateway.settings import Settings
from gateway.spool.copy import read_spool

SECRET_SETTINGS = (
    "secret", "secret_previous", "wasender_token", "metrics_token", "supabase_jwt_secret",
)  # fmt: skip
"""Settings that a new machine needs and that stand in no table."""

_PAGE = 500


async def back_up(settings: Settings, file: Path, passphrase: str, *, with_media: bool) -> None:
    """Writes the backup. Raises ConfigError with one sentence; the file is there whole, or not at all."""
    given = settings
    async with AsyncExitStack() as stack:
        stack.enter_context(one_sentence(file))
        settings = database.locate(given)
        dsn = await database.find_database(settings, stack)
        direct = await database.open_direct(settings, dsn)
        pool = await open_pool(direct, timezone="UTC", max_size=2, pooled=False)
        stack.push_async_callback(database.close_pool, pool)
        facts = await facts_of(pool)
        _require_programs(facts)
        secrets = await _secrets_of(given, pool)
        table = MediaKeepTable(pool)
        media = await _media_of(settings, table) if with_media else None
        size = facts.bytes + ((await table.total())[1] if media else 0)
        bar = stack.enter_context(progress("Backing up", size))
        with new_file(file) as target:
            head = {"gateway": __version__, "made_at": datetime.now(UTC).isoformat(timespec="seconds")}
            sealed = SealedWriter(target, passphrase, head)
            writer = EntryWriter(sealed)
            writer.put_json(entries.MANIFEST, {**head, **asdict(facts), "has_media": media is not None})
            writer.put_json(entries.SECRETS, secrets)
            _write_simulator(writer, simulator_state(settings))
            webhooks = _write_spool(writer, data_dir(settings) / "spool" / f"{facts.installation}.sqlite")
            await _write_database(writer, direct, bar)
            files, missing = await _write_media(writer, table, media, bar) if media else (0, 0)
            writer.close()
    out.print(
        f"{file} holds the database, {files} files of messages, {webhooks} waiting webhooks and the secrets, in "
        f"{_size_of(file)}."
    )
    if missing:
        err.print(f"{missing} files were not in the media store, or not whole there.")
    if not with_media:
        out.print("Files of messages are not in it: back up the media store, too.")


def _require_programs(facts: DatabaseFacts) -> None:
    if facts.server > programs.major():
        raise ConfigError(
            f"The server is PostgreSQL {facts.server}, and this gateway brings the pg_dump of {programs.major()}, "
            "which cannot read it: use a newer gateway, or the server's own pg_dump."
        )


async def _secrets_of(settings: Settings, pool: asyncpg.Pool) -> dict[str, str]:
    """Secret settings by the names of their variables."""
    values = {name: getattr(settings, name) for name in SECRET_SETTINGS}
    if not values["secret"]:
        file = data_dir(settings) / "secret"
        if not file.exists():
            raise ConfigError(
                f"There is no secret in {data_dir(settings)}. Run this with the settings of the gateway: "
                "its GATEWAY_SECRET, or its GATEWAY_DATA_DIR."
            )
        values["secret"] = file.read_text("utf-8").strip()
    if not await is_the_others(pool, values["secret"], values["secret_previous"]):
        raise ConfigError(
            "GATEWAY_SECRET is not the one that the gateways of this database use, and without theirs a restored "
            "gateway could not open its secrets. Run this with the settings of the gateway."
        )
    return {
        str(Settings.model_fields[name].validation_alias): value for name, value in values.items() if value
    }


async def _media_of(settings: Settings, table: MediaKeepTable) -> MediaFiles | None:
    """The media store; None where no gateway has had one."""
    url = settings.media_url or await table.store_url()
    if url is None:
        return None
    if not _is_reached(url):
        raise ConfigError(
            f"The media store {url} is not on this machine. Make the backup where it is, or with --without-media."
        )
    return MediaFiles.at(url)


def _is_reached(url: str) -> bool:
    return not url.startswith("file:") or Path(urlsplit(url).path).is_dir()


def _size_of(file: Path) -> str:
    return decimal(file.stat().st_size)


# ------------------------------------------------------------------------------------------ entries


def _write_simulator(writer: EntryWriter, path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        writer.put(entries.SIMULATOR, path.read_bytes())


def _write_spool(writer: EntryWriter, path: Path) -> int:
    count = 0
    writer.begin(entries.SPOOL)
    for line in read_spool(path):
        writer.piece(line)
        count += 1
    writer.end()
    return count


async def _write_database(writer: EntryWriter, dsn: str, bar: "Bar") -> None:
    writer.begin(entries.DATABASE)
    async with programs.dumping(dsn) as dump:
        async for piece in dump:
            writer.piece(piece)
            bar.advance(len(piece))
    writer.end()


async def _write_media(
    writer: EntryWriter, table: MediaKeepTable, media: MediaFiles, bar: "Bar"
) -> tuple[int, int]:
    """How many files were written whole, and how many were not."""
    marker = await media.marker()
    if marker is not None:
        writer.put(entries.MEDIA_MARKER, marker)
    written, missing, after = 0, 0, ""
    while page := await table.blobs(after, _PAGE):
        for sha256, length in page:
            after = sha256
            is_whole = await _write_file(writer, media, sha256, length)
            written, missing = written + is_whole, missing + (not is_whole)
            bar.advance(length)
    return written, missing


async def _write_file(writer: EntryWriter, media: MediaFiles, sha256: str, length: int) -> bool:
    """Whether the file was there, and whole. What was not is passed over when it is restored."""
    try:
        pieces = await media.read(sha256, 0, length)
    except NotFound:
        return False
    digest = hashlib.sha256()
    writer.begin(entries.MEDIA + sha256)
    try:
        async for piece in pieces:
            digest.update(piece)
            writer.piece(piece)
    except Unavailable:
        if await media.has(sha256) is not None:  # it was not removed meanwhile: the store is in trouble
            raise
    writer.end()
    return digest.hexdigest() == sha256


# ------------------------------------------------------------------------------------------ file and bar


class Bar:
    """A progress bar of bytes on a terminal; nothing elsewhere."""

    def __init__(self, shown: Progress, what: str, size: int) -> None:
        self._shown = shown
        self._line = shown.add_task(what, total=size)

    def advance(self, length: int) -> None:
        """So many bytes more are done."""
        self._shown.advance(self._line, length)


@contextlib.contextmanager
def progress(what: str, size: int) -> Iterator[Bar]:
    """A bar while the block runs."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as shown:
        yield Bar(shown, what, size)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there under its name once the block has ended well, and whole; for its owner only."""
    if path.exists():
        raise ConfigError(f"{path} is there already: choose another name, or remove it.")
    draft = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def one_sentence(file: Path) -> Iterator[None]:
    """Whatever goes wrong outside is one sentence, and exit code 2."""
    try:
        yield
    except ConfigError:
        raise
    except GatewayError as error:
        raise ConfigError(error.message) from None
    except sqlite3.Error as error:
        raise ConfigError(f"The spool cannot be read or written ({error}).") from None
    except OSError as error:
        where = error.filename or file
        if error.errno == errno.ENOSPC:
            raise ConfigError(f"The disk of {where} is full: make room, and try again.") from None
        raise ConfigError(f"{where} cannot be used ({error.strerror or error}).") from None

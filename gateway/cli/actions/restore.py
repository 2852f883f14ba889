"""What `gateway restore` does: a backup becomes a gateway's database, files, spool and secrets again, or nothing does.

The whole backup is read before anything is touched. Files go to the media store first: they are named by their
content, and harm nobody. The database is one transaction, which ends after spool and secrets are on the disk; what
goes wrong before that is undone.
"""

import contextlib
import hashlib
import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import orjson

from gateway.cli.actions.backup import one_sentence, progress
from gateway.cli.console import out
from gateway.domain.errors import ConfigError
from gateway.embedded_postgres import programs
from gateway.postgres.backup.database import (
    AFTER_RESTORE,
    count_gateways,
    drops_of,
    server_of,
    tables_of,
)
from gateway.postgres.connection.pool import (
    CONNECT_ERRORS,
    address_of,
    connect_direct,
    explain_connect,
    open_pool,
)
from gateway.postgres.migrations.files import read_migrations, sql_folder
from gateway.postgres.migrations.runner import try_turn
from gateway.runtime import database
from gateway.runtime.data_dir import data_dir, simulator_state
from gateway.services.background import Background
from gateway.services.backup import entries
from gateway.services.backup.entries import Contents, EntryReader
from gateway.services.backup.sealed_file import SealedReader
from gateway.services.media.files import MediaFiles
from gateway.settings import Settings
from gateway.spool.copy import SpoolCopy

RESTORED_ENV = "restored.env"
"""File of the data folder with secret settings that the backed-up gateway had."""

_NAMED = 4
"""So many tables are named of a database that is not empty."""

_TOO_NEW = b"SET transaction_timeout = 0;\n"
"""pg_restore says it to every server; those before 17 refuse it."""


async def restore(
    settings: Settings, file: Path, passphrase: Callable[[], str], *, overwrite: bool, only_check: bool
) -> None:
    """Restores the backup. Raises ConfigError with one sentence; then nothing has changed."""
    async with AsyncExitStack() as stack:
        stack.enter_context(one_sentence(file))
        opened = stack.enter_context(file.open("rb"))
        sealed = SealedReader(opened, passphrase)
        reader = EntryReader(sealed)
        size = os.fstat(opened.fileno()).st_size
        with progress("Reading the backup", size) as bar:
            sealed.on_read = bar.advance
            contents = reader.survey()
        _describe(sealed, contents)
        if only_check:
            return
        await _Restoration(settings, sealed, reader, contents).run(stack, size, overwrite=overwrite)


class _Restoration:
    """A whole backup on its way into a database."""

    def __init__(
        self, settings: Settings, sealed: SealedReader, reader: EntryReader, contents: Contents
    ) -> None:
        self._settings = settings
        self._sealed = sealed
        self._reader = reader
        self._contents = contents

    async def run(self, stack: AsyncExitStack, size: int, *, overwrite: bool) -> None:
        """Restores everything. Raises ConfigError; then nothing has changed."""
        settings, contents = database.locate(self._settings), self._contents
        _require_known(contents)
        dsn = await database.find_database(settings, stack)
        direct = await database.open_direct(settings, dsn)
        await _take_database(direct, stack)
        pool = await open_pool(direct, timezone="UTC", max_size=2, pooled=False)
        stack.push_async_callback(database.close_pool, pool)
        drops = await _drops(pool, contents, direct, overwrite)
        is_old = await server_of(pool) < 17
        small_files = _small_files(self._settings, settings, contents, overwrite)
        kept = await stack.enter_async_context(AsyncExitStack())
        parts = _Parts(settings, self._reader, contents, kept)
        undo = await stack.enter_async_context(undoing())
        self._sealed.on_read = stack.enter_context(progress("Restoring", size)).advance
        files = await parts.restore_media(undo)
        async with _restored_database(direct, self._reader, contents, drops, is_old) as commit:
            webhooks = parts.restore_spool(undo)
            _write_files(small_files, undo)
            await commit()
        undo.pop_all()
        out.print(
            f"Restored: the database, {files} files of messages, {webhooks} waiting webhooks.\n"
            f"Its secrets are in {data_dir(settings) / RESTORED_ENV}: give them to the gateway as it had them.\n"
            "Start the gateway now. Browsers load anew, and messages that waited to be sent ask people what became "
            "of them."
        )


@contextlib.asynccontextmanager
async def undoing() -> AsyncIterator[AsyncExitStack]:
    """A stack of what has to be taken back; `pop_all` keeps it."""
    async with AsyncExitStack() as stack:
        yield stack


def _describe(sealed: SealedReader, contents: Contents) -> None:
    manifest = contents.manifest
    out.print(
        f"A whole backup of gateway {manifest['gateway']}, made at {manifest['made_at']}: the database of PostgreSQL "
        f"{manifest['server']}, and {contents.media_files} files of messages."
    )


# ------------------------------------------------------------------------------------------ before


def _require_known(contents: Contents) -> None:
    known = {migration.name for migration in read_migrations(sql_folder())}
    newer = sorted(set(contents.manifest["migrations"]) - known)
    if newer:
        raise ConfigError(
            f"This backup is of a newer gateway ({newer[0]} is not known here): restore it with that version."
        )


async def _take_database(dsn: str, stack: AsyncExitStack) -> None:
    """No gateway runs on it, and none that starts meanwhile touches it. Raises ConfigError."""
    try:
        connection = await connect_direct(dsn, name="gateway restore")
    except CONNECT_ERRORS as error:
        raise ConfigError(explain_connect(dsn, error)) from None
    stack.push_async_callback(connection.close, timeout=5)
    if await count_gateways(connection):
        raise ConfigError(
            f"A gateway runs on the database at {address_of(dsn)}: stop all of its gateways, then restore."
        )
    if not await try_turn(connection):
        raise ConfigError(
            "The database is being migrated, or restored, by another process: wait until it is done."
        )


async def _drops(pool: asyncpg.Pool, contents: Contents, dsn: str, overwrite: bool) -> str:
    """SQL that empties the database, if it has to be. Raises ConfigError where that was not said."""
    server, made_by = await server_of(pool), contents.manifest["server"]
    if server < made_by:
        raise ConfigError(
            f"The backup is of PostgreSQL {made_by}, and the server is {server}: restore it on {made_by} or newer."
        )
    tables = await tables_of(pool)
    if not tables:
        return ""
    if not overwrite:
        names = ", ".join(name.removeprefix("public.") for name in tables[:_NAMED])
        more = ", …" if len(tables) > _NAMED else ""
        raise ConfigError(
            f"The database at {address_of(dsn)} is not empty: it holds {names}{more}. Restore into an empty one, or "
            "say --overwrite, which drops everything in it first."
        )
    return await drops_of(pool)


def _small_files(
    given: Settings, settings: Settings, contents: Contents, overwrite: bool
) -> dict[Path, bytes]:
    """What is to be written where. Raises ConfigError where another secret stands in the way.

    A demo's secret stands in the data folder that was `given`, and the rest of it in that of `settings`.
    """
    secret = contents.secrets["GATEWAY_SECRET"]
    if given.secret and secret not in (given.secret, given.secret_previous):
        raise ConfigError(
            "GATEWAY_SECRET is not the one of the backup, and would not open what is sealed in it. Restore without it, "
            "or give the backup's as GATEWAY_SECRET_PREVIOUS."
        )
    path = data_dir(given) / "secret"
    if path.exists() and path.read_text("utf-8", "replace").strip() != secret and not overwrite:
        raise ConfigError(
            f"{path} holds another secret than the backup. Choose another GATEWAY_DATA_DIR, or say --overwrite."
        )
    lines = "".join(f"{name}={value}\n" for name, value in sorted(contents.secrets.items()))
    found = {path: f"{secret}\n".encode(), data_dir(settings) / RESTORED_ENV: lines.encode()}
    if contents.simulator is not None:
        found[simulator_state(settings)] = contents.simulator
    return found


# ------------------------------------------------------------------------------------------ the parts


class _Parts:
    """The files and the spool of a backup. What `undo` is given takes back what was put."""

    def __init__(
        self, settings: Settings, reader: EntryReader, contents: Contents, kept: AsyncExitStack
    ) -> None:
        """`kept` closes after what `undo` takes back."""
        self._settings = settings
        self._reader = reader
        self._contents = contents
        self._kept = kept
        self._installation = str(contents.manifest["installation"])

    async def restore_media(self, undo: AsyncExitStack) -> int:
        """Puts files that are not there into the media store; how many of the backup stand there now."""
        contents = self._contents
        if not contents.media_files and contents.marker is None:
            return 0
        media = await self._media_store()
        # As many lines as there are files: not in memory.
        scratch = Path(self._kept.enter_context(tempfile.TemporaryDirectory(prefix="gateway-restore-")))
        put = self._kept.enter_context((scratch / "put").open("w+"))

        async def take_back() -> None:
            put.seek(0)
            for line in put:
                await media.remove(line.strip())

        undo.push_async_callback(take_back)
        count = 0
        name = self._reader.begin() if self._reader.go_to(contents, entries.MEDIA) else None
        while name is not None:
            sha256 = name.removeprefix(entries.MEDIA)
            count += await self._restore_file(media, sha256, scratch / "file", put.write)
            name = self._reader.begin()
        return count

    async def _media_store(self) -> MediaFiles:
        folder = (data_dir(self._settings) / "media" / self._installation).absolute()
        url = self._settings.media_url or folder.as_uri()
        media = MediaFiles.at(url)
        marker = await media.marker()
        if marker is None and self._contents.marker is not None:
            await media.put_marker(self._contents.marker)
        elif marker is not None and _owner_of(marker) != self._installation:
            raise ConfigError(
                f"The media store {url} is another database's: set GATEWAY_MEDIA_URL to an empty one, or to the "
                "backup's."
            )
        return media

    async def _restore_file(
        self, media: MediaFiles, sha256: str, draft: Path, note: Callable[[str], object]
    ) -> bool:
        """Whether the file stands in the store now; one that was not whole when it was backed up is passed over."""
        digest = hashlib.sha256()
        length = 0
        with draft.open("wb") as target:
            for piece in self._reader.pieces():
                digest.update(piece)
                length += target.write(piece)
        if digest.hexdigest() != sha256:
            return False
        if await media.has(sha256) != length:
            note(sha256 + "\n")
            await media.put(sha256, draft)
        return True

    def restore_spool(self, undo: AsyncExitStack) -> int:
        """Puts webhooks that wait into the spool, each once; how many."""
        if not self._reader.go_to(self._contents, entries.SPOOL):
            return 0
        self._reader.begin()
        lines = self._reader.pieces()
        first = next(lines, None)
        if first is None:
            return 0
        copy = SpoolCopy(data_dir(self._settings) / "spool" / f"{self._installation}.sqlite")
        self._kept.callback(copy.close)
        undo.callback(copy.undo)
        return copy.put(itertools.chain([first], lines))


def _owner_of(marker: bytes) -> str | None:
    try:
        return str(orjson.loads(marker)["installation"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


@contextlib.asynccontextmanager
async def _restored_database(
    dsn: str, reader: EntryReader, contents: Contents, drops: str, is_old: bool
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """The database restored in a transaction that is open; what is yielded commits it."""
    reader.go_to(contents, entries.DATABASE)
    reader.begin()
    feeding = Background()
    try:
        async with programs.scripting() as script, programs.executing(dsn) as psql:
            try:
                await psql.take(f"BEGIN;\n{drops}\n".encode())
                fed = feeding.start(_feed(script, reader.pieces()), "dump")
                begins = is_old
                async for piece in script.output():
                    await psql.take(piece.replace(_TOO_NEW, b"") if begins else piece)
                    begins = False
                await fed
                await psql.take(AFTER_RESTORE.encode())

                async def commit() -> None:
                    await psql.take(b"COMMIT;\n")
                    await psql.no_more()
                    await psql.require_success()

                yield commit
            except ConfigError as error:
                raise ConfigError(f"Nothing was restored. {error.message}") from None
    finally:
        await feeding.close()


async def _feed(script: programs.Program, pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        await script.take(piece)
    await script.no_more()


def _write_files(files: dict[Path, bytes], undo: AsyncExitStack) -> None:
    for path, content in files.items():
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        before = path.read_bytes() if path.exists() else None
        undo.callback(_put_back, path, before)
        draft = path.with_name(path.name + ".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)


def _put_back(path: Path, before: bytes | None) -> None:
    if before is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(before)

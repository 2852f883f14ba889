"""Webhooks that cannot be committed now, kept on this disk: `services.webhooks.batch.Spool`, and what
the replay needs.

One spool per data folder and database. Any process of the machine may append; one of them, by a file lock that
dies with it, replays. Bounded in bytes and number: what does not fit is refused, and its sender comes again.

Lifecycle: `open` starts the thread that writes, `close` ends it after what was appended.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import orjson
from prometheus_client import Counter as Count
from prometheus_client import Gauge

from gateway.domain.errors import GatewayError
from gateway.services.webhooks.batch import InboundWebhook
from gateway.services.webhooks.spooled import Spooled
from gateway.spool.file import Full, Job, Row, SpoolFile, WriteRefused, insert, size_of, unusable
from gateway.spool.reader import SpoolReader
from gateway.spool.writer import SpoolWriter

logger = logging.getLogger(__name__)

COMPLAIN_EVERY_S = 10.0

PAGE_COUNT = 128
PAGE_BYTES = 4 * 1024**2
"""How much the replay reads at once; at least one webhook."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# All processes of a folder share its spool: what one of them says last counts.
WAITING = Gauge(
    "gateway_spool_webhooks",
    "Webhooks on this disk that wait for Postgres.",
    multiprocess_mode="livemostrecent",
)
WAITING_BYTES = Gauge("gateway_spool_bytes", "What they take.", multiprocess_mode="livemostrecent")
OLDEST = Gauge(
    "gateway_spool_age_seconds",
    "How long the oldest of them has waited; 0 if none waits.",
    multiprocess_mode="livemostrecent",
)
SPOOLED = Count("gateway_spooled_webhooks", "Webhooks kept on this disk instead of being committed.")
REFUSED = Count("gateway_spool_refused_webhooks", "Webhooks that the spool could not take.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLimits:
    """What a spool takes, and how long it waits for its disk."""

    max_bytes: int = 1024**3
    max_count: int = 1_000_000
    reserve_bytes: int = 16 * 1024**2
    """What the disk must have left: removing what was replayed needs some room, too."""

    max_backlog: int = 256
    """Writes that may wait for a disk that does not answer, each of a batch of webhooks."""

    probe_s: float = 2.0
    """How long a disk that is asked whether it takes something again may take to answer."""


class DiskSpool:
    """Keeps webhooks on this disk until Postgres takes them, for all processes of the machine together."""

    def __init__(self, folder: Path, name: str, limits: SpoolLimits | None = None) -> None:
        self.path = folder / f"{name}.sqlite"
        self.refusal: str | None = None
        """Why the disk did not take what it was given last; None if it did."""
        self.has_news = asyncio.Event()
        """Something has been appended here."""
        self.limits = limits or SpoolLimits()
        """In force from the next webhook on."""
        self._pending: Counter[tuple[int, str]] = Counter()
        self._refused = 0
        """Webhooks since the last complaint."""
        self._complained_at = float("-inf")
        self._file: SpoolFile
        self._reader: SpoolReader
        self._writer: SpoolWriter
        self._closers = contextlib.ExitStack()

    @classmethod
    async def open(cls, folder: Path, name: str, limits: SpoolLimits | None = None) -> Self:
        """Raises ConfigError with one sentence if the folder cannot be used."""
        spool = cls(folder, name, limits)
        try:
            await asyncio.to_thread(spool._prepare)
        except OSError as error:
            spool._closers.close()
            raise unusable(folder, error) from None
        spool._writer = SpoolWriter(spool._file)
        return spool

    def _prepare(self) -> None:
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._file = SpoolFile(self.path)
        self._closers.callback(self._file.close)
        try:
            waiting = self._file.check()
        except WriteRefused as error:
            self.refusal = error.message  # the disk may come to its senses: each webhook asks again
            logger.error("spool.unusable file=%s reason=%s", self.path, error.message)
        else:
            logger.log(
                logging.WARNING if waiting else logging.DEBUG,
                "spool.opened file=%s waiting=%d",
                self.path,
                waiting,
            )
        self._reader = SpoolReader(self.path)
        self._closers.callback(self._reader.close)
        self._leader, self._gate, self._closed_gate = [
            self._closers.enter_context(_locked_file(self.path.with_suffix(suffix)))
            for suffix in (".replayer", ".gate", ".gate")
        ]
        others = [item.name for item in folder.glob("*.sqlite") if item != self.path]
        if others:
            logger.info("spool.others folder=%s files=%s", folder, ",".join(sorted(others)))

    async def close(self) -> None:
        """Ends the writer after what it was given is on the disk, and lets the files go."""
        await self._writer.close()
        self._closers.close()

    # ------------------------------------------------------------------------------------------ for ingest

    def is_empty(self) -> bool:
        """Whether nothing waits, neither on the disk nor on its way there."""
        return not self._pending and self._reader.is_empty()

    def held(self, session_id: int, ordering_keys: Collection[str]) -> frozenset[str]:
        """Those of the ordering keys under which a webhook of the session waits."""
        pending = (
            {ordering_key for ordering_key in ordering_keys if (session_id, ordering_key) in self._pending}
            if self._pending
            else set()
        )
        return self._reader.held(session_id, ordering_keys) | pending

    def append(self, entries: Sequence[tuple[InboundWebhook, frozenset[str]]]) -> asyncio.Future[None]:
        """Done once all entries are on the disk; fails with Unavailable if they cannot be."""
        rows = [_row(item, ordering_keys) for item, ordering_keys in entries]
        if self._writer.backlog >= self.limits.max_backlog:
            # Their senders try again; what a disk that hangs leaves lying here is memory.
            return self._refuse_now(len(rows))
        keys = Counter((row[0], ordering_key) for row in rows for ordering_key in row[3])
        self._pending.update(keys)
        done: asyncio.Future[None] = self._writer.put(lambda db: self._insert(db, rows))

        def settle(done: asyncio.Future[None]) -> None:
            self._pending.subtract(keys)
            self._pending += Counter()  # without those that are zero
            # Cancelled: no request waits for it any more, and its sender has been told to come again.
            error = _unanswered() if done.cancelled() else done.exception()
            if not isinstance(error, Full):
                self.refusal = str(error) if error else None
            (REFUSED if error else SPOOLED).inc(len(rows))
            if error:
                self._complain(len(rows), error)
            else:
                self.has_news.set()

        done.add_done_callback(settle)
        return done

    def _refuse_now(self, webhooks: int) -> asyncio.Future[None]:
        error = _unanswered()
        self.refusal = error.message
        REFUSED.inc(webhooks)
        self._complain(webhooks, error)
        refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        refused.set_exception(error)
        return refused

    def complaint(self) -> str | None:
        """Why it would not take a webhook now, in words; None if it would."""
        count, size = self._reader.totals()
        if count >= self.limits.max_count or size >= self.limits.max_bytes:
            return f"The spool is full: {count} webhooks wait for Postgres."
        return self.refusal

    async def look(self) -> None:
        """Asks the disk whether it has room, without a write: nothing may be on its way there for days."""
        if not self._writer.backlog:
            await self._ask(lambda db: self._look_at_disk())

    async def probe(self) -> None:
        """Asks the disk whether it takes something, by a write that changes nothing."""

        def job(db: sqlite3.Connection) -> None:
            self._look_at_disk()
            db.execute("UPDATE totals SET entries = entries")

        await self._ask(job)

    async def _ask(self, job: Job) -> None:
        try:
            async with asyncio.timeout(self.limits.probe_s):
                await self._writer.put(job)
        except TimeoutError:
            self.refusal = _unanswered().message
        except GatewayError as error:
            self.refusal = error.message
        else:
            self.refusal = None

    def _complain(self, webhooks: int, error: BaseException) -> None:
        self._refused += webhooks
        if time.monotonic() - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = time.monotonic()
            logger.error("spool.refused webhooks=%d reason=%s", self._refused, error)
            self._refused = 0

    def is_handing_over(self) -> bool:
        """Whether the replay has asked for no appends, because the spool is about to be empty."""
        return not self._reader.is_empty() and not _try_lock(self._gate, fcntl.LOCK_SH, keep=False)

    def _insert(self, db: sqlite3.Connection, rows: Sequence[Row]) -> None:
        count, size = db.execute("SELECT entries, bytes FROM totals").fetchone()
        if (
            count + len(rows) > self.limits.max_count
            or size + sum(map(size_of, rows)) > self.limits.max_bytes
        ):
            raise Full(f"The spool is full: {count} webhooks wait for Postgres.", retry_after_s=5)
        self._look_at_disk()
        insert(db, rows)

    def _look_at_disk(self) -> None:
        disk = os.statvfs(self.path.parent)
        if disk.f_bavail * disk.f_frsize < self.limits.reserve_bytes:
            raise WriteRefused("The spool refuses (its disk is full). Send it again.", retry_after_s=5)

    # ------------------------------------------------------------------------------------------ for the replay

    def count(self) -> int:
        """How many webhooks wait, of all processes of this folder."""
        count, size = self._reader.totals()
        WAITING.set(count)
        WAITING_BYTES.set(size)
        return count

    def oldest_s(self) -> float:
        """For how long the oldest webhook has waited; 0 if none waits."""
        at = self._reader.oldest_at()
        age_s = 0.0 if at is None else max(0.0, time.time() - at / 1e6)
        OLDEST.set(age_s)
        return age_s

    def lead(self) -> bool:
        """Whether this process is the one that replays. It stays so until it ends."""
        return _try_lock(self._leader, fcntl.LOCK_EX, keep=True)

    @contextlib.contextmanager
    def handing_over(self) -> Iterator[None]:
        """Asks the pumps of all processes not to append for a moment: what they hold may soon be committed."""
        _try_lock(self._closed_gate, fcntl.LOCK_EX, keep=True)
        try:
            yield
        finally:
            fcntl.flock(self._closed_gate, fcntl.LOCK_UN)

    async def page(self, after: int) -> list[Spooled]:
        """The next webhooks in their order. Raises Unavailable if the disk does not give them."""
        rows: list[tuple[int, int, int, bytes, int]] = await self._writer.put(lambda db: _page(db, after))
        return [
            Spooled(number, session, _EPOCH + timedelta(microseconds=at), body, bool(is_general))
            for number, session, at, body, is_general in rows
        ]

    async def remove(self, ids: Collection[int]) -> None:
        """Removes webhooks that have been committed."""
        numbers = [(number,) for number in ids]
        await self._writer.put(
            lambda db: db.executemany("DELETE FROM entries WHERE id = ?", numbers) and None
        )

    async def hold(self, entries: Sequence[tuple[int, int, Collection[str]]]) -> None:
        """Lets webhooks (number, session) hold these ordering keys only."""
        taken = [(number, session, tuple(ordering_keys)) for number, session, ordering_keys in entries]

        def job(db: sqlite3.Connection) -> None:
            for number, session, ordering_keys in taken:
                db.execute("DELETE FROM lanes WHERE entry = ?", (number,))
                # It may have been written and removed meanwhile: then its ordering keys would be held for ever.
                db.executemany(
                    _HOLD, [(session, ordering_key, number, number) for ordering_key in ordering_keys]
                )

        await self._writer.put(job)

    async def put_out(self, entry: Spooled, reason: str) -> None:
        """Writes a webhook that no table takes into a file of its own, for a person to look at."""
        file = self.path.with_name(f"refused-{self.path.stem}-{entry.id}.json")

        def write() -> None:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                head = {"session_id": entry.session_id, "received_at": entry.received_at, "reason": reason}
                out.write(orjson.dumps(head)[:-1] + b',"body":' + entry.raw + b"}\n")
                out.flush()
                os.fsync(out.fileno())

        await asyncio.to_thread(write)
        logger.error("spool.put_out file=%s session=%d reason=%s", file, entry.session_id, reason)

    async def remove_refused(self, is_unwanted: Callable[[int, datetime, bytes], bool]) -> int:
        """Removes files of refused webhooks that are unwanted; how many."""

        def look() -> int:
            removed = 0
            for file in self.path.parent.glob(f"refused-{self.path.stem}-*.json"):
                with contextlib.suppress(OSError, ValueError, KeyError):
                    kept = orjson.loads(file.read_bytes())
                    came = datetime.fromisoformat(kept["received_at"])
                    if is_unwanted(kept["session_id"], came, orjson.dumps(kept["body"])):
                        file.unlink()
                        removed += 1
            return removed

        return await asyncio.to_thread(look)

    async def tidy(self) -> None:
        """Gives the disk space of removed webhooks back."""
        await self._writer.tidy()


def _unanswered() -> WriteRefused:
    return WriteRefused("The spool refuses (its disk does not answer). Send it again.", retry_after_s=5)


def _row(item: InboundWebhook, ordering_keys: Collection[str]) -> Row:
    at = (item.received_at - _EPOCH) // timedelta(microseconds=1)
    return item.session_id, at, orjson.dumps(item.body), ordering_keys


_HOLD = """
INSERT INTO lanes (session, lane, entry)
SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM entries WHERE id = ?)
"""

_PAGE = """
SELECT id, session, received_at, body,
    EXISTS (SELECT 1 FROM lanes WHERE session = entries.session AND lane = '*' AND entry = entries.id)
FROM entries WHERE id > ? ORDER BY id LIMIT ?
"""


def _page(db: sqlite3.Connection, after: int) -> list[Any]:
    rows: list[Any] = []
    size = 0
    for row in db.execute(_PAGE, (after, PAGE_COUNT)):
        size += len(row[3])
        if rows and size > PAGE_BYTES:
            break
        rows.append(row)
    return rows


@contextlib.contextmanager
def _locked_file(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, how: int, *, keep: bool) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError:  # held by another process, or a file system without locks
        return False
    if not keep:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True

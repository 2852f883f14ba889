"""Fetches the files of messages as they come: from WhatsApp, opened here; else from WasenderAPI, checked the same way.

A message is committed with its file `pending`. One gateway of the cluster claims it, fetches it to this disk while it
opens and checks it, puts it into the media store and only then says `stored`. `lost` is said when upstream's answer is
final, or after a week. A gateway that dies in between leaves a claim that ends by itself.

Lifecycle: `run` lives as long as the gateway. Nothing that fails for one file ends it.
"""

import asyncio
import functools
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

from prometheus_client import Counter, Histogram

from gateway.domain.backoff import Backoff
from gateway.domain.errors import GatewayError, StoreUnavailable, Unavailable
from gateway.domain.media import BACKOFF, GIVE_UP_S
from gateway.services.background import Background
from gateway.services.media import kinds, pictures
from gateway.services.media.files import MediaFiles
from gateway.services.media.ports import (
    Fetched,
    FileHost,
    MediaStore,
    NotNow,
    NotThere,
    Opening,
    Wanted,
    WrongFile,
)
from gateway.services.media.scratch import Scratch

logger = logging.getLogger(__name__)

T = TypeVar("T")

FETCHED = Counter(
    "gateway_media_fetched",
    "Tries to fetch a file of a message: stored, lost, or put off to a later try.",
    ["outcome"],
)
TOOK = Histogram(
    "gateway_media_fetch_seconds",
    "From the claim of a file until it stood in the media store.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

AT_ONCE = 3
TICK_S = 5.0
GATHER_S = 0.05
"""Notifications of one moment are one look."""

RATE_BYTES_PER_S = 32 * 1024 * 1024
BURST_BYTES = 8 * 1024 * 1024
"""How fast files are opened, all together: messages share the cores with them, and come first."""

HOLD_EVERY_S = 20.0
GOING_WAIT_S = 2.0
TURN_WAIT_S = 30.0
_UNREAD = Backoff(first_s=2.0, most_s=60.0)
"""While it cannot be read what there is to fetch."""


class _Pace:
    """Lets bytes pass at a rate, after a burst that passes at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst_s = burst / rate
        self._next_at = float("-inf")

    async def take(self, size: int) -> None:
        """Waits until so many bytes more may pass."""
        now = asyncio.get_running_loop().time()
        self._next_at = max(self._next_at, now - self._burst_s) + size / self._rate
        if self._next_at > now:
            await asyncio.sleep(self._next_at - now)


class Fetcher:
    """Fetches what is pending, a few files at once."""

    def __init__(
        self,
        store: MediaStore,
        host: FileHost,
        files: MediaFiles,
        scratch: Scratch,
        *,
        at_once: int = AT_ONCE,
        awake: asyncio.Event | None = None,
    ) -> None:
        """`scratch` is where files lie until they are checked; `awake` is set while the database may be asked."""
        self._store = store
        self._host = host
        self._files = files
        self._scratch = scratch
        self._at_once = at_once
        self._awake = awake
        self._wake = asyncio.Event()
        # One: hashing on the second core, the loop on the first.
        self._threads = ThreadPoolExecutor(1, "media")
        self._background = Background()
        self._pace = _Pace(RATE_BYTES_PER_S, BURST_BYTES)
        self._running: dict[str, asyncio.Task[None]] = {}

    def notify(self, payload: str = "*") -> None:
        """Messages were written, or a file may be tried again. Never waits."""
        self._wake.set()

    async def run(self) -> None:
        """Fetches until it is cancelled."""
        self._background.start(self._hold_for_ever(), "media-holding")
        failures = 0
        try:
            while True:
                try:
                    await self._claim()
                    failures = 0
                except StoreUnavailable as error:
                    failures += 1
                    logger.warning("media.not_claimed error=%s", error)
                except Exception:
                    failures += 1
                    logger.exception("media.not_claimed")
                await self._rest(failures)
        finally:
            await self._background.close()
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _claim(self) -> None:
        while (free := self._at_once - len(self._running)) > 0:
            claimed = await self._store.claim(free)
            for wanted in claimed:
                task = self._background.start(self._work(wanted), "media-fetch")
                self._running[wanted.id] = task
                task.add_done_callback(functools.partial(self._done, wanted.id))
            if len(claimed) < free:
                return

    def _done(self, media_id: str, _: asyncio.Task[None]) -> None:
        was_full = len(self._running) >= self._at_once
        self._running.pop(media_id, None)
        if was_full:
            self._wake.set()

    async def _rest(self, failures: int) -> None:
        if failures:
            await asyncio.sleep(_UNREAD.pause_s(failures, random.random()))
        try:
            async with asyncio.timeout(TICK_S):
                await self._wake.wait()
            await asyncio.sleep(GATHER_S)
        except TimeoutError:
            if self._awake is not None:
                await self._awake.wait()
        self._wake.clear()

    async def _hold_for_ever(self) -> None:
        while True:
            await asyncio.sleep(HOLD_EVERY_S)
            if self._running:
                try:
                    await self._store.hold(list(self._running))
                except StoreUnavailable as error:
                    logger.warning("media.not_held error=%s", error)

    # ------------------------------------------------------------------------------------------ one file

    async def _work(self, wanted: Wanted) -> None:
        try:
            await self.fetch(wanted)
        except GatewayError as error:  # the claim ends by itself, and then it is tried again
            logger.warning("media.failed id=%s error=%s", wanted.id, error)
        except Exception:
            logger.exception("media.failed id=%s", wanted.id)

    async def fetch(self, wanted: Wanted) -> None:
        """One try. Raises StoreUnavailable."""
        started = time.monotonic()
        with self._scratch.file() as path:
            try:
                fetched = await self._fetched(wanted, path)
                await self._keep(wanted, fetched, path)
            except NotThere as gone:
                await self._lose(wanted, f"The file cannot be had any more: {gone}.")
            except WrongFile as wrong:
                await self._lose(wanted, f"What came is not the file of this message: {wrong}.")
            except NotNow as late:
                await self._put_off(wanted, str(late))
            except StoreUnavailable:
                raise
            except Unavailable as error:
                await self._put_off(wanted, error.message)
            else:
                TOOK.observe(time.monotonic() - started)

    async def _fetched(self, wanted: Wanted, path: Path) -> Fetched:
        """The checked file, from WhatsApp or from upstream. Raises NotThere, WrongFile, NotNow."""
        try:
            opening = self._host.opening(wanted)
            async with self._host.read(wanted.source.url, self._host.most_of(wanted)) as pieces:
                return await self._receive(pieces, opening, wanted, path)
        except (NotThere, WrongFile) as refused:
            logger.info("media.asks_upstream id=%s session=%d why=%s", wanted.id, wanted.session_id, refused)
        api_key = await self._store.key_of(wanted.session_id)
        if api_key is None:
            raise NotNow("the session has no key to ask WasenderAPI with")
        url = await self._decrypted_url(api_key, wanted)
        opening = self._host.checking(wanted)
        try:
            async with self._host.read_decrypted(url, self._host.most_of(wanted)) as pieces:
                return await self._receive(pieces, opening, wanted, path)
        except NotThere as missing:  # it was there a moment ago
            raise NotNow(f"WasenderAPI's copy: {missing}") from None

    async def _decrypted_url(self, api_key: str, wanted: Wanted) -> str:
        """One such call at a time per session, in the whole cluster."""
        deadline = time.monotonic() + TURN_WAIT_S
        while not await self._store.take_turn(wanted.session_id):
            if time.monotonic() > deadline:
                raise NotNow("other calls for the session come first")
            await asyncio.sleep(0.2 + 0.3 * random.random())
        try:
            return await self._host.decrypted_url(api_key, wanted)
        finally:
            await self._store.end_turn(wanted.session_id)

    async def _receive(
        self, pieces: AsyncIterator[bytes], opening: Opening, wanted: Wanted, path: Path
    ) -> Fetched:
        file = _opened(path)
        try:
            async for piece in pieces:
                await self._pace.take(len(piece))
                await self._in_thread(functools.partial(_open_and_write, file, opening, piece))
            await self._in_thread(lambda: _write(file, opening.finish()))
        finally:
            file.close()
        return await self._in_thread(lambda: _described(wanted, opening, path))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    # ------------------------------------------------------------------------------------------ what became of it

    async def _keep(self, wanted: Wanted, fetched: Fetched, path: Path) -> None:
        place = await self._store.reserve(wanted.id, fetched)
        if place == "going":
            await self._store.put_off(wanted.id, GOING_WAIT_S, "the same file is just being removed")
            return
        if place == "new" or await self._files.has(fetched.sha256) != fetched.bytes:
            await self._files.put(fetched.sha256, path)
        if await self._store.settle_stored(wanted.id, fetched):
            FETCHED.labels("stored").inc()
            logger.debug("media.stored id=%s bytes=%d", wanted.id, fetched.bytes)

    async def _lose(self, wanted: Wanted, reason: str) -> None:
        if await self._store.settle_lost(wanted.id, reason):
            FETCHED.labels("lost").inc()
            logger.warning("media.lost id=%s session=%d reason=%s", wanted.id, wanted.session_id, reason)

    async def _put_off(self, wanted: Wanted, why: str) -> None:
        if wanted.age_s > GIVE_UP_S:
            await self._lose(wanted, f"The file could not be fetched for 7 days: {why}.")
            return
        FETCHED.labels("put_off").inc()
        seconds = BACKOFF.pause_s(wanted.tries, random.random())
        logger.info("media.put_off id=%s tries=%d seconds=%.0f why=%s", wanted.id, wanted.tries, seconds, why)
        await self._store.put_off(wanted.id, seconds, why)
        asyncio.get_running_loop().call_later(seconds, self._wake.set)


def _opened(path: Path) -> BinaryIO:
    """Here and not in a thread: a thread's answer is lost to a task that is cancelled, and the file with it."""
    try:
        return path.open("wb", buffering=0)
    except OSError as error:
        raise NotNow(f"this gateway's disk: {error.strerror}") from None


def _open_and_write(file: BinaryIO, opening: Opening, piece: bytes) -> None:
    _write(file, opening.open(piece))


def _write(file: BinaryIO, plain: bytes) -> None:
    try:
        file.write(plain)
    except OSError as error:
        raise NotNow(f"this gateway's disk: {error.strerror}") from None


def _described(wanted: Wanted, opening: Opening, path: Path) -> Fetched:
    """What the file says of itself, where its message did not."""
    mime = kinds.type_of_file(path)
    news: dict[str, object] = {"bytes": opening.size}
    if wanted.mime is None:
        news["mime"] = mime
    if mime in kinds.PICTURES and (size := pictures.size_of(path)) is not None:
        news |= {"width": size[0], "height": size[1]}
    return Fetched(str(path), opening.sha256, opening.size, mime, news)

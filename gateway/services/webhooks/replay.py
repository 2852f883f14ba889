"""From the spool to Postgres: in order, as soon as Postgres takes it, by one process of the machine.

What was committed just before a crash comes a second time, and falls to the unique keys. What Postgres refuses as
data goes to the journal. What another transaction's lock keeps out stays, with what follows it under its ordering
keys, and stops no other webhook.

Lifecycle: `run` lives as long as the gateway. It waits for the file lock that makes it the one; a lock that is
free again, because its holder died, is taken within a second.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Protocol

from prometheus_client import Counter

from gateway.domain.backoff import Backoff
from gateway.domain.errors import ConfigError, RowLocked, StoreUnavailable, TableLocked, Unavailable
from gateway.domain.message import Reading
from gateway.domain.ordering import ALL, MESSAGES, SESSION, Cause, held_keys, ordering_keys_of
from gateway.services.deadlines import within
from gateway.services.webhooks.batch import WebhookStore
from gateway.services.webhooks.ingest import Ingest, cause_of, log_refusal
from gateway.services.webhooks.spooled import Item, Spooled, in_order, webhook_of

logger = logging.getLogger(__name__)

TICK_S = 1.0
"""Between two looks whether another process has spooled something, or whether the lock is free."""

AGAIN_S = 0.5
"""Between two tries of what is locked."""

MAX_PAUSE_S = 2.0
"""Between two tries while Postgres is away, at most."""
BACKOFF = Backoff(first_s=0.2, most_s=MAX_PAUSE_S)

PROBE_EVERY_S = 30.0
"""Between two writes that ask the disk whether it takes something; whether it has room is asked with each tick."""

OWN_LOCKS_S = 5.0
"""How long a locked row of a webhook that waited for Postgres holds its whole session, as before: it is likely one of
our own transactions, which an outage cut off, and which Postgres will have ended by then."""

WRITE_S = 10.0
FEW = 256
HANDOVER_PAGES = 8
"""At most so many webhooks, and pages of them, are replayed while the pumps wait."""

REPLAYED = Counter("gateway_replayed_webhooks", "Webhooks brought from the spool to Postgres.", ["outcome"])


class SpoolSource(Protocol):
    """The spool as the replay sees it. Raises Unavailable where the disk does not answer."""

    refusal: str | None
    has_news: asyncio.Event

    def count(self) -> int:
        """How many webhooks wait in the spool."""

    def lead(self) -> bool:
        """Whether this process is the one of the machine that replays now."""

    def handing_over(self) -> AbstractContextManager[None]:
        """A block in which no process of the machine appends, so that the spool can become empty."""

    async def page(self, after: int) -> list[Spooled]:
        """The next webhooks after that number, oldest first."""

    async def remove(self, ids: Collection[int]) -> None:
        """Removes webhooks that have been committed."""

    async def hold(self, entries: Sequence[tuple[int, int, Collection[str]]]) -> None:
        """Lets webhooks (number, session) hold these ordering keys only."""

    async def put_out(self, entry: Spooled, reason: str) -> None:
        """Writes a webhook that no table takes into a file of its own, for a person to look at."""

    async def tidy(self) -> None:
        """Gives the disk space of removed webhooks back."""

    async def look(self) -> None:
        """Looks whether the disk has room."""

    async def probe(self) -> None:
        """Looks whether the disk takes webhooks, by a write."""


class Replay:
    """Writes what waits in the spool to Postgres, in order, and then removes it."""

    def __init__(
        self,
        spool: SpoolSource,
        store: WebhookStore,
        ingest: Ingest,
        read: Callable[[Any, datetime], Reading],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        own_locks_s: float = OWN_LOCKS_S,
    ) -> None:
        self.own_locks_s = own_locks_s
        """In force from the next round on."""
        self._spool = spool
        self._store = store
        self._ingest = ingest
        self._read = read
        self._now = now
        self._done: set[int] = set()
        """Committed, and not yet removed from the disk."""
        self._blocked: set[tuple[int, str]] = set()
        """Ordering keys under which a lock keeps something out, in this round."""
        self._locked_tables: set[str] = set()
        self._holding: dict[int, frozenset[str]] = {}
        """Which ordering keys hold what could not be written, as the disk has it."""
        self._locked_since: dict[int, float] = {}
        self._to_hold: list[tuple[int, int, frozenset[str]]] = []
        self._probe_at = 0.0
        self._moved = 0
        self._left = 0
        """How many of this round's webhooks were replayed, and how many had to stay."""

    async def run(self) -> None:
        """Replays whenever something waits and this process leads, until it is cancelled."""
        tries = 0
        while True:
            if not self._spool.count() or not self._spool.lead():
                tries = 0
                await self._rest()
                continue
            try:
                await self.round()
            except (Unavailable, ConfigError) as error:
                tries += 1
                level = logging.WARNING if tries == 1 else logging.DEBUG
                logger.log(level, "replay.waits waiting=%d error=%s", self._spool.count(), error)
                await asyncio.sleep(BACKOFF.pause_s(tries, random.random()))
            except Exception:
                logger.exception("replay.failed")
                await asyncio.sleep(MAX_PAUSE_S)
            else:
                tries = 0
                await self._after_round()

    async def _rest(self) -> None:
        """Until something is spooled here; a tick finds out about other processes."""
        try:
            async with asyncio.timeout(TICK_S):
                await self._spool.has_news.wait()
        except TimeoutError:
            pass
        else:
            self._spool.has_news.clear()
            if not self._spool.lead():
                await asyncio.sleep(TICK_S)
        await self._look_at_disk()
        if self._ingest.is_away:
            await self._commit_nothing()

    async def _look_at_disk(self) -> None:
        """A disk that fills up while Postgres takes everything is found out before it is needed."""
        now = asyncio.get_running_loop().time()
        if self._spool.refusal is not None or now >= self._probe_at:
            self._probe_at = now + PROBE_EVERY_S
            await self._spool.probe()
        else:
            await self._spool.look()

    async def _commit_nothing(self) -> None:
        # Nothing waits here, and a gateway that says it is not ready is sent nothing that could show that it is.
        try:
            await within(WRITE_S, self._store.write([]))
        except (Unavailable, ConfigError):
            pass
        except Exception as error:
            logger.warning("replay.cannot_tell error=%r", error)
        else:
            self._ingest.note_committed()

    async def _after_round(self) -> None:
        waiting = self._spool.count()
        if self._moved:
            logger.info("replay.done replayed=%d waiting=%d", self._moved, waiting)
        if waiting:
            await asyncio.sleep(AGAIN_S)
        elif self._moved:
            await self._spool.tidy()

    async def round(self) -> None:
        """Everything that can be committed now. Raises Unavailable or ConfigError where it could not go on."""
        self._blocked.clear()
        self._locked_tables.clear()
        self._moved = self._left = 0
        await self._forget_done()
        last = 0
        while page := await self._spool.page(last):
            last = page[-1].id
            await self._take(page)
            if self._moved and 0 < self._spool.count() - self._left <= FEW:
                await self._hand_over(last)
                return

    async def _hand_over(self, last: int) -> None:
        """The rest, and then nothing more: while pumps wait, they append nothing that later ones would follow."""
        with self._spool.handing_over():
            for _ in range(HANDOVER_PAGES):
                page = await self._spool.page(last)
                if not page:
                    return
                last = page[-1].id
                await self._take(page)

    async def _take(self, page: Sequence[Spooled]) -> None:
        fresh = [entry for entry in page if entry.id not in self._done]
        items = [(entry, webhook_of(entry, self._read, self._now())) for entry in fresh]
        moved = self._moved
        for batch in in_order(items):
            await self._write([item for item in batch if not self._stays_behind(item)])
        self._left += len(items) - (self._moved - moved)
        await self._keep_holding()

    def _stays_behind(self, item: Item) -> bool:
        """Whether it follows something that a lock keeps out; then it keeps out what follows it."""
        entry, inbound = item
        ordering_keys = ordering_keys_of(inbound.reading)
        if (entry.session_id, ALL) in self._blocked:
            return True
        if self._locked_tables & ordering_keys:
            self._stay(item, "table")
        elif any((entry.session_id, ordering_key) in self._blocked for ordering_key in ordering_keys):
            self._stay(item, "row")
        else:
            return False
        return True

    def _stay(self, item: Item, cause: Cause) -> None:
        entry, inbound = item
        now = asyncio.get_running_loop().time()
        if (
            cause == "row"
            and entry.holds_all
            and now - self._locked_since.setdefault(entry.id, now) < self.own_locks_s
        ):
            self._blocked.add((entry.session_id, ALL))
            return
        ordering_keys = held_keys(inbound.reading, cause)
        self._blocked.update((entry.session_id, ordering_key) for ordering_key in ordering_keys)
        if self._holding.get(entry.id) != ordering_keys:
            self._holding[entry.id] = ordering_keys
            self._to_hold.append((entry.id, entry.session_id, ordering_keys))

    async def _keep_holding(self) -> None:
        """What stayed holds no more than it must: a foreign lock on one row does not hold up a session."""
        if self._to_hold:
            await self._spool.hold(self._to_hold)
            self._to_hold.clear()

    # ------------------------------------------------------------------------------------------ writing

    async def _write(self, items: Sequence[Item]) -> None:
        if not items:
            return
        try:
            outcomes = await within(WRITE_S, self._store.write([inbound for _, inbound in items]))
        except RowLocked as error:
            await self._write_around(items, error)
        except (StoreUnavailable, ConfigError):
            raise
        except Exception as error:  # halved until the bad one is alone; `_give_up` logs it
            if len(items) == 1:
                await self._give_up(items[0], error)
            else:
                await self._write(items[: len(items) // 2])
                await self._write(items[len(items) // 2 :])
        else:
            self._ingest.note_committed()
            await self._finish(items, outcomes)

    async def _write_around(self, items: Sequence[Item], error: RowLocked) -> None:
        """Something is locked: what it keeps out stays, the rest is written."""
        if isinstance(error, TableLocked):
            about_sessions = [item for item in items if SESSION in ordering_keys_of(item[1].reading)]
            others = [item for item in items if item not in about_sessions]
            if about_sessions and others:
                await self._write(others)
                await self._write(about_sessions)
                return
            self._locked_tables.add(SESSION if about_sessions else MESSAGES)
        elif len(items) > 1:
            for item in items:
                if not self._stays_behind(item):
                    await self._write([item])
            return
        for item in items:
            self._stay(item, cause_of(error))

    async def _finish(self, items: Sequence[Item], outcomes: Sequence[str]) -> None:
        for (entry, inbound), outcome in zip(items, outcomes, strict=True):
            REPLAYED.labels(outcome).inc()
            self._done.add(entry.id)
            self._ingest.tell(inbound)
        self._moved += len(items)
        await self._forget_done()

    async def _forget_done(self) -> None:
        """Takes from the disk what is committed. If the disk does not let us, it is not written a second time."""
        if self._done:
            await self._spool.remove(self._done)
            for number in self._done:
                self._holding.pop(number, None)
                self._locked_since.pop(number, None)
            self._done.clear()

    async def _give_up(self, item: Item, error: Exception) -> None:
        entry, inbound = item
        reason = log_refusal(inbound, error)
        try:
            await within(WRITE_S, self._store.journal_failure(inbound, reason))
        except (StoreUnavailable, ConfigError):
            raise
        except Exception as fault:
            logger.warning("replay.not_journalled session=%d error=%r", entry.session_id, fault)
            await self._spool.put_out(entry, reason)
        REPLAYED.labels("failed").inc()
        self._done.add(entry.id)
        self._moved += 1
        await self._forget_done()

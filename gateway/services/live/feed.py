"""Notification or tick → read what the streams hold past our offsets → hub.

A notification only says which inboxes moved (`"3,7"`, or `"*"`); the streams hold what happened. Lost, doubled and late
notifications are harmless, and a slow tick does the same. One notification, or all that come during a read, cost one
question to the store. An inbox that no connection follows here is only noted, and read when a connection follows it.

Lifecycle: `run` lives as long as the gateway. It starts with a read of all inboxes, goes on with each notification,
and after a failure of the store tries again with a back-off; nothing is skipped, because the offsets move only when
events have been handed to the hub.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from gateway.domain.backoff import Backoff
from gateway.domain.errors import StoreUnavailable
from gateway.domain.notifications import inboxes_of
from gateway.domain.streams import Event, Extent, Inbox, OwnWrite, Position
from gateway.services.live.tail_source import Streams

logger = logging.getLogger(__name__)

BACKOFF = Backoff(first_s=0.4, most_s=5.0)

PAGE_EVENTS = 200
PAGE_BYTES = 96 * 1024
"""A page is written at once to every LIVE connection: one whose client reads nothing has it in memory."""

TICK_S = 10.0
UNREAD_S = 1.0
"""How long inboxes that no connection follows here may move until the hub is told where they stand."""


class StalenessView(Protocol):
    """Whether the gateway hears Postgres; clients are told when it does not."""

    @property
    def stale_since(self) -> str | None:
        """Since when clients may miss something (ISO 8601), or None while they do not."""


class EventPublisher(Protocol):
    """The hub, as the feed sees it."""

    def position(self, inbox: int) -> Position | None:
        """Offset and epoch up to which the inbox has been published; None for one never seen."""

    def is_followed(self, inbox: int) -> bool:
        """Whether a subscription of this process follows the inbox."""

    def together(self) -> AbstractContextManager[None]:
        """What is published within the block may leave at its end."""

    def publish(self, inbox: Inbox, events: Sequence[Event]) -> None:
        """Sends events that come right after the inbox's position, in order."""

    def advance(self, inbox: Inbox, extent: Extent) -> None:
        """Moves the inbox's position without events."""


class Feed:
    """Brings what the streams hold past the published positions to the hub."""

    def __init__(
        self,
        streams: Streams,
        hub: EventPublisher,
        *,
        on_failure: Callable[[], None] = lambda: None,
        tick_s: float = TICK_S,
        unread_s: float = UNREAD_S,
        awake: asyncio.Event | None = None,
    ) -> None:
        """`on_failure` is told of every read that failed: what it was for may be missing."""
        self._streams = streams
        self._hub = hub
        self._tick_s = tick_s
        self._unread_s = unread_s
        self._awake = awake
        self._on_failure = on_failure
        self._dirty: set[int] = set()
        self.unread: set[int] = set()
        """Inboxes that have moved and that no connection follows here: read when one does, or after `unread_s`."""
        self._unread_at = 0.0
        self._all_dirty = True
        self._under_way: set[int] = set()
        """Inboxes that the read under way is about, and that no connection followed when it began."""
        self._all_under_way = False
        self._caught_up_at = 0.0
        """When all inboxes were read last, by the loop's clock."""
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()

    def notify(self, payload: str) -> None:
        """Takes a notification from Postgres. Never waits; a payload that cannot be read counts as `*`."""
        numbers = inboxes_of(payload)
        if numbers is None:
            self._all_dirty = True
        else:
            self._dirty.update(numbers)
        self._wake.set()

    def attend(self, inbox: int | None) -> None:
        """A connection follows this inbox from now on (None: every inbox): what was only noted has to be read."""
        if inbox in self.unread or (inbox is None and self.unread):
            self._wake.set()

    def publish_own(self, written: OwnWrite) -> bool:
        """Publishes what this gateway has committed itself, if it follows what the hub has; False: it is to be read."""
        known = self._hub.position(written.inbox)
        # A read under way has its own idea of where the hub stands.
        if self._reading.locked() or known is None or known.epoch != written.extent.epoch:
            return False
        if known.off + len(written.events) != written.extent.top:
            return False
        if self._hub.is_followed(written.inbox):
            self._hub.publish(written.inbox, written.events)
        else:
            self._hub.advance(written.inbox, written.extent)
        return True

    async def open(self) -> None:
        """Learns where every inbox stands. Raises StoreUnavailable."""
        await self._read()

    async def catch_up(self) -> None:
        """Returns when everything committed before has been published. Raises StoreUnavailable.

        To be called when Postgres was away: another one may have come back.
        """
        self._all_dirty = True
        await self._read()

    async def run(self) -> None:
        """Reads after every notification and tick until it is cancelled; what failed is read again."""
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(
                    min(self._tick_s, self._unread_s) if self.unread else self._tick_s
                ):
                    await self._wake.wait()
            except TimeoutError:
                if self._awake is not None and not self._awake.is_set():
                    continue
            if loop.time() - self._caught_up_at >= self._tick_s:  # also while notifications come all the time
                self._all_dirty = True
            try:
                await self._read(self._overdue())
                failures = 0
            except StoreUnavailable as error:
                failures += 1
                delay = BACKOFF.pause_s(failures, random.random())
                self._on_failure()
                logger.warning("feed.read_failed error=%s retry_in_s=%.1f", error, delay)
                self._wake.set()
                await asyncio.sleep(delay)

    async def position_at_least(self, inbox: Inbox, after: Position | None) -> Position:
        """Where the inbox stands in the hub, after a look at the store if it is new or `after` is beyond it.

        Raises StoreUnavailable.
        """
        if self._hub.position(inbox) is None:
            async with self._reading:
                extent = await self._streams.ensure(inbox)
                if after is not None and after.epoch != extent.epoch and await self._check_history():
                    extent = await self._streams.ensure(inbox)
                if self._hub.position(inbox) is None:
                    self._hub.advance(inbox, extent)
        elif after is not None or self._is_behind(inbox):
            await self.see({} if after is None else {inbox: after})
        position = self._hub.position(inbox)
        assert position is not None
        return position

    async def see(self, wanted: Mapping[Inbox, Position]) -> None:
        """Returns when what notifications have named so far is no news to an inbox that gets its first follower.

        One look at the store if there is any such inbox, or if any position of `wanted` is beyond what the hub has.
        Raises StoreUnavailable.
        """
        if not self._is_to_be_read(wanted):
            return
        async with self._reading:
            if self._is_to_be_read(wanted):  # the read that was under way may have brought it
                await self._read_now(self._news(wanted))

    def _is_to_be_read(self, wanted: Mapping[Inbox, Position]) -> bool:
        return self._all_dirty or self._all_under_way or bool(self._news(wanted))

    def _news(self, wanted: Mapping[Inbox, Position]) -> set[int]:
        # The client may have read its position in a newer snapshot than our last look.
        news: set[int] = {inbox for inbox, position in wanted.items() if self._is_news(inbox, position)}
        news |= self.unread | self._under_way
        return news | {inbox for inbox in self._dirty if not self._hub.is_followed(inbox)}

    def _is_behind(self, inbox: int) -> bool:
        """Whether a notification that no connection waited for may have named the inbox, and is not read yet."""
        if inbox in self.unread or inbox in self._under_way:
            return True
        is_heard = self._all_dirty or self._all_under_way or inbox in self._dirty
        return is_heard and not self._hub.is_followed(inbox)

    def _is_news(self, inbox: Inbox, position: Position) -> bool:
        known = self._hub.position(inbox)
        return known is None or position.off > known.off or position.epoch != known.epoch

    async def _read(self, asked: Collection[int] = ()) -> None:
        """Reads what notifications have named, if a connection here waits for any of it, and what is asked for."""
        async with self._reading:
            await self._read_now(asked)

    async def _read_now(self, asked: Collection[int]) -> None:
        self._wake.clear()
        everything, self._all_dirty = self._all_dirty, False
        unread, self.unread = self.unread, set()
        dirty, self._dirty = self._dirty | unread | set(asked), set()
        self._under_way = {inbox for inbox in dirty if not self._hub.is_followed(inbox)}
        self._all_under_way = everything
        try:
            if everything:
                # A backup may be brought back under connections that stay open.
                await self._check_history()
                await self._look_at(await self._extents(), [])
                self._caught_up_at = asyncio.get_running_loop().time()
            elif asked or any(map(self._is_wanted, dirty)):
                await self._read_inboxes(sorted(dirty))
            elif dirty:
                if not unread:
                    self._unread_at = asyncio.get_running_loop().time()
                self.unread = dirty
        except BaseException:
            self._all_dirty = self._all_dirty or everything
            self._dirty |= dirty
            self._wake.set()
            raise
        finally:
            self._under_way, self._all_under_way = set(), False

    def _overdue(self) -> Collection[int]:
        is_due = asyncio.get_running_loop().time() >= self._unread_at + self._unread_s
        return tuple(self.unread) if is_due else ()

    def _is_wanted(self, inbox: int) -> bool:
        # An inbox never seen before is read in any case: a client that follows all must not take its past for new.
        return self._hub.is_followed(inbox) or self._hub.position(inbox) is None

    async def _check_history(self) -> bool:
        """Begins the streams anew if the database was restored; whether it did."""
        if not await self._streams.check_history():
            return False
        logger.warning("feed.history_changed meaning=clients_load_anew")
        return True

    async def _extents(self) -> dict[int, Extent]:
        extents = await self._streams.extents()
        return await self._streams.extents() if await self._check_extents(extents) else extents

    async def _went_back(self, extents: Mapping[int, Extent]) -> bool:
        for number, extent in extents.items():
            known = self._hub.position(number)
            # Offsets only grow: this database is an older one, brought back while we ran.
            if known is not None and known.epoch == extent.epoch and known.off > extent.top:
                logger.warning("feed.went_back inbox=%d from=%d to=%d", number, known.off, extent.top)
                await self._streams.begin_anew(number, extent.epoch)
                return True
        return False

    async def _read_inboxes(self, inboxes: list[int]) -> None:
        offsets: dict[int, int | None] = {}
        for inbox in inboxes:
            known = self._hub.position(inbox)
            offsets[inbox] = known.off if known is not None and self._hub.is_followed(inbox) else None
        extents, events = await self._streams.read_unread(offsets, PAGE_EVENTS, PAGE_BYTES)
        if await self._check_extents(extents):
            extents, events = await self._streams.extents(), []
        await self._look_at(extents, events)

    async def _check_extents(self, extents: Mapping[int, Extent]) -> bool:
        """Begins the streams anew if these say that the database was restored; whether it did.

        A backup brings an epoch back that ends with the first look at the history. So that look comes before clients
        are told of an epoch: one reset for one restore.
        """
        known = {number: self._hub.position(number) for number in extents}
        is_other = any(at is not None and at.epoch != extents[number].epoch for number, at in known.items())
        return (is_other and await self._check_history()) or await self._went_back(extents)

    async def _look_at(self, extents: Mapping[int, Extent], events: list[Event]) -> None:
        """Brings the hub to these extents; `events` are what has been read already of what it lacks."""
        behind: dict[int, int] = {}
        for number, extent in extents.items():
            inbox = Inbox(number)
            known = self._hub.position(inbox)
            if known is not None and known.epoch == extent.epoch and known.off == extent.top:
                continue
            is_usable = known is not None and known.epoch == extent.epoch and known.off >= extent.floor
            if known is None or not is_usable or not self._hub.is_followed(inbox):
                self._hub.advance(inbox, extent)
            else:
                behind[inbox] = known.off
        waiting: set[int] = set()
        if events:
            behind, waiting = self._publish(
                [event for event in events if event.inbox in behind], behind, extents
            )
        while behind:
            # Inboxes whose next event waits for another inbox are read after that one.
            wanted = {inbox: off for inbox, off in behind.items() if inbox not in waiting}
            page = await self._streams.read_after(wanted or behind, PAGE_EVENTS, PAGE_BYTES)
            # All waiting for one another is no order that a transaction could have made.
            if not page:
                return
            before = behind
            behind, still_waiting = self._publish(page, before, extents, in_order=bool(wanted))
            waiting = waiting | still_waiting if behind == before else still_waiting

    def _publish(
        self,
        events: list[Event],
        behind: dict[int, int],
        extents: Mapping[int, Extent],
        *,
        in_order: bool = True,
    ) -> tuple[dict[int, int], set[int]]:
        """Hands a page over, inbox by inbox; returns what is still behind, and which of that waits for another inbox.

        A page ends at its size, so inboxes may be missing from it: they come with the next one.
        """
        by_inbox: dict[Inbox, list[Event]] = {}
        for event in events:
            by_inbox.setdefault(event.inbox, []).append(event)
        still = dict(behind)
        with self._hub.together():
            for inbox, batch in tuple(by_inbox.items()):
                if batch[-1].off != behind[inbox] + len(batch):
                    # A hole: pruned or begun anew since we asked for its extent. A connection that follows finds out by
                    # catching up.
                    self._hub.advance(inbox, extents[inbox])
                    del still[inbox], by_inbox[inbox]
            while ready := {
                inbox: self._in_order(batch, still if in_order else {}) for inbox, batch in by_inbox.items()
            }:
                if not any(ready.values()):
                    break
                # A row that has moved is told last, after its deletion in the inbox that it left.
                for inbox, count in sorted(ready.items(), key=lambda item: item[1] < len(by_inbox[item[0]])):
                    self._hand_over(inbox, by_inbox, count, still, extents)
        return still, set(by_inbox)

    def _hand_over(
        self,
        inbox: Inbox,
        by_inbox: dict[Inbox, list[Event]],
        count: int,
        still: dict[int, int],
        extents: Mapping[int, Extent],
    ) -> None:
        """The first so many events of an inbox go to the hub."""
        batch = by_inbox[inbox]
        if count:
            self._hub.publish(inbox, batch[:count])
            still[inbox] = batch[count - 1].off
            if still[inbox] >= extents[inbox].top:
                del still[inbox]
        if count == len(batch):
            del by_inbox[inbox]
        else:
            by_inbox[inbox] = batch[count:]

    def _in_order(self, batch: list[Event], still: Mapping[int, int]) -> int:
        """How many events of the batch come after nothing that an inbox still to be read has to tell first."""
        for count, event in enumerate(batch):
            place = event.comes_after
            if place is not None and still.get(place.inbox, place.off) < place.off:
                return count
        return len(batch)

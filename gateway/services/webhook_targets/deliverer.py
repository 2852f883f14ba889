"""Delivers to one target: finds events in the streams, sends them in the order of each chat, writes what became of it.

The cursor runs ahead of what has been delivered by some hundred events, which wait in a table; a backlog waits in the
streams. A chat that is held up does not count there, so that it holds up no other.

Lifecycle: `run` ends when the target is paused, deleted or another gateway's, and after `close`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from prometheus_client import Counter

from gateway.domain.errors import GatewayError, Invalid
from gateway.domain.message import MARKS_TABLE
from gateway.domain.streams import SESSIONS_INBOX, Extent
from gateway.domain.webhook_targets import (
    BACKOFF,
    RAW,
    RESET,
    Answer,
    DeadLetter,
    Delivered,
    Pause,
    TryAgain,
    follow,
    is_wanted,
    outgoing,
    told,
    wants_raw,
)
from gateway.services.webhook_targets.letters import Letter, raw_letter, standard_letter
from gateway.services.webhook_targets.ports import (
    DeliveryStore,
    Due,
    Ended,
    Found,
    Keys,
    Leases,
    Receiver,
    State,
    Streams,
    Target,
)

logger = logging.getLogger(__name__)

WEBHOOKS_OUT = Counter(
    "gateway_webhooks_out_total", "Deliveries to webhook targets, by what followed.", ["outcome"]
)

READY = 128
"""Deliveries that are read at once: each begins as soon as another has ended."""
AT_ONCE = 32
"""Deliveries to one target that are under way together, each of another chat."""
ROOM = 1000
"""Deliveries that wait in the table before the cursor stops."""
PAGE = 500
PAGE_BYTES = 4 * 1024 * 1024
LEASE_S = 3.0
"""Between two looks whether the lease is still held."""
LEASE_GOOD_S = 7.0
"""A gateway that has not looked for so long may have been frozen, and another may serve the target by now."""
GONE = "The event is no longer kept."
NO_KEY = "The key and the secret of the session are not known here."
LOST_SECRET = "The secret of this target is lost. Make a new one, and give it to the receiver."


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPace:
    """Seconds between two turns of a deliverer."""

    rest_s: float = 0.02
    """Shortest: what comes meanwhile is done together."""
    tick_s: float = 1.0
    """Longest while something waits."""
    idle_s: float = 3.0
    """Longest while nothing does: notifications tell of news."""


DEFAULT_PACE = DeliveryPace()


@dataclass(frozen=True, slots=True)
class DeliveryContext:
    """What every deliverer is given."""

    store: DeliveryStore
    streams: Streams
    receiver: Receiver
    leases: Leases
    keys: Keys
    """Of sessions, for targets in raw mode."""
    zone: tzinfo
    """How naive timestamps of the shop's tables are read."""
    clock: Callable[[], float]
    """Unix seconds."""
    roll: Callable[[], float]
    awake: asyncio.Event | None = None
    """Set while the database may be asked, if it may sleep."""
    pace: DeliveryPace = DEFAULT_PACE


class Deliverer:
    """Everything of one target, while this gateway has its lease."""

    def __init__(self, target_id: int, context: DeliveryContext) -> None:
        self.target_id = target_id
        self._context = context
        self._wake = asyncio.Event()
        self._calls: dict[int, asyncio.Task[None]] = {}
        """Those under way, and those that have ended and are not written yet."""
        self._under_way = 0
        self._ready: deque[Due] = deque()
        self._ended: list[Ended] = []
        self._pause: str | None = None
        self._failures = 0
        self._away_until = 0.0
        self._seen_at: datetime | None = None
        self._lease_asked_at = float("-inf")
        self._is_closing = False
        self._is_holder = False
        self._has_waiting = True

    def notify(self) -> None:
        """Something was written, or the target was changed. Never waits."""
        self._wake.set()

    def on_lease_lost(self) -> None:
        """Begins no delivery until the lease is held again."""
        self._lease_asked_at = float("-inf")
        self._ready.clear()
        self._wake.set()

    def close(self) -> None:
        """Begins no delivery any more; `run` ends when those under way have."""
        self._is_closing = True
        self._ready.clear()
        self._wake.set()

    async def run(self) -> None:
        """Delivers until there is nothing for this gateway to do; an outage of the store is waited for."""
        try:
            async with asyncio.TaskGroup() as calls:
                while not self._is_closing:
                    try:
                        if not await self._turn(calls):
                            self._ready.clear()
                            break
                    except GatewayError as error:
                        # What receivers have taken meanwhile is written when the store is back.
                        logger.warning("webhook_targets.waiting target=%d error=%s", self.target_id, error)
                        await asyncio.sleep(self._context.pace.tick_s)
                    await self._rest()
        finally:
            await self._leave()

    async def _leave(self) -> None:
        """Writes what is known of the last deliveries, and gives the lease back."""
        try:
            await self._write()
        except GatewayError as error:  # these are sent again, with the ids that they had
            logger.warning("webhook_targets.waiting target=%d error=%s", self.target_id, error)
        finally:
            if self._is_holder:  # of a lock that is not ours Postgres would warn
                await self._context.leases.release(self.target_id)

    async def _rest(self) -> None:
        pace = self._context.pace
        await asyncio.sleep(pace.rest_s)
        awake = self._context.awake
        is_asleep = awake is not None and not awake.is_set() and not self._has_waiting
        try:
            async with asyncio.timeout(
                None if is_asleep else pace.tick_s if self._has_waiting else pace.idle_s
            ):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _turn(self, calls: asyncio.TaskGroup) -> bool:
        """Writes, looks, sends; False if the target is not this gateway's to serve."""
        if not await self._holds_lease():
            return False
        target = await self._context.store.target(self.target_id)
        if target is None or target.paused_reason is not None:
            return False
        if target.changed_at != self._seen_at:  # an admin may have mended it
            self._seen_at, self._failures, self._away_until = target.changed_at, 0, 0.0
        if not await self._write():
            return False
        room = self._room()
        if room:
            await self._look(target)
            await self._send(target, room, calls)
        return True

    async def _holds_lease(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now >= self._lease_asked_at + LEASE_S:
            self._is_holder = await self._context.leases.acquire(self.target_id)
            if not self._is_holder:
                return False
            self._lease_asked_at = now
        return True

    async def _write(self) -> bool:
        """Writes what has become of deliveries; False if the target is paused by it."""
        ended, self._ended = self._ended, []
        if ended:
            try:
                await self._context.store.end(self.target_id, ended, self._context.clock())
            except GatewayError:
                self._ended = ended + self._ended
                raise
            for item in ended:
                self._calls.pop(item.id, None)
        pause, self._pause = self._pause, None
        if pause is None:
            return True
        logger.warning("webhook_targets.paused target=%d reason=%s", self.target_id, pause)
        await self._context.store.pause(self.target_id, pause)
        return False

    # ------------------------------------------------------------------------------------------ finding

    async def _look(self, target: Target) -> None:
        """Adds what the streams hold past the cursor, while there is room."""
        store, streams = self._context.store, self._context.streams
        pending = await store.pending(target.id, ROOM)
        # Of a webhook that changes no row no notification tells.
        self._has_waiting = pending > 0 or target.mode == "raw"
        if pending >= ROOM:
            return
        if target.mode == "raw":
            await self._look_at_raw(target)
            return
        asked = None if target.sessions is None else [SESSIONS_INBOX, *target.sessions]
        extents = await streams.extents(asked)
        moved: dict[str, dict[str, Any]] = {name: dict(place) for name, place in target.cursor.items()}
        found: list[Found] = []
        offsets: dict[int, int] = {}
        for inbox, extent in extents.items():
            off = _start(target, inbox, extent, found)
            moved[str(inbox)] = {"off": off, "epoch": extent.epoch}
            if off < extent.top:
                offsets[inbox] = off
        for event in await streams.read_after(offsets, PAGE, PAGE_BYTES):
            moved[str(event.inbox)]["off"] = event.off
            out = outgoing(event)
            if out is not None and is_wanted(out.event, out.session_id, target.sessions, target.events):
                epoch = extents[event.inbox].epoch
                found.append(Found(event.inbox, event.off, epoch, out.session_id, out.chat, out.event))
                self._wake.set()
        if moved != target.cursor and not await store.add_found(target, moved, found):
            self._wake.set()

    async def _look_at_raw(self, target: Target) -> None:
        """The same of webhooks that were kept as they came."""
        off = int(target.cursor.get(RAW, {}).get("off", 0))
        page = await self._context.store.raw_after(off, PAGE)
        if not page:
            return
        moved = {**target.cursor, RAW: {"off": page[-1].off}}
        found = [
            item for item in page if wants_raw(item.event, item.session_id, target.sessions, target.events)
        ]
        await self._context.store.add_found(target, moved, found)
        self._wake.set()

    # ------------------------------------------------------------------------------------------ sending

    def _room(self) -> int:
        """How many deliveries may be read now: one while the receiver is away, to see whether it is back."""
        if self._failures:
            return 1 if self._context.clock() >= self._away_until and not self._calls else 0
        return 0 if self._ready else READY - len(self._calls)

    async def _send(self, target: Target, room: int, calls: asyncio.TaskGroup) -> None:
        """Reads what is due, and begins as much of it as may be under way."""
        store = self._context.store
        dues = await store.due(target.id, self._context.clock(), list(self._calls), room)
        if not dues:
            return
        signers = await store.secrets(target.id)
        if not signers and target.mode == "standard":
            self._pause = LOST_SECRET
            self._wake.set()
            return
        self._ready.extend(dues)
        self._fill(target, signers, calls)

    def _fill(self, target: Target, signers: Sequence[str], calls: asyncio.TaskGroup) -> None:
        """Begins what is ready, as much as may be under way; when one has ended, the next."""
        while self._ready and self._under_way < AT_ONCE and not self._is_closing:
            due = self._ready.popleft()
            call = calls.create_task(
                self._deliver(target, due, signers), name=f"webhook to target {target.id}"
            )
            self._calls[due.id] = call
            self._under_way += 1
            call.add_done_callback(lambda _: self._fill_again(target, signers, calls))

    def _fill_again(self, target: Target, signers: Sequence[str], calls: asyncio.TaskGroup) -> None:
        self._under_way -= 1
        self._fill(target, signers, calls)

    async def _deliver(self, target: Target, due: Due, signers: Sequence[str]) -> None:
        try:
            letter = await self._letter(due, signers) if _is_kept(due) else None
            if asyncio.get_running_loop().time() > self._lease_asked_at + LEASE_GOOD_S:
                self._calls.pop(due.id, None)
            elif letter is None:
                self._end(due, "dead", answer=GONE)
            else:
                self._take(due, await self._context.receiver.post(target.url, letter.body, letter.headers))
        except Invalid as error:
            self._take(due, Answer(0, error.message))
        except GatewayError as error:  # the keys cannot be read: later they may
            self._take(due, Answer(None, str(error)))
        except Exception as error:
            # It concerns this event alone: its chat is held, and the others go on.
            logger.exception("webhook_targets.event_failed target=%d delivery=%d", target.id, due.id)
            self._take(due, Answer(0, f"The gateway could not send it ({type(error).__name__})."))
        finally:
            self._wake.set()

    async def _letter(self, due: Due, signers: Sequence[str]) -> Letter:
        """What goes out. Raises Invalid where the key of its session is not known."""
        if due.is_raw:
            keys = await self._context.keys(due.session_id)
            if keys is None or not keys.webhook_secret:
                raise Invalid(NO_KEY)
            return raw_letter(due, keys)
        at = datetime.fromtimestamp(self._context.clock(), UTC)
        return standard_letter(due, signers, at, self._context.zone)

    def _take(self, due: Due, answer: Answer) -> None:
        """Does what follows the answer."""
        now, roll = self._context.clock(), self._context.roll()
        outcome = follow(answer, due.tries, now, roll)
        if not (isinstance(outcome, TryAgain) and outcome.holds == "target"):
            self._failures = 0
        match outcome:
            case Delivered():
                self._end(due, "delivered")
            case DeadLetter():
                self._end(due, "dead", answer=told(answer))
            case Pause(reason=reason):
                self._pause = reason
                self._ready.clear()
                self._end(due, "pending", answer=told(answer))
            case TryAgain(holds="chat") as again:
                self._ended.append(Ended(due.id, "pending", again.tries, now + again.wait_s, told(answer)))
                WEBHOOKS_OUT.labels("refused").inc()
            case TryAgain() as again:
                # Those that were under way together are one failure of the receiver.
                if now >= self._away_until:
                    self._failures += 1
                    wait_s = max(again.wait_s, BACKOFF.pause_s(self._failures, roll))
                    self._away_until = now + wait_s
                self._ready.clear()
                self._ended.append(Ended(due.id, "pending", again.tries, None, told(answer)))
                WEBHOOKS_OUT.labels("away").inc()

    def _end(self, due: Due, state: State, *, answer: str | None = None) -> None:
        self._ended.append(Ended(due.id, state, due.tries, None, answer))
        WEBHOOKS_OUT.labels("paused" if state == "pending" else state).inc()


def _is_kept(due: Due) -> bool:
    """Whether there is still something to tell: of an erased person's event only the deletion is."""
    if due.is_raw:
        return due.raw is not None
    if due.event is None:
        return due.name == RESET
    return due.name == "message.deleted" or due.event.operation != "DELETE" or due.event.table == MARKS_TABLE


def _start(target: Target, inbox: int, extent: Extent, found: list[Found]) -> int:
    """Where to go on in an inbox; where its history is not the one that was followed, the target is told first."""
    known = target.cursor.get(str(inbox))
    off = 0 if known is None else int(known["off"])
    is_same = known is None or known["epoch"] == extent.epoch
    if is_same and extent.floor <= off <= extent.top:
        return off
    if inbox >= 0:
        found.append(Found(inbox, extent.top, extent.epoch, inbox, "", RESET))
    return min(max(off, extent.floor), extent.top)

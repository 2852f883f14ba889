"""Whatever happens to Postgres and the disk: answered in time, kept when acknowledged, and in order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import RowLocked, RowRefused, StoreUnavailable, TableLocked, Unavailable
from gateway.domain.message import MessageDeleted, Reading
from gateway.services.webhooks.batch import Answer, InboundWebhook, Outcome
from gateway.services.webhooks.ingest import PATIENCE_S, SPOOL_S, Ingest
from tests.clock import now, virtual_time
from tests.unit.services.spool_fakes import MemorySpool
from tests.unit.services.test_ingest import AT

SLACK_S = 0.5
MOODS = ("fine", "fine", "away", "frozen", "table", "slow")
KEYS = ("A", "B", "refused")

Step = tuple[str, object, str]

# Listed one by one, so that hypothesis takes them as often as they stand here.
WEBHOOKS: list[Step] = [
    (what, session, key) for what in ("webhook", "answered webhook") for session in (1, 2) for key in KEYS
]
STEPS: list[Step] = [
    *WEBHOOKS,
    *WEBHOOKS,
    *(("mood", mood, "") for mood in MOODS),
    *(("wait", seconds, "") for seconds in (0.02, 0.3, 1.0, 2.5)),
    ("replay", 0, ""),
]
LOCKS: list[Step] = [("lock", True, ""), ("lock", False, "")]
ROOM: list[Step] = [("room", False, ""), ("room", True, "")]
plans = st.one_of(
    *(
        st.lists(st.sampled_from(steps), min_size=15, max_size=40)
        for steps in (STEPS, STEPS + LOCKS, STEPS + LOCKS + ROOM)
    )
)


@dataclass
class Postgres:
    """Key A can be locked as a row; webhooks about `refused` are refused as data."""

    mood: str = "fine"
    is_locked: bool = False
    stored: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def write(self, batch: Sequence[InboundWebhook]) -> list[Outcome]:
        await asyncio.sleep(0.2 if self.mood == "slow" else 0.005)
        while self.mood == "frozen":  # noqa: ASYNC110  a frozen server tells nobody
            await asyncio.sleep(0.05)
        if self.mood == "away":
            raise StoreUnavailable("away")
        if self.mood == "table":
            raise TableLocked("locked")
        if self.is_locked and any(key_of(item) == "A" for item in batch):
            raise RowLocked("held")
        if any(key_of(item) == "refused" for item in batch):
            raise RowRefused("no")
        self.stored += [item.reading.event for item in batch]
        return ["stored"] * len(batch)

    async def journal_failure(self, delivery: InboundWebhook, reason: str) -> None:
        if self.mood not in ("fine", "slow"):
            raise StoreUnavailable("away")
        self.failed.append(delivery.reading.event)


def key_of(item: InboundWebhook) -> str:
    (change,) = item.reading.changes
    assert isinstance(change, MessageDeleted)
    return change.key_id


@dataclass
class Sent:
    name: str
    session: int
    key: str
    at: float
    answer: Answer | str = "none"
    answered_at: float = float("inf")


class Town:
    def __init__(self) -> None:
        self.postgres, self.spool = Postgres(), MemorySpool()
        self.ingest = Ingest(self.postgres, spool=self.spool)
        self.sent: list[Sent] = []
        self.was_locked = False
        self._waiting: list[asyncio.Task[None]] = []

    async def _submit(self, sent: Sent) -> None:
        reading = Reading(sent.name, (MessageDeleted(sent.key, AT),))
        try:
            sent.answer = await self.ingest.submit(InboundWebhook(sent.session, AT, {}, reading))
        except Unavailable:
            sent.answer = "unavailable"
        sent.answered_at = now()

    async def do(self, what: str, first: object, second: str) -> None:
        match what:
            case "webhook" | "answered webhook":
                assert isinstance(first, int)
                sent = Sent(f"{len(self.sent)}", first, second, now())
                self.sent.append(sent)
                self._waiting.append(asyncio.create_task(self._submit(sent), name=sent.name))
                if what == "answered webhook":
                    await asyncio.wait(self._waiting[-1:])
            case "mood":
                self.postgres.mood = str(first)
            case "lock":
                self.postgres.is_locked = bool(first)
                self.was_locked = self.was_locked or bool(first)
            case "room":
                self.spool.is_full = not first
            case "wait":
                assert isinstance(first, float)
                await asyncio.sleep(first)
            case "replay":
                await self.replay()

    async def replay(self) -> None:
        """As the real one: in order, past what is locked, what is refused to the journal."""
        for entry in list(self.spool.entries):
            try:
                await self.postgres.write([entry[0]])
            except RowRefused:
                await self.postgres.journal_failure(entry[0], "refused")
            except StoreUnavailable:
                continue
            self.spool.entries.remove(entry)

    async def live(self, plan: list[Step]) -> None:
        pump = asyncio.create_task(self.ingest.run(), name="ingest")
        for step in plan:
            # A replay that waits for a frozen Postgres is cut off, as in life.
            try:
                async with asyncio.timeout(10):
                    await self.do(*step)
            except (TimeoutError, StoreUnavailable):
                pass
        await self.ingest.close()
        await asyncio.gather(*self._waiting)
        assert not pump.done()
        pump.cancel()
        self.postgres.mood, self.postgres.is_locked = "fine", False
        await self.replay()


@given(plans)
@settings(max_examples=120)
def test_nothing_acknowledged_is_lost_late_or_out_of_order(plan: list[Step]) -> None:
    town = Town()

    @virtual_time
    async def check() -> None:
        await town.live(plan)

    check()

    assert town.spool.entries == []
    for sent in town.sent:
        assert sent.answered_at - sent.at <= PATIENCE_S + SPOOL_S + SLACK_S, sent
        if sent.answer != "unavailable":
            kept = town.postgres.failed if sent.key == "refused" else town.postgres.stored
            assert sent.name in kept, sent
    first = {name: town.postgres.stored.index(name) for name in set(town.postgres.stored)}
    kept_ones = [sent for sent in town.sent if sent.answer in ("stored", "spooled") and sent.name in first]
    for number, later in enumerate(kept_ones):
        for earlier in kept_ones[:number]:
            follows = earlier.session == later.session and earlier.answered_at <= later.at
            if follows and (earlier.key == later.key or not town.was_locked):
                assert first[earlier.name] < first[later.name], (earlier, later)

"""What cannot be committed in time: it goes to the spool, in its order, and nobody waits longer than that."""

import asyncio
from typing import Any

import pytest

from gateway.domain.errors import ConfigError, RowLocked, StoreUnavailable, TableLocked, Unavailable
from gateway.domain.message import MessageDeleted, Reading, StatusReported
from gateway.services.webhooks.batch import Answer, InboundWebhook
from gateway.services.webhooks.ingest import PATIENCE_AWAY_S, PATIENCE_S, SPOOL_S, Ingest
from tests.clock import now, virtual_time
from tests.unit.services.spool_fakes import MemorySpool
from tests.unit.services.test_ingest import AT, Store, running

SLACK_S = 0.3


def about(name: str, key: str | None = None, session_id: int = 12) -> InboundWebhook:
    """A webhook called `name`; with a key, it is about that message."""
    changes = () if key is None else (MessageDeleted(key, AT),)
    return InboundWebhook(session_id, AT, {}, Reading(name, changes))


def status(name: str, session_id: int = 12) -> InboundWebhook:
    return InboundWebhook(session_id, AT, {}, Reading(name, (StatusReported("connected", AT),)))


class Moody(Store):
    """Answers as told: an error, or never."""

    def __init__(self) -> None:
        super().__init__()
        self.mood: Exception | None = None
        self.is_frozen = False
        self.row_locked: set[str] = set()
        self.table_locked = False

    async def write(self, batch: Any) -> Any:
        if self.is_frozen:
            await asyncio.Event().wait()
        if self.mood:
            raise self.mood
        names = {item.reading.event for item in batch}
        is_about_messages = any(
            not isinstance(change, StatusReported) for item in batch for change in item.reading.changes
        )
        if self.table_locked and is_about_messages:
            await asyncio.sleep(0.1)
            raise TableLocked("locked")
        if self.row_locked & names:
            await asyncio.sleep(0.1)
            raise RowLocked("held")
        return await super().write(batch)


async def timed(ingest: Ingest, delivery: InboundWebhook) -> tuple[Answer | str, float]:
    started = now()
    try:
        answer: Answer | str = await ingest.submit(delivery)
    except Unavailable:
        answer = "unavailable"
    return answer, now() - started


@pytest.mark.parametrize("mood", [StoreUnavailable("away"), ConfigError("no right"), "frozen"], ids=str)
def test_an_outage_sends_webhooks_to_the_spool_in_time_and_in_order(mood: Exception | str) -> None:
    @virtual_time
    async def check() -> None:
        store, spool = Moody(), MemorySpool()
        store.is_frozen = mood == "frozen"
        store.mood = mood if isinstance(mood, Exception) else None
        async with running(store, spool=spool) as ingest:
            waiting = []
            for number in range(30):
                waiting.append(asyncio.create_task(timed(ingest, about(f"{number}")), name="webhook"))
                await asyncio.sleep(0.1)
            answers = await asyncio.gather(*waiting)

        assert {answer for answer, _ in answers} == {"spooled"}
        assert max(took for _, took in answers) <= PATIENCE_S + SLACK_S
        assert spool.names == [str(number) for number in range(30)]
        assert ingest.is_away

    check()


@virtual_time
async def test_once_postgres_is_known_to_be_away_nobody_waits_for_it_long() -> None:
    store, spool = Moody(), MemorySpool()
    store.is_frozen = True
    async with running(store, spool=spool) as ingest:
        await ingest.submit(about("first"))
        for session_id in range(20, 30):
            answer, took = await timed(ingest, about("later", session_id=session_id))
            assert answer == "spooled"
            assert took < PATIENCE_AWAY_S + SLACK_S


@virtual_time
async def test_what_follows_in_a_session_goes_to_the_spool_and_other_sessions_do_not() -> None:
    store, spool = Moody(), MemorySpool()
    store.mood = StoreUnavailable("away")
    async with running(store, spool=spool) as ingest:
        assert await ingest.submit(about("first")) == "spooled"
        store.mood = None
        assert await ingest.submit(about("second")) == "spooled"
        assert await ingest.submit(about("other", session_id=13)) == "stored"
        spool.entries.pop(0)
        assert await ingest.submit(about("third")) == "spooled"
        spool.entries.clear()
        assert await ingest.submit(about("fourth")) == "stored"

    assert not ingest.is_away


@virtual_time
async def test_a_locked_row_holds_only_what_is_said_about_it() -> None:
    store, spool = Moody(), MemorySpool()
    store.row_locked = {"held"}
    async with running(store, spool=spool) as ingest:
        held = asyncio.create_task(timed(ingest, about("held", "K")), name="held")
        await asyncio.sleep(0.5)
        behind = asyncio.create_task(timed(ingest, about("behind", "K")), name="behind")
        assert (await timed(ingest, about("free", "L")))[0] == "stored"
        answer, took = await held
        assert answer == "spooled"
        assert took == pytest.approx(PATIENCE_S, abs=SLACK_S)
        assert (await behind)[0] == "spooled"
        assert (await timed(ingest, about("after", "K")))[0] == "spooled"
        assert (await timed(ingest, about("free", "M")))[0] == "stored"
        assert (await timed(ingest, status("free")))[0] == "stored"

    assert spool.names == ["held", "behind", "after"]
    assert store.stored == ["free", "free", "free"]


@virtual_time
async def test_what_waited_behind_a_locked_row_is_written_after_it() -> None:
    store, spool = Moody(), MemorySpool()
    store.row_locked = {"held"}
    async with running(store, spool=spool) as ingest:
        waiting = []
        for name in ("held", "second", "third"):
            waiting.append(asyncio.create_task(ingest.submit(about(name, "K")), name=name))
            await asyncio.sleep(0.3)
        store.row_locked.clear()

        assert await asyncio.gather(*waiting) == ["stored"] * 3
    assert store.stored == ["held", "second", "third"]


@virtual_time
async def test_who_follows_the_spool_is_followed_in_its_other_lanes_too() -> None:
    store, spool = Moody(), MemorySpool()
    spool.entries.append((about("held", "K"), frozenset({"=K"})))
    both = InboundWebhook(12, AT, {}, Reading("both", (MessageDeleted("K", AT), MessageDeleted("L", AT))))
    async with running(store, spool=spool) as ingest:
        batch = [ingest.submit(item) for item in (both, about("after", "L"), about("other", "M"))]
        answers = await asyncio.gather(*batch)

    assert answers[:2] == ["spooled"] * 2
    assert answers[2] != "spooled"
    assert spool.names == ["held", "both", "after"]


@virtual_time
async def test_a_locked_table_holds_the_messages_of_its_sessions_and_their_order_is_kept() -> None:
    store, spool = Moody(), MemorySpool()
    store.table_locked = True
    async with running(store, spool=spool) as ingest:
        waiting = []
        for number in range(25):
            waiting.append(
                asyncio.create_task(timed(ingest, about(f"{number}", f"K{number}")), name="webhook")
            )
            await asyncio.sleep(0.1)
        assert (await timed(ingest, status("status")))[0] == "stored"
        store.table_locked = False
        waiting.append(asyncio.create_task(timed(ingest, about("25", "K25")), name="last"))
        answers = await asyncio.gather(*waiting)

    assert max(took for _, took in answers) < PATIENCE_S + SLACK_S
    assert spool.names == [str(number) for number in range(26)]


@virtual_time
async def test_a_table_that_is_free_again_in_time_costs_nobody_the_order() -> None:
    store, spool = Moody(), MemorySpool()
    store.table_locked = True
    async with running(store, spool=spool) as ingest:
        waiting = []
        for number in range(20):
            waiting.append(
                asyncio.create_task(ingest.submit(about(f"{number}", f"K{number}")), name="webhook")
            )
            await asyncio.sleep(0.05)
        store.table_locked = False

        assert await asyncio.gather(*waiting) == ["stored"] * 20
    assert store.stored == [str(number) for number in range(20)]
    assert spool.names == []


@virtual_time
async def test_a_full_spool_sends_webhooks_back_and_takes_them_again_when_there_is_room() -> None:
    store, spool = Moody(), MemorySpool()
    store.mood = StoreUnavailable("away")
    spool.is_full = True
    async with running(store, spool=spool) as ingest:
        answer, took = await timed(ingest, about("full"))
        assert answer == "unavailable"
        assert took == pytest.approx(PATIENCE_S, abs=SLACK_S)
        spool.is_full = False

        assert (await timed(ingest, about("room")))[0] == "spooled"
    assert spool.names == ["room"]


@virtual_time
async def test_a_disk_that_does_not_answer_is_not_waited_for() -> None:
    store, spool = Moody(), MemorySpool()
    store.mood = StoreUnavailable("away")
    spool.disk_s = -1
    async with running(store, spool=spool) as ingest:
        answer, took = await timed(ingest, about("lost"))

    assert answer == "unavailable"
    assert took < PATIENCE_S + SPOOL_S + SLACK_S


@virtual_time
async def test_closing_does_not_wait_for_postgres_and_loses_nothing() -> None:
    store, spool = Moody(), MemorySpool()
    store.is_frozen = True
    async with running(store, spool=spool) as ingest:
        waiting = [asyncio.create_task(ingest.submit(about(f"{n}")), name="webhook") for n in range(300)]
        await asyncio.sleep(0.5)
        started = now()
        await ingest.close()
        assert now() - started < PATIENCE_S + SLACK_S

        assert await asyncio.gather(*waiting) == ["spooled"] * 300
    assert len(spool.entries) == 300


@virtual_time
async def test_a_handover_is_waited_for_instead_of_following() -> None:
    store, spool = Moody(), MemorySpool()
    spool.entries.append((about("old"), frozenset({"*"})))
    spool.handover = True
    async with running(store, spool=spool) as ingest:
        waiting = asyncio.create_task(timed(ingest, about("new")), name="new")
        await asyncio.sleep(0.1)
        spool.entries.clear()
        spool.handover = False

        assert (await waiting)[0] == "stored"
        spool.entries.append((about("old"), frozenset({"*"})))
        spool.handover = True
        answer, took = await timed(ingest, about("another"))
    assert answer == "spooled"
    assert took < 1


@virtual_time
async def test_a_queue_that_overflows_is_refused_at_once() -> None:
    store = Moody()
    store.is_frozen = True
    async with running(store, spool=MemorySpool(), max_waiting=3) as ingest:
        taken = [asyncio.create_task(ingest.submit(about(f"{n}")), name="webhook") for n in range(3)]
        await asyncio.sleep(0)
        assert (await timed(ingest, about("too many"))) == ("unavailable", 0)

        assert await asyncio.gather(*taken) == ["spooled"] * 3

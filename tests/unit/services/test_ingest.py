"""Group commit: what waits for what, and what becomes of the ones that cannot be written."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from gateway.domain.errors import GatewayError, RowLocked, RowRefused, StoreUnavailable, Unavailable
from gateway.domain.message import Reading, SessionChange, StatusReported
from gateway.services.webhooks.batch import Answer, InboundWebhook, Outcome
from gateway.services.webhooks.ingest import MAX_BATCH, PATIENCE_S, Ingest
from tests.clock import virtual_time
from tests.unit.services.spool_fakes import MemorySpool

AT = datetime(2026, 3, 1, tzinfo=UTC)


def delivery(name: str = "fine", *changes: SessionChange) -> InboundWebhook:
    return InboundWebhook(12, AT, {"name": name}, Reading(event=name, changes=changes))


class Store:
    """A store in memory. What a delivery is called says what happens to it."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.stored: list[str] = []
        self.failed: list[tuple[str, str]] = []
        self.locked: set[str] = set()
        self.away = False
        self.journal_fault: Exception | None = None
        self.at_once = 0
        self.most_at_once = 0
        self.commit_s = 0.01

    async def write(self, batch: Sequence[InboundWebhook]) -> list[Outcome]:
        names = [item.reading.event for item in batch]
        self.batches.append(names)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.4 if self.locked.intersection(names) else self.commit_s)
        finally:
            self.at_once -= 1
        if self.away:
            raise StoreUnavailable("away")
        if self.locked.intersection(names):
            raise RowLocked("held")
        if "refused" in names:
            raise RowRefused("not this")
        if "bug" in names:
            raise KeyError("bug")
        self.stored += names
        return ["stored"] * len(batch)

    async def journal_failure(self, delivery: InboundWebhook, reason: str) -> None:
        if self.journal_fault:
            raise self.journal_fault
        self.failed.append((delivery.reading.event, reason))


@contextlib.asynccontextmanager
async def running(store: Store, **more: object) -> AsyncIterator[Ingest]:
    ingest = Ingest(store, **more)  # type: ignore[arg-type]
    task = asyncio.create_task(ingest.run(), name="ingest")
    try:
        yield ingest
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def submit_all(ingest: Ingest, *names: str) -> list[Answer | BaseException]:
    return await asyncio.gather(*(ingest.submit(delivery(name)) for name in names), return_exceptions=True)


@virtual_time
async def test_what_arrives_during_a_commit_shares_the_next_one() -> None:
    store = Store()
    async with running(store) as ingest:
        first = asyncio.create_task(ingest.submit(delivery("first")), name="first")
        await asyncio.sleep(store.commit_s / 2)
        others = await submit_all(ingest, *(f"n{number}" for number in range(50)))
        await first

    assert others == ["stored"] * 50
    assert [len(batch) for batch in store.batches] == [1, 50]


@virtual_time
async def test_a_lone_webhook_is_committed_without_waiting_for_company() -> None:
    store = Store()
    store.commit_s = 0
    async with running(store) as ingest:
        started = asyncio.get_running_loop().time()
        await ingest.submit(delivery())

        assert asyncio.get_running_loop().time() == started


@virtual_time
async def test_no_batch_is_larger_than_the_limit() -> None:
    store = Store()
    async with running(store) as ingest:
        await submit_all(ingest, *(f"n{number}" for number in range(3 * MAX_BATCH)))

    assert max(map(len, store.batches)) == MAX_BATCH
    assert len(store.stored) == 3 * MAX_BATCH


@virtual_time
async def test_one_refused_webhook_is_journalled_and_its_batch_is_stored() -> None:
    store = Store()
    names = ["fine"] * 30 + ["refused"] + ["fine"] * 33
    async with running(store) as ingest:
        outcomes = await submit_all(ingest, *names)

    assert outcomes == ["stored"] * 30 + ["failed"] + ["stored"] * 33
    assert store.failed == [("refused", "not this")]


@virtual_time
async def test_a_webhook_that_meets_a_bug_of_ours_fails_alone_and_the_pump_goes_on() -> None:
    store = Store()
    async with running(store) as ingest:
        outcomes = await submit_all(ingest, "fine", "bug", "fine")
        again = await ingest.submit(delivery())

    assert outcomes == ["stored", "failed", "stored"]
    assert "KeyError" in store.failed[0][1]
    assert again == "stored"


@pytest.mark.parametrize("fault", [StoreUnavailable("away"), RowRefused("body too"), KeyError("bug")])
def test_what_the_journal_refuses_too_is_spooled_or_sent_back_and_the_pump_goes_on(fault: Exception) -> None:
    @virtual_time
    async def check() -> None:
        store = Store()
        store.journal_fault = fault
        async with running(store) as ingest:
            with pytest.raises(Unavailable):
                await ingest.submit(delivery("refused"))
            assert await ingest.submit(delivery()) == "stored"
        spool = MemorySpool()
        async with running(store, spool=spool) as ingest:
            assert await ingest.submit(delivery("refused")) == "spooled"
            assert await ingest.submit(delivery()) == "stored"

    check()


@virtual_time
async def test_a_held_row_keeps_only_its_own_webhook_waiting() -> None:
    store = Store()
    store.locked = {"held"}
    async with running(store) as ingest:
        held = asyncio.create_task(ingest.submit(delivery("held")), name="held")
        started = asyncio.get_running_loop().time()
        assert await submit_all(ingest, *["fine"] * 100) == ["stored"] * 100
        took = asyncio.get_running_loop().time() - started
        assert not held.done()
        store.locked.clear()

        assert await held == "stored"
    assert took < 1.5


@virtual_time
async def test_many_held_rows_use_few_connections_and_stop_no_later_webhook() -> None:
    store = Store()
    store.locked = {f"held {number}" for number in range(60)}
    async with running(store) as ingest:
        held = [
            asyncio.create_task(ingest.submit(delivery(name)), name=name) for name in sorted(store.locked)
        ]
        await asyncio.sleep(1)
        for _ in range(20):
            started = asyncio.get_running_loop().time()
            await ingest.submit(delivery())
            assert asyncio.get_running_loop().time() - started < 0.1
        store.locked.clear()
        await asyncio.gather(*held)

    assert store.most_at_once <= 4


@virtual_time
async def test_a_row_that_stays_held_is_handed_back_after_a_while_where_there_is_no_spool() -> None:
    store = Store()
    store.locked = {"held"}
    async with running(store) as ingest:
        started = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable):
            await ingest.submit(delivery("held"))

        assert PATIENCE_S <= asyncio.get_running_loop().time() - started < PATIENCE_S + 1


@virtual_time
async def test_a_held_webhook_that_is_refused_once_it_is_free_is_journalled() -> None:
    store = Store()
    store.locked = {"refused"}
    async with running(store) as ingest:
        waiting = asyncio.create_task(ingest.submit(delivery("refused")), name="waiting")
        await asyncio.sleep(1)
        store.locked.clear()

        assert await waiting == "failed"


@virtual_time
async def test_a_short_outage_is_waited_for_and_a_long_one_is_said() -> None:
    store = Store()
    store.away = True
    async with running(store) as ingest:
        short = asyncio.create_task(ingest.submit(delivery("short")), name="short")
        await asyncio.sleep(PATIENCE_S / 2)
        store.away = False
        assert await short == "stored"
        store.away = True
        with pytest.raises(Unavailable):
            await ingest.submit(delivery("long"))

    assert store.stored == ["short"]


@virtual_time
async def test_closing_answers_what_was_taken_and_takes_nothing_more() -> None:
    store = Store()
    async with running(store) as ingest:
        taken = asyncio.create_task(ingest.submit(delivery("taken")), name="taken")
        await asyncio.sleep(0)
        await ingest.close()
        assert await taken == "stored"
        with pytest.raises(Unavailable):
            await ingest.submit(delivery("late"))

    assert store.stored == ["taken"]


@virtual_time
async def test_a_sender_who_hangs_up_costs_nobody_else_the_answer() -> None:
    store = Store()
    async with running(store) as ingest:
        gone = asyncio.create_task(ingest.submit(delivery("gone")), name="gone")
        await asyncio.sleep(store.commit_s / 2)
        gone.cancel()

        assert await ingest.submit(delivery("here")) == "stored"
    assert store.stored == ["gone", "here"]


@virtual_time
async def test_changes_of_a_session_are_told_after_the_commit_and_only_then() -> None:
    told: list[tuple[int, SessionChange, int]] = []
    store = Store()
    report = StatusReported("connected", AT)

    def on_change(session_id: int, change: SessionChange) -> None:
        told.append((session_id, change, len(store.stored)))

    async with running(store, on_session_change=on_change) as ingest:
        await ingest.submit(delivery("fine", report))
        assert await ingest.submit(delivery("refused", report)) == "failed"

    assert told == [(12, report, 1)]


@virtual_time
async def test_a_bug_of_whoever_is_told_costs_no_webhook_its_answer() -> None:
    report = StatusReported("connected", AT)
    bugs: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: bugs.append(context["exception"]))

    def on_change(session_id: int, change: SessionChange) -> None:
        raise KeyError(session_id)

    async with running(Store(), on_session_change=on_change) as ingest, asyncio.timeout(60):
        answers = await asyncio.gather(*(ingest.submit(delivery("fine", report)) for _ in range(3)))
        await ingest.close()

    assert answers == ["stored"] * 3
    assert [type(bug) for bug in bugs] == [KeyError]


def test_every_error_that_sends_a_webhook_back_says_to_come_again() -> None:
    errors: list[GatewayError] = [Unavailable("x"), StoreUnavailable("x"), RowLocked("x")]

    assert all(error.retryable and error.action == "retry" for error in errors)

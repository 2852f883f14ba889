"""One sender and its queue, on a clock that jumps."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from itertools import chain, repeat
from typing import Any

import pytest

from gateway.domain import sending
from gateway.domain.errors import (
    GatewayError,
    Unavailable,
    UpstreamError,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from gateway.domain.send_queue import Terms
from gateway.domain.sending import Refused, SendStatus
from gateway.services.sending.ports import SendingContext, Start
from gateway.services.sending.sender import Sender
from tests.clock import now, virtual_time
from tests.unit.services.send_fakes import FakePreparation, FakeUpstream, MemoryStore

S = SendStatus


class Shop:
    """A store, an upstream, and senders of one session."""

    def __init__(self, *moods: str, store: MemoryStore | None = None, **terms: Any) -> None:
        self.store = store or MemoryStore()
        self.store.wrote.add("ann")
        ordered = chain(moods, repeat(moods[-1] if moods else "accepts"))
        self.upstream = FakeUpstream(moods=lambda: next(ordered))
        self.preparation = FakePreparation()
        self.lease_until = float("inf")
        self.context = SendingContext(
            self.store, self.upstream, self.preparation, now, lambda _: self.lease_until, Terms(**terms)
        )

    @contextlib.asynccontextmanager
    async def sender(self, holder: str = "a") -> AsyncIterator[Sender]:
        sender = Sender(12, holder, self.context)
        task = asyncio.create_task(sender.run())
        try:
            yield sender
        finally:
            sender.interrupt()
            await task

    async def until(self, *statuses: SendStatus) -> None:
        """Until the rows, in the order of their numbers, stand so."""
        while [row.status for _, row in sorted(self.store.rows.items())] != list(statuses):
            await self.store.changed.wait()


@virtual_time
async def test_a_message_goes_once_and_its_number_stands_in_its_row() -> None:
    shop = Shop()
    shop.store.write("ann")
    async with shop.sender():
        await shop.until(S.ACCEPTED)

    assert shop.upstream.accepted == [(1, 1)]
    assert shop.store.rows[1].msg_id == 100_001


@virtual_time
async def test_a_new_message_wakes_a_sender_that_waits() -> None:
    shop = Shop()
    async with shop.sender() as sender:
        await asyncio.sleep(5)
        shop.store.write("ann")
        sender.wake()
        began = now()
        await shop.until(S.ACCEPTED)

    assert now() - began < 1


@virtual_time
async def test_a_notification_that_is_lost_costs_a_slow_tick_at_most() -> None:
    shop = Shop()
    async with shop.sender():
        await asyncio.sleep(5)
        shop.store.write("ann")
        await shop.until(S.ACCEPTED)

    assert len(shop.upstream.accepted) == 1


@virtual_time
async def test_a_429_is_no_failure_and_only_pauses() -> None:
    shop = Shop("limits", "accepts")
    shop.store.write("ann")
    began = now()
    async with shop.sender():
        await shop.until(S.ACCEPTED)

    assert shop.store.rows[1].attempt == 2
    assert 4 < now() - began < 6


@virtual_time
async def test_silence_is_unknown_and_never_repeated_and_holds_up_no_later_message() -> None:
    shop = Shop("resets", "accepts")
    shop.store.write("ann")
    shop.store.write("ann")
    async with shop.sender():
        await shop.until(S.UNKNOWN, S.ACCEPTED)

    assert shop.upstream.calls == {(1, 1): 1, (2, 1): 1}


@virtual_time
async def test_a_401_fetches_the_key_and_tries_once_more() -> None:
    shop = Shop("unauthorized", "accepts")
    shop.preparation.keys = ["old", "new"]
    shop.store.write("ann")
    async with shop.sender():
        await shop.until(S.ACCEPTED)

    assert shop.upstream.keys == ["old", "new"]


@virtual_time
async def test_a_second_401_pauses_until_the_key_changes() -> None:
    shop = Shop("unauthorized", "unauthorized", "accepts")
    shop.store.write("ann")
    async with shop.sender() as sender:
        await asyncio.sleep(60)
        assert shop.store.queue is not None
        assert shop.store.queue.reason == "unauthorized"
        assert len(shop.upstream.keys) == 2
        sender.key_changed()
        await shop.until(S.ACCEPTED)


@virtual_time
async def test_not_connected_waits_and_goes_on_after_relinking() -> None:
    shop = Shop()
    shop.store.connect(False)
    shop.store.write("ann")
    async with shop.sender() as sender:
        await asyncio.sleep(3_600)
        assert shop.upstream.calls == {}
        shop.store.connect(True)
        sender.wake()
        await shop.until(S.ACCEPTED)


@virtual_time
async def test_what_waited_too_long_for_a_connection_is_given_up() -> None:
    shop = Shop(keep_s=3_600.0)
    shop.store.connect(False)
    shop.store.write("ann")
    async with shop.sender():
        await shop.until(S.FAILED)

    assert shop.store.rows[1].error_code == "expired"
    assert shop.upstream.calls == {}


@virtual_time
async def test_what_can_never_be_sent_fails_before_any_call() -> None:
    shop = Shop()
    shop.preparation.refused[1] = Refused("The quoted message is not stored.", "quote")
    shop.store.write("ann")
    async with shop.sender():
        await shop.until(S.FAILED)

    assert shop.store.rows[1].error_code == "quote"
    assert shop.upstream.calls == {}


@virtual_time
@pytest.mark.parametrize(
    "error", [UpstreamFailed("The upload broke.", status=500), UpstreamFailed("No such type.", status=415)]
)
async def test_a_file_that_upstream_never_takes_holds_up_no_other_message(error: UpstreamError) -> None:
    shop = Shop()
    shop.preparation.troubles[1] = repeat(error)
    shop.store.write("ann")
    shop.store.write("ann")
    async with shop.sender():
        await shop.until(S.FAILED, S.ACCEPTED)

    assert (shop.store.rows[1].error, shop.store.rows[1].error_code) == (error.message, "upload")
    assert shop.upstream.accepted == [(2, 1)]


@virtual_time
@pytest.mark.parametrize("error", [Unavailable("The media store is away."), UpstreamTimeout("No answer.")])
async def test_a_store_that_is_away_is_waited_for(error: GatewayError) -> None:
    shop = Shop()
    shop.preparation.troubles[1] = iter([error] * 20)
    shop.store.write("ann")
    async with shop.sender():
        await shop.until(S.ACCEPTED)

    assert shop.upstream.accepted == [(1, 1)]


@virtual_time
async def test_an_upload_that_the_old_key_may_not_make_is_made_with_the_new_one() -> None:
    shop = Shop()
    shop.preparation.keys = ["old", "new"]
    shop.preparation.troubles[1] = iter([UpstreamUnauthorized("Not this key.")])
    shop.store.write("ann")
    async with shop.sender():
        await shop.until(S.ACCEPTED)

    assert shop.upstream.keys == ["new"]


@virtual_time
async def test_a_session_that_upstream_does_not_know_is_not_asked_again_and_again() -> None:
    shop = Shop("gone")
    shop.store.write("ann")
    async with shop.sender():
        await asyncio.sleep(60)

    assert shop.upstream.calls.total() == 1


@virtual_time
async def test_a_session_that_upstream_gives_again_sends_on_at_once() -> None:
    shop = Shop("gone", "gone", "accepts")
    shop.store.fetched_at = now()
    shop.store.write("ann")
    async with shop.sender() as sender:
        for calls in (1, 2, 3):
            await asyncio.sleep(70)  # nothing goes by itself, whatever the queue was told before the send
            assert shop.upstream.calls.total() == calls
            shop.store.fetched_at = now()
            sender.wake()
        await shop.until(S.ACCEPTED)


@virtual_time
async def test_a_message_that_is_cancelled_while_it_is_prepared_is_not_sent() -> None:
    shop = Shop()
    send = shop.store.write("ann")
    make = shop.preparation.payload_of

    async def cancelled_meanwhile(row: Any) -> Any:
        await shop.store.replace(send, sending.cancel(send))
        return await make(row)

    shop.preparation.payload_of = cancelled_meanwhile  # type: ignore[method-assign,assignment]
    async with shop.sender():
        await shop.until(S.CANCELLED)
        await asyncio.sleep(1)

    assert shop.upstream.calls == {}


@virtual_time
async def test_no_call_begins_that_the_lease_does_not_outlast() -> None:
    shop = Shop()
    shop.lease_until = now() + 10
    shop.store.write("ann")
    async with shop.sender() as sender:
        await asyncio.sleep(1)
        assert shop.upstream.calls == {}
        shop.lease_until = now() + 1_000
        sender.wake()
        await shop.until(S.ACCEPTED)


# ---------------------------------------------------------------------------------------------- two senders


@virtual_time
async def test_a_sender_that_dies_in_a_call_leaves_an_unknown_row() -> None:
    shop = Shop()
    shop.store.write("ann")
    dying = asyncio.create_task(Sender(12, "a", shop.context).run())
    await shop.until(S.SENDING)
    dying.cancel()
    async with shop.sender("b"):
        await shop.until(S.UNKNOWN)

    assert shop.store.rows[1].error_code == "interrupted"
    assert sum(shop.upstream.calls.values()) == 1


@virtual_time
async def test_a_frozen_sender_begins_nothing_more_and_its_late_answer_still_counts() -> None:
    shop = Shop()
    shop.upstream.delay_s = lambda: 30.0
    shop.store.write("ann")
    async with shop.sender("frozen"):
        await shop.until(S.SENDING)
        shop.store.write("ann")
        async with shop.sender("b"):
            await shop.until(S.UNKNOWN, S.SENDING)
            await shop.until(S.ACCEPTED, S.SENDING)
            await shop.until(S.ACCEPTED, S.ACCEPTED)

    assert shop.upstream.calls == {(1, 1): 1, (2, 1): 1}


@virtual_time
async def test_a_sender_whose_queue_was_taken_ends_by_itself() -> None:
    shop = Shop()
    former = Sender(12, "former", shop.context)
    task = asyncio.create_task(former.run())
    await asyncio.sleep(1)
    async with shop.sender("b"):
        await asyncio.sleep(1)
        shop.store.write("ann")
        former.wake()  # it hears first, and may not
        await task
        await shop.until(S.ACCEPTED)

    assert shop.upstream.calls == {(1, 1): 1}


@virtual_time
async def test_a_sender_that_ends_waits_for_the_call_under_way() -> None:
    shop = Shop()
    shop.upstream.delay_s = lambda: 10.0
    shop.store.write("ann")
    shop.store.write("ann")
    async with shop.sender():
        await shop.until(S.SENDING, S.QUEUED)

    assert [row.status for row in shop.store.rows.values()] == [S.ACCEPTED, S.QUEUED]


# ---------------------------------------------------------------------------------------------- Postgres away


@virtual_time
async def test_an_answer_is_written_however_long_postgres_is_away() -> None:
    away = {"until": 0.0}
    shop = Shop(store=MemoryStore(lambda name: "before" if now() < away["until"] else None))
    shop.store.write("ann")
    async with shop.sender():
        await shop.until(S.SENDING)
        away["until"] = now() + 300
        await shop.until(S.ACCEPTED)

    assert sum(shop.upstream.calls.values()) == 1


@virtual_time
async def test_a_start_that_was_committed_unheard_is_taken_back_and_no_call_was_made() -> None:
    troubles = iter(["after"])
    shop = Shop(store=MemoryStore(lambda name: next(troubles, None) if name == "begin" else None))
    shop.store.write("ann")
    async with shop.sender():
        await shop.until(S.ACCEPTED)

    assert shop.upstream.calls == {(1, 2): 1}


@virtual_time
async def test_a_start_whose_commit_comes_late_is_taken_back_as_well() -> None:
    troubles = iter(["late"])
    shop = Shop(store=MemoryStore(lambda name: next(troubles, None) if name == "begin" else None))
    shop.store.write("ann")
    async with shop.sender() as sender:
        await shop.store.given_up.wait()
        assert shop.store.late_commits.pop()() is Start.BEGUN
        sender.wake()
        await shop.until(S.ACCEPTED)

    assert sum(shop.upstream.calls.values()) == 1

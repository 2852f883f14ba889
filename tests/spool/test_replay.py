"""From the disk to Postgres: everything, once to the eye, and in the order of its session."""

import asyncio
import contextlib
import sqlite3
from datetime import timedelta

import pytest

from gateway.domain.errors import RowRefused, StoreUnavailable, Unavailable
from gateway.domain.linking import FIRST_CODE_S
from gateway.domain.message import StatusReported
from tests.spool.conftest import Opener
from tests.spool.house import House
from tests.spool.support import AT, keep, numbered


async def test_everything_is_replayed_in_order_with_its_own_time_and_then_gone(house: House) -> None:
    await keep(house.spool, *numbered("received ", range(500)))

    await house.replay.round()

    assert house.store.stored == numbered("received ", range(500))
    assert max(house.store.sizes) == 128
    assert house.store.times == {AT}
    assert house.spool.count() == 0


async def test_it_goes_on_by_itself_when_postgres_is_back(house: House) -> None:
    house.store.away = StoreUnavailable("away")
    house.ingest.is_away = True
    async with house.running():
        await keep(house.spool, "received 1", "status")
        await asyncio.sleep(0.3)
        assert house.spool.count() == 2
        house.store.away = None
        await house.until_empty()

    assert house.store.stored == ["received 1", "status"]
    assert house.told == [StatusReported("connected", AT)]
    assert not house.ingest.is_away


async def test_what_another_process_spooled_is_replayed_too(house: House, open_spool: Opener) -> None:
    other = await open_spool()
    async with house.running():
        await keep(other, "received 1")
        await house.until_empty()

    assert house.store.stored == ["received 1"]


async def test_one_process_replays_and_the_next_takes_over_when_it_ends(open_spool: Opener) -> None:
    first, second = House(await open_spool()), House(await open_spool())
    assert first.spool.lead()
    async with second.running():
        await keep(second.spool, "received 1")
        await first.replay.round()
        assert (first.store.stored, second.store.stored) == (["received 1"], [])
        await keep(second.spool, "received 2")
        await first.spool.close()
        await second.until_empty()

    assert second.store.stored == ["received 2"]


async def test_data_that_postgres_refuses_goes_to_the_journal_and_the_rest_is_stored(house: House) -> None:
    await keep(
        house.spool, *numbered("received ", range(20)), "refused", "bug", *numbered("about ", range(20))
    )

    await house.replay.round()

    assert sorted(house.store.failed) == ["bug", "refused"]
    assert house.store.stored == [*numbered("received ", range(20)), *numbered("about ", range(20))]
    assert house.spool.count() == 0


async def test_what_the_journal_refuses_too_is_put_out_and_stops_nobody(house: House) -> None:
    house.store.journal_fault = RowRefused("nor this")
    await keep(house.spool, "received 1", "refused", "received 2")

    await house.replay.round()

    assert house.store.stored == ["received 1", "received 2"]
    assert len(list(house.spool.path.parent.glob("refused-*.json"))) == 1
    assert house.spool.count() == 0


async def test_a_webhook_that_the_disk_mangled_is_kept_as_it_is(house: House) -> None:
    await keep(house.spool, "received 1")
    with contextlib.closing(sqlite3.connect(house.spool.path)) as disk, disk:
        disk.execute("UPDATE entries SET body = x'7B00FF'")

    await house.replay.round()

    assert house.store.bodies == [{"unreadable": "{\ufffd"}]
    assert house.spool.count() == 0


async def test_what_is_committed_is_not_written_again_while_the_disk_does_not_let_it_go(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(house.spool, "received 1", "received 2")

    async def refuse(ids: object) -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(house.spool, "remove", refuse)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await house.replay.round()
    monkeypatch.undo()
    await house.replay.round()

    assert house.store.stored == ["received 1", "received 2"]
    assert house.spool.count() == 0


async def test_a_code_that_nobody_can_scan_any_more_is_not_shown(house: House) -> None:
    await keep(house.spool, "code", "status")
    house.now = AT + timedelta(seconds=FIRST_CODE_S)

    await house.replay.round()

    assert house.store.stored == ["code", "status"]
    assert house.told == [StatusReported("connected", AT)]


async def test_what_a_session_received_after_it_sent_is_not_written_before_it(house: House) -> None:
    await keep(house.spool, "received 1", "sent 1", "about 1", "received 2", "sent 2", "received 3")

    await house.replay.round()

    assert house.store.sizes == [3, 2, 1]

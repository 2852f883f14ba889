"""The spool keeps what it took, in its order, for every process of the machine, and no more than it may."""

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from gateway.domain.errors import ConfigError, Unavailable
from gateway.services.webhooks.spooled import Spooled
from gateway.spool.disk import DiskSpool
from gateway.spool.file import Job, SpoolFile, WriteRefused
from tests.spool.conftest import Opener
from tests.spool.support import ALL, AT, delivery, keep, name_of, names, numbered, remove_all


async def test_what_was_taken_is_there_after_a_restart_as_it_came(open_spool: Opener) -> None:
    first = await open_spool()
    await first.append([(delivery("a", 13, text="häß", number=1.5), ALL)])
    await keep(first, *numbered("n", range(300)))

    second = await open_spool()
    (entry, *_) = await second.page(0)
    assert (entry.session_id, entry.received_at) == (13, AT)
    assert orjson.loads(entry.raw) == {"event": "a", "text": "häß", "number": 1.5}
    assert await names(second) == ["a", *numbered("n", range(300))]


async def test_nobody_else_may_read_it(open_spool: Opener, tmp_path: Path) -> None:
    await keep(await open_spool(), "a")

    folder = tmp_path / "spool"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(item.stat().st_mode) for item in folder.iterdir()} == {0o600}


async def test_what_comes_during_a_write_shares_the_next_one(
    open_spool: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    run = SpoolFile.run

    def counted(file: SpoolFile, jobs: list[object]) -> object:
        sizes.append(len(jobs))
        return run(file, jobs)  # type: ignore[arg-type]

    spool = await open_spool()
    monkeypatch.setattr(SpoolFile, "run", counted)
    await asyncio.gather(*(keep(spool, f"{number}") for number in range(100)))

    assert sum(sizes) == 100
    assert len(sizes) < 20


async def test_what_is_gone_from_it_holds_nothing_any_more(open_spool: Opener) -> None:
    spool = await open_spool()
    await keep(spool, "gone", "waits", ordering_keys=frozenset({"=K"}))
    gone, _ = await spool.page(0)
    await spool.remove([gone.id])
    await spool.hold([(gone.id, gone.session_id, {"*messages"})])

    assert spool.held(12, {"*messages", "=K"}) == {"=K"}


async def test_a_disk_that_hangs_is_not_handed_more_than_it_may_owe(
    open_spool: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    run = SpoolFile.run

    def slow(file: SpoolFile, jobs: list[object]) -> object:
        answers.wait(20)
        return run(file, jobs)  # type: ignore[arg-type]

    spool = await open_spool(max_backlog=3)
    monkeypatch.setattr(SpoolFile, "run", slow)
    kept = [asyncio.ensure_future(keep(spool, f"{number}")) for number in range(50)]
    for _ in range(100):
        await asyncio.sleep(0)
    refused = [task for task in kept if task.done() and isinstance(task.exception(), WriteRefused)]
    assert 40 <= len(refused) < 50
    assert spool.complaint() is not None
    answers.set()
    await asyncio.wait(kept)

    assert len(await names(spool)) == 50 - len(refused)


async def test_a_webhook_counts_as_held_from_the_moment_it_is_handed_over(open_spool: Opener) -> None:
    spool = await open_spool()
    kept = spool.append([(delivery("a"), frozenset({"=K"}))])
    assert spool.held(12, {"*", "=K"}) == {"=K"}
    await kept

    assert spool.held(12, {"*", "=K"}) == {"=K"}
    assert spool.held(12, {"*", "=L"}) == spool.held(13, {"*", "=K"}) == frozenset()
    await remove_all(spool)
    assert spool.held(12, {"*", "=K"}) == frozenset()


async def test_every_process_sees_what_another_holds_and_appends_behind_it(open_spool: Opener) -> None:
    first, second = await open_spool(), await open_spool()
    for number in range(20):
        await keep(first if number % 2 else second, f"{number}")
        assert first.held(12, ALL) == second.held(12, ALL) == ALL
        assert first.count() == second.count() == number + 1

    assert await names(first) == await names(second) == numbered("", range(20))
    await remove_all(first)
    assert second.held(12, ALL) == frozenset()
    assert second.count() == 0


async def test_a_webhook_in_very_many_lanes_is_kept_and_found(open_spool: Opener) -> None:
    spool = await open_spool()
    ordering_keys = frozenset(f"=K{number}" for number in range(3000))
    await keep(spool, "a", ordering_keys=ordering_keys)

    assert spool.held(12, {"*", "=K2999"}) == {"=K2999"}
    assert spool.held(12, ordering_keys) == ordering_keys


async def test_what_is_told_to_hold_less_holds_less(open_spool: Opener) -> None:
    spool = await open_spool()
    await keep(spool, "a")
    (entry,) = await spool.page(0)
    await spool.hold([(entry.id, 12, {"=K"})])

    assert spool.held(12, {"*", "=K"}) == {"=K"}


async def test_pages_are_bounded_in_number_and_bytes(open_spool: Opener) -> None:
    spool = await open_spool()
    big = "x" * 3_000_000
    await spool.append([(delivery(name, text=big), ALL) for name in ("a", "b", "c")])
    await keep(spool, *numbered("n", range(300)))

    page = await spool.page(0)
    assert [name_of(item.raw) for item in page] == ["a"]
    assert [name_of(item.raw) for item in await spool.page(3)] == numbered("n", range(128))


# ------------------------------------------------------------------------------------------ limits


async def test_it_is_full_at_its_number_and_takes_again_what_has_room(open_spool: Opener) -> None:
    spool = await open_spool(max_count=3)
    await keep(spool, "a", "b")
    with pytest.raises(Unavailable, match="full: 2 webhooks"):
        await keep(spool, "c", "d")
    assert spool.held(12, ALL) == ALL
    await keep(spool, "c")

    assert "full" in (spool.complaint() or "")
    assert await names(spool) == ["a", "b", "c"]
    await remove_all(spool)
    assert spool.complaint() is None
    await keep(spool, "d")


async def test_it_is_full_at_its_bytes_whoever_filled_it(open_spool: Opener) -> None:
    first, second = await open_spool(max_bytes=5000), await open_spool(max_bytes=5000)
    await first.append([(delivery("a", text="x" * 3000), ALL)])
    with pytest.raises(Unavailable, match="full"):
        await second.append([(delivery("b", text="x" * 3000), ALL)])

    await keep(second, "small")
    assert await names(first) == ["a", "small"]


async def test_a_disk_without_room_is_said_to_be_full_and_asked_again(
    open_spool: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = await open_spool()
    real = os.statvfs(spool.path.parent)
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result([*real[:4], 3, *real[5:10]]))
    with pytest.raises(Unavailable, match="its disk is full"):
        await keep(spool, "a")
    await spool.probe()
    assert "its disk is full" in (spool.complaint() or "")
    monkeypatch.undo()
    await spool.probe()

    assert spool.complaint() is None
    await keep(spool, "a")


async def test_a_disk_that_does_not_answer_is_said_so_and_asked_again(
    open_spool: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    run = SpoolFile.run

    def hung(file: SpoolFile, jobs: list[object]) -> object:
        answers.wait()
        return run(file, jobs)  # type: ignore[arg-type]

    spool = await open_spool(probe_s=0.05)
    monkeypatch.setattr(SpoolFile, "run", hung)
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):  # as ingest waits for it
                await keep(spool, "a")
        assert "does not answer" in (spool.complaint() or "")
        assert spool.held(12, ALL) == frozenset(), "its sender comes again, and need not follow it"
        await spool.probe()
        assert "does not answer" in (spool.complaint() or "")
    finally:
        answers.set()
    spool.limits = replace(spool.limits, probe_s=10.0)
    await spool.probe()

    assert spool.complaint() is None


async def test_a_write_that_the_disk_refuses_loses_nothing_that_was_there(
    open_spool: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = await open_spool()
    await keep(spool, "before")
    run = SpoolFile.run

    def shrink(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA max_page_count = 20")

    def run_on_a_small_disk(file: SpoolFile, jobs: Sequence[Job]) -> list[object]:
        return run(file, [shrink, *jobs])[1:]

    monkeypatch.setattr(SpoolFile, "run", run_on_a_small_disk)
    with pytest.raises(Unavailable, match="its disk is full"):
        await spool.append([(delivery("big", text="x" * 500_000), ALL)])

    assert "its disk is full" in (spool.complaint() or "")
    assert await names(spool) == ["before"]
    await keep(spool, "after")
    assert spool.complaint() is None
    assert await names(spool) == ["before", "after"]


async def test_the_room_of_a_drained_spool_is_given_back(open_spool: Opener) -> None:
    spool = await open_spool()
    for name in "abcdefgh":
        await spool.append([(delivery(name, text="x" * 1_000_000), ALL)])
    assert sum(item.stat().st_size for item in spool.path.parent.iterdir()) > 8_000_000
    while await spool.page(0):
        await remove_all(spool)
    await spool.tidy()

    assert sum(item.stat().st_size for item in spool.path.parent.iterdir()) < 200_000


# ------------------------------------------------------------------------------------------ one replayer


async def test_one_replays_until_it_ends(open_spool: Opener) -> None:
    first = await DiskSpool.open((await open_spool()).path.parent, "shop")
    second = await open_spool()

    assert [first.lead(), second.lead(), first.lead()] == [True, False, True]
    await first.close()
    assert second.lead()


async def test_a_handover_is_seen_by_every_process_while_something_waits(open_spool: Opener) -> None:
    first, second = await open_spool(), await open_spool()
    await keep(first, "a")
    assert not first.is_handing_over()
    with first.handing_over():
        assert first.is_handing_over()
        assert second.is_handing_over()
    assert not second.is_handing_over()
    await remove_all(first)
    with first.handing_over():
        assert not second.is_handing_over()


async def test_what_nobody_takes_is_written_into_a_file_for_people(open_spool: Opener) -> None:
    spool = await open_spool()
    await spool.put_out(Spooled(7, 12, AT, b'{"a":1}'), "because")

    (file,) = spool.path.parent.glob("refused-*.json")
    assert orjson.loads(file.read_bytes()) == {
        "session_id": 12, "received_at": "2026-03-01T12:00:00.123456+00:00", "reason": "because", "body": {"a": 1}
    }  # fmt: skip
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"Set GATEWAY_DATA_DIR"):
        await DiskSpool.open(tmp_path / "file" / "spool", "shop")
